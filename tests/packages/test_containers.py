"""The container files as far as they can be read: no container is built here, and the base images are not at hand."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edge.service.pulse import VARIABLE
from tests import ROOT

FILES = sorted((ROOT / "containers").glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction with what is behind it."""
    lines = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined if line)]


def of(path: Path, word: str) -> list[str]:
    return [rest for name, rest in instructions(path) if name == word]


def test_there_is_one_for_a_processor_and_one_for_a_jetson() -> None:
    assert [path.stem for path in FILES] == ["cpu", "jetson"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_instruction_is_known_and_every_shell_line_is_sound(path: Path) -> None:
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "ENTRYPOINT", "HEALTHCHECK"}
    assert {word for word, _ in instructions(path)} <= known
    for line in of(path, "RUN"):
        subprocess.run(["sh", "-n", "-c", line], check=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_copied_exists_and_is_not_ignored(path: Path) -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [part for rest in of(path, "COPY") if "--from" not in rest for part in rest.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.split("/")[0], pattern) for pattern in let_in), source


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_runs_as_nobody_special_keeps_its_state_in_a_volume_and_is_asked_by_its_own_command(path: Path) -> None:
    assert of(path, "USER") == ["10001:10001"]
    last = [word for word, _ in instructions(path)]
    assert last.index("USER") > max(number for number, word in enumerate(last) if word in ("RUN", "COPY"))
    volumes = json.loads(of(path, "VOLUME")[0])
    settings = (ROOT / "systemd" / "config.toml").read_text()
    assert all(f'folder = "{one}"' in settings for one in volumes[:2])
    entry = json.loads(of(path, "ENTRYPOINT")[0])
    health = json.loads(of(path, "HEALTHCHECK")[0].partition("CMD ")[2])
    assert health == [*entry, "--alive"]
    assert f"{VARIABLE}=/dev/shm/" in of(path, "ENV")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_is_installed_with_the_pins_and_without_training(path: Path) -> None:
    (install,) = (line for line in of(path, "RUN") if "pip" in line)
    assert "--constraint constraints.txt" in install
    (extras,) = (rest.partition("=")[2] for rest in of(path, "ARG"))
    assert not {"training", "dev", "report"} & set(extras.split(","))
