"""Every block of the pages that this machine can run is run; the others say who runs them, or why nobody does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.journal import Journal, Message, Verdict
from tests import ROOT
from tests.fakes.brokers import Mosquitto, needs_mosquitto
from tests.journal.examples import inspected
from tests.pages import HOW, SHELL, Block, blocks, blocks_of, pages, unclear

ALL = [block for page in pages() for block in blocks(page)]
HERE = [block for block in ALL if block.run_here]
COMMANDS = [block for block in HERE if block.language in SHELL]
SUDO = '#!/bin/sh\nwhile :; do case "$1" in -u) shift 2;; -*) shift;; *) break;; esac; done\nexec "$@"\n'
FINDS = ("edge-doctor", "--check")
"""These end with 1 where a machine lacks something, as a test's may: what they say is tested elsewhere."""


def test_each_block_says_what_becomes_of_it() -> None:
    wrong = [said for block in ALL if (said := unclear(block)) is not None]
    assert not wrong, "\n".join(wrong)


def test_how_many_blocks_are_run(record_property: Callable[[str, object], None]) -> None:
    counts = Counter(
        "run here" if block.run_here else "run by another test" if block.by else "not run" if block.why else "output"
        for block in ALL
    )
    print(f"blocks of the pages: {dict(counts)}")
    for block in ALL:
        if block.why:
            print(f"not run: {block.where}: {block.why}")
    record_property("blocks", dict(counts))
    assert counts["run here"] > counts["output"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\ntrue\n```\n", None),
        ("```text\nseen\n```\n", None),
        ("```ini\n[Unit]\n```\n", "nobody runs a block of 'ini'"),
        ("<!-- not run: needs a GPU -->\n```ini\n[Unit]\n```\n", None),
        ("<!-- run by tests/nowhere.py -->\n\n```ini\n[Unit]\n```\n", "tests/nowhere.py is not there"),
        ("<!-- run by tests/pages.py -->\n```ini\n[Unit]\n```\n", "tests/pages.py does not name this page"),
        ("<!-- not run: of the block before -->\n```sh\n```\n\n   ```ini\n   x\n   ```\n", "page.md:5: nobody runs"),
    ],
)
def test_what_is_unclear_is_told_with_its_place(text: str, said: str | None) -> None:
    (told,) = {unclear(block) for block in blocks_of(text, "page.md")[-1:]}
    assert (said is None and told is None) or (said is not None and told is not None and said in told)


@pytest.mark.parametrize("block", [block for block in HERE if block.language == "json"], ids=lambda block: block.where)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [block for block in HERE if block.language == "yaml"], ids=lambda block: block.where)
def test_yaml_parses(block: Block) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", [block for block in HERE if block.language == "toml"], ids=lambda block: block.where)
def test_settings_are_taken_by_the_daemon(block: Block, tmp_path: Path) -> None:
    try:
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib  # type: ignore[import-not-found,no-redef]
    sections: dict[str, Any] = tomllib.loads(block.text)
    sections.setdefault("watch", {}).setdefault("folder", str(tmp_path))
    config.parse(sections, {}, block.where)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name, and programs in place of those that change this machine."""
    place = tmp_path_factory.mktemp("pages")
    samples = sorted((ROOT / "edge" / "samples").glob("AN_*"))[:2]
    for folder in ("folder", "exports", "series", "etc", "srv", "bin"):
        (place / folder).mkdir()
    for folder in ("folder", "exports", "series", "srv"):
        for sample in samples[: 1 + (folder == "series")]:
            shutil.copy(sample, place / folder)
    image = next(sample for sample in samples if sample.suffix == ".tif")
    shutil.copy(image, place / "image.tif")
    _as_png(image, place / "old.png")
    (place / "samples.csv").write_text("image,coupon\n" + "".join(f"{one.name},K{n}\n" for n, one in enumerate(samples)))
    (place / "bin" / "sudo").write_text(SUDO)
    (place / "bin" / "sudo").chmod(0o755)
    for name, (module, function) in _programs().items():
        program = place / "bin" / name
        program.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        program.chmod(0o755)
    _state(place, image)
    return place


def _programs() -> dict[str, tuple[str, str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return {name: (module, function) for name, module, function in re.findall(r'^(edge-\w+) = "([\w.]+):(\w+)"$', text, re.M)}


def _as_png(image: Path, to: Path) -> None:
    import cv2

    assert cv2.imwrite(str(to), cv2.imread(str(image), cv2.IMREAD_GRAYSCALE))


def _state(place: Path, image: Path) -> None:
    """A journal with one inspection and two failures, and a configuration that names it."""
    done = _bash(place, f"edge-inspect {image} --json")
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().encode()
    with Journal.open(place / "state") as journal:
        inspected(journal, "a.tif", lambda seq: [Verdict(f"v-{seq}", "inspection", (Message("verdict", "inspection", told),))])
        for number, name in enumerate(("coupon7/003.tif", "b.tif")):
            body = Message("verdict", "failure", b"{}")
            inspected(
                journal,
                name,
                lambda seq, n=number, b=body: [Verdict(f"f{n}-{seq}", "failure", (b,), "unreadable", "it is held")],
            )
    text = (ROOT / "systemd" / "config.toml").read_text(encoding="utf-8")
    (place / "etc" / "config.toml").write_text(_here(text, place), encoding="utf-8")


def _here(text: str, place: Path) -> str:
    """With the places of an installed service moved into the sandbox."""
    moved = {
        "/etc/sem-corrosion-edge": place / "etc",
        "/var/lib/sem-corrosion-edge": place / "state",
        "/srv/sem/export": place / "srv",
        "/opt/sem-corrosion-edge/bin/": "",
        ".venv/bin/": "",
    }
    for name, there in moved.items():
        text = text.replace(name, str(there))
    return text


def _bash(place: Path, commands: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{place / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MPLCONFIGDIR": str(place),
    }
    script = ["bash", "-euo", "pipefail", "-c", commands]
    return subprocess.run(
        script, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@needs_mosquitto
@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.where)
def test_commands_end_well(block: Block, sandbox: Path, tmp_path: Path) -> None:
    if "edge-report" in block.text:
        for library in ("matplotlib", "scipy", "statsmodels", "sklearn", "pandas", "pyarrow"):
            pytest.importorskip(library)
    with Mosquitto(tmp_path / "broker") as broker:
        settings = (sandbox / "etc" / "config.toml").read_text()
        (sandbox / "etc" / "config.toml").write_text(re.sub(r"(?m)^port = \d+", f"port = {broker.port}", settings))
        commands = (
            re.sub(r"(?m)^\$ ", "", _here(block.text, sandbox)) if block.language == "console" else _here(block.text, sandbox)
        )
        done = _bash(sandbox, commands)
    expected = (0, 1) if any(word in block.text for word in FINDS) else (0,)
    assert done.returncode in expected, f"{block.where} ends with {done.returncode}: {HOW}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, f"{block.where}: {done.stderr}"
