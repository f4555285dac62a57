"""The shelf: one release is in use, one before it, one waits; whatever kills the process, nothing stands there half."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.errors import ModelError
from edge.fleet.shelf import MOST_KEPT, MOST_TRIES, Shelf, in_use
from tests import ROOT
from tests.fleet.making import make_release
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "state").mkdir()
    return Shelf(tmp_path / "state")


def put(shelf: Shelf, signer: Signer, version: str, at: int = 1_700_000_000) -> str:
    """A release of this version on the shelf, as the fetcher puts it there."""
    made = shelf.folder.parent.parent / f"made-{version}"
    release_id = make_release(made, signer, version=version, at=at, heavy=False)
    shutil.copytree(made, shelf.incoming(release_id), dirs_exist_ok=True)
    shelf.add(shelf.incoming(release_id), release_id)
    return release_id


def test_an_empty_shelf_means_the_models_of_the_configuration(shelf: Shelf) -> None:
    assert (shelf.active(), shelf.candidate(), shelf.previous(), shelf.releases()) == (None, None, None, ())
    assert not shelf.folder.exists()


def test_a_release_is_a_candidate_then_in_use_then_what_was_before(shelf: Shelf, signer: Signer) -> None:
    first, second = put(shelf, signer, "1.0.0"), None
    candidate = shelf.candidate()
    assert candidate is not None
    assert candidate.id == first
    assert set(candidate.models) == {"segmenter", "classifier", "regions"}
    shelf.switch(first)
    assert shelf.candidate() is None
    second = put(shelf, signer, "2.0.0")
    shelf.switch(second)
    active, previous = shelf.active(), shelf.previous()
    assert active is not None
    assert previous is not None
    assert (active.id, previous.id) == (second, first)
    assert shelf.rollback(second).active == first


def test_a_switch_or_rollback_that_comes_twice_changes_nothing_more(shelf: Shelf, signer: Signer) -> None:
    first, second = put(shelf, signer, "1.0.0"), put(shelf, signer, "2.0.0")
    shelf.switch(first)
    assert shelf.switch(second) == shelf.switch(second)
    assert shelf.rollback(second) == shelf.rollback(second)
    assert shelf.standing().active == first


def test_going_back_from_the_first_release_means_the_configuration_again(shelf: Shelf, signer: Signer) -> None:
    shelf.switch(put(shelf, signer, "1.0.0"))
    assert shelf.rollback(why="it does not load").active is None
    assert shelf.standing().why_back == "it does not load"
    with pytest.raises(ValueError, match="nothing to go back to"):
        shelf.rollback()


def test_what_is_not_on_the_shelf_is_not_switched_to(shelf: Shelf) -> None:
    with pytest.raises(ModelError, match="no checked release"):
        shelf.switch("a" * 64)
    with pytest.raises(ValueError, match="not in use"):
        shelf.rollback("a" * 64)


def test_a_dropped_release_is_gone_and_remembered_by_when_it_was_signed(shelf: Shelf, signer: Signer) -> None:
    release = put(shelf, signer, "1.0.0", at=1_700_000_123)
    shelf.drop(release)
    assert (shelf.releases(), shelf.candidate()) == ((), None)
    assert shelf.standing().left == {release: 1_700_000_123}
    shelf.drop(release)  # delivered twice
    in_use = put(shelf, signer, "2.0.0")
    shelf.switch(in_use)
    with pytest.raises(ValueError, match="in use"):
        shelf.drop(in_use)


def test_the_shelf_keeps_a_few_releases_and_always_those_that_have_a_name(shelf: Shelf, signer: Signer) -> None:
    first = put(shelf, signer, "0.1.0")
    shelf.switch(first)
    for number in range(MOST_KEPT + 2):
        put(shelf, signer, f"1.{number}.0")
    assert len(shelf.releases()) == MOST_KEPT
    assert first in shelf.releases()


def test_a_changed_manifest_on_the_shelf_is_refused_with_its_reason(shelf: Shelf, signer: Signer) -> None:
    release = put(shelf, signer, "1.0.0")
    shelf.switch(release)
    with (shelf.folder / release / "SHA256SUMS").open("a") as stream:
        stream.write("\n")
    with pytest.raises(ModelError, match="not that of release"):
        shelf.active()


def test_a_damaged_record_is_refused_with_its_cure(shelf: Shelf, signer: Signer) -> None:
    put(shelf, signer, "1.0.0")
    (shelf.folder / "shelf.json").write_text("{")
    with pytest.raises(ModelError, match="it is damaged; remove it"):
        shelf.standing()


def test_models_that_end_the_process_again_and_again_are_left(shelf: Shelf, signer: Signer) -> None:
    shelf.switch(put(shelf, signer, "1.0.0"))
    for _ in range(MOST_TRIES):
        shelf.begin_try()
    with pytest.raises(ValueError, match="ended the service 3 times"):
        shelf.begin_try()
    shelf.rollback(why="so")
    shelf.begin_try()  # of what was proven before, nothing is counted


def test_proven_models_are_not_counted_any_more(shelf: Shelf, signer: Signer) -> None:
    shelf.switch(put(shelf, signer, "1.0.0"))
    shelf.begin_try()
    shelf.prove()
    for _ in range(MOST_TRIES + 1):
        shelf.begin_try()


def test_without_a_source_the_models_are_those_of_the_configuration(shelf: Shelf, signer: Signer) -> None:
    release = put(shelf, signer, "1.0.0")
    shelf.switch(release)
    sections: dict[str, dict[str, Any]] = {"watch": {"folder": "/x"}, "state": {"folder": str(shelf.folder.parent)}}
    plain = config.parse(sections, {})
    assert in_use(plain) is plain
    fleet = config.parse({**sections, "fleet": {"source": "/srv"}, "models": {"public_key": signer.public_key}}, {})
    assert in_use(fleet).models.segmenter == str(shelf.folder / release / "segmenter.onnx")


WORK = """
    import os, shutil, signal, sys
    from pathlib import Path
    from edge.fleet.shelf import Shelf
    base, second = Path(sys.argv[1]), sys.argv[2]

    def killed_at(step):
        state = base / f"state-{step}"
        shutil.copytree(base / "state", state)
        if (child := os.fork()) == 0:
            seen = 0
            def hook(event, details):
                nonlocal seen
                if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "fcntl.flock"):
                    seen += 1
                    if seen == step:
                        os.kill(os.getpid(), signal.SIGKILL)
            sys.addaudithook(hook)
            shelf = Shelf(state)
            incoming = shelf.incoming(second)
            shutil.copytree(base / "second", incoming, dirs_exist_ok=True)
            shelf.add(incoming, second)
            shelf.switch(second)
            shelf.rollback(second)
            shelf.drop(second)
            os._exit(0)
        return os.waitpid(child, 0)[1] != 0

    step = 1
    while killed_at(step):
        step += 1
    print(step)
"""


def test_a_kill_at_any_step_leaves_the_shelf_before_or_after_it(tmp_path: Path, signer: Signer) -> None:
    """A child kills itself at each of its calls into the operating system that change something, one after another."""
    (tmp_path / "state").mkdir()
    shelf = Shelf(tmp_path / "state")
    first = put(shelf, signer, "1.0.0")
    shelf.switch(first)
    third = make_release(tmp_path / "third", signer, version="3.0.0", heavy=False)
    second = make_release(tmp_path / "second", signer, version="2.0.0", heavy=False)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORK), str(tmp_path), second],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    states = sorted(tmp_path.glob("state-*"))
    assert len(states) == int(done.stdout) > 50
    for state in states:
        after = Shelf(state)
        assert after.standing().active in (first, second)
        for found in (after.active(), after.candidate(), after.previous()):
            assert found is None or all(path.is_file() for path in found.models.values())
        for release in after.releases():
            assert after.get(release).id == release
        incoming = after.incoming(third)  # and it goes on from there
        shutil.copytree(tmp_path / "third", incoming, dirs_exist_ok=True)
        after.add(incoming, third)
        assert after.switch(third).active == third
        assert not list(after.folder.glob(".*-*"))
