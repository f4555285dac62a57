"""The bundle: one file that installs without an index, or says in a sentence why not and has changed nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.building import bill_of, build, python, sample, takes_minutes

pytestmark = [takes_minutes, pytest.mark.slow, pytest.mark.timeout(3600)]

alone = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None or python() != "/usr/bin/python3",
    reason="another user without a network needs root, unshare and the system's own python3 with venv",
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user can enter."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def bundle(place: Path) -> Path:
    return build("bundle", place)


def run(bundle: Path, *options: str, path: str = "/usr/bin:/bin", before: tuple[str, ...] = ()) -> tuple[int, str]:
    done = subprocess.run(
        [*before, "sh", str(bundle), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": path, "HOME": "/nonexistent"},
        cwd="/",
        check=False,
    )
    return done.returncode, done.stdout


def refused(bundle: Path, target: Path, path: str = "/usr/bin:/bin", *options: str) -> str:
    """The one sentence with which it refuses; nothing was changed."""
    there = sorted(target.parent.iterdir())
    status, said = run(bundle, "--to", str(target), *options, path=path)
    assert status == 2, said
    assert said.endswith("nothing was changed\n")
    assert said.count("\n") == 1
    assert sorted(target.parent.iterdir()) == there
    return said


@alone
def test_another_user_installs_it_without_a_network_into_a_path_with_blanks_and_goes_back(bundle: Path, place: Path) -> None:
    home = place / "a home"
    home.mkdir()
    shutil.chown(home, "nobody")
    target, image = home / "the edge", sample(place)
    nobody = ("unshare", "--net", "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    status, said = run(bundle, "--to", str(target), before=nobody)
    assert status == 0, said
    program = [*nobody, str(target / "bin" / "edge-inspect"), str(image), "--json"]
    inspected = subprocess.run(program, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=False)
    assert inspected.stdout.startswith('{"schema":"edge.inspection/'), inspected.stderr
    assert (target / "share/sem-corrosion-edge/systemd/sem-corrosion-edge.service").is_file()
    assert (target / "share/sem-corrosion-edge/sbom.cdx.json").read_bytes() == bundle.with_suffix(".cdx.json").read_bytes()
    assert [path.name for path in home.iterdir()] == ["the edge"]

    (target / "old").touch()
    damaged = place / "damaged.run"
    whole = bundle.read_bytes()
    head = whole[: whole.index(b"\nexit 0\n")]
    damaged.write_bytes(head.replace(b"tail -n", b"false; tail -n") + whole[len(head) :])
    status, said = run(damaged, "--to", str(target), before=nobody)
    assert status != 0
    assert (target / "old").exists()
    assert [path.name for path in home.iterdir()] == ["the edge"]
    status, said = run(bundle, "--to", str(target), before=nobody)
    assert status == 0, said
    assert (home / "the edge.previous" / "old").exists()
    assert not (target / "old").exists()


def test_it_says_what_it_would_do_and_does_nothing(bundle: Path, tmp_path: Path) -> None:
    status, said = run(bundle, "--check", "--to", str(tmp_path / "edge"), "--python", python())
    assert (status, said.count("\n")) == (0, 1), said
    assert "can be installed" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("program", "lines", "sentence"),
    [
        ("uname", '[ "$1" = -m ] && echo riscv64 || echo Linux', "this machine is riscv64"),
        ("uname", "echo Darwin", "this machine runs Darwin"),
        ("other", "echo 3.99", "is 3.99: install python3"),
        ("other", "exit 1", "is no Python that runs"),
    ],
)
def test_a_wrong_machine_or_python_is_told_in_one_sentence(
    bundle: Path, tmp_path: Path, program: str, lines: str, sentence: str
) -> None:
    played = tmp_path / "bin"
    played.mkdir()
    (played / program).write_text(f"#!/bin/sh\n{lines}\n")
    (played / program).chmod(0o755)
    options = ("--python", str(played / "other")) if program == "other" else ("--python", python())
    assert sentence in refused(bundle, tmp_path / "edge", f"{played}:/usr/bin:/bin", *options)


def test_a_damaged_file_and_an_occupied_place_are_told_in_one_sentence(bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.run"
    data = bytearray(bundle.read_bytes())
    data[-20_000_000] ^= 1
    damaged.write_bytes(data)
    assert "is damaged" in refused(damaged, tmp_path / "edge", "/usr/bin:/bin", "--python", python())
    (tmp_path / "mine").mkdir()
    assert "was not made by this" in refused(bundle, tmp_path / "mine", "/usr/bin:/bin", "--python", python())


def test_its_bill_names_the_extras_that_are_in_it(bundle: Path) -> None:
    names = {one["name"] for one in bill_of(bundle)["components"]}
    assert {"starlette", "uvicorn", "prometheus_client", "onnxruntime"} <= names
