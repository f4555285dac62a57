"""The shelf: one release is in use, one before it, one waits; whatever kills the process, nothing stands there half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.fleet.shelf import MOST_KEPT, Shelf, Standing
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
    assert candidate is not None and candidate.id == first and set(candidate.models) == {"segmenter", "classifier", "regions"}
    shelf.switch(first)
    assert shelf.candidate() is None
    second = put(shelf, signer, "2.0.0")
    shelf.switch(second)
    active, previous = shelf.active(), shelf.previous()
    assert active is not None and previous is not None and (active.id, previous.id) == (second, first)
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


@pytest.mark.parametrize("step", range(1, 200, 7))
def test_a_kill_at_any_step_leaves_the_shelf_before_or_after_it(tmp_path: Path, signer: Signer, step: int) -> None:
    """step: the process kills itself at this call into the operating system that changes something."""
    state = tmp_path / "state"
    state.mkdir()
    shelf = Shelf(state)
    first = put(shelf, signer, "1.0.0")
    shelf.switch(first)
    second = make_release(tmp_path / "second", signer, version="2.0.0", heavy=False)
    work = textwrap.dedent(f"""
        import os, shutil, signal, sys
        from pathlib import Path
        from edge.fleet.shelf import Shelf
        shelf = Shelf(Path({str(state)!r}))
        seen = 0
        def hook(event, details):
            global seen
            if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "fcntl.flock"):
                seen += 1
                if seen == {step}:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        incoming = shelf.incoming({second!r})
        shutil.copytree({str(tmp_path / "second")!r}, incoming, dirs_exist_ok=True)
        shelf.add(incoming, {second!r})
        shelf.switch({second!r})
        shelf.rollback({second!r})
        shelf.drop({second!r})
    """)
    done = subprocess.run([sys.executable, "-c", work], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    after = Shelf(state)
    standing = after.standing()
    assert isinstance(standing, Standing) and standing.active in (first, second)
    for found in (after.active(), after.candidate(), after.previous()):
        assert found is None or all(path.is_file() for path in found.models.values())
    for release in after.releases():
        assert after.get(release).id == release
    third = put(after, signer, "3.0.0")  # and it goes on from there
    after.switch(third)
    assert not list(after.folder.glob(".gone-*")) and after.standing().active == third
