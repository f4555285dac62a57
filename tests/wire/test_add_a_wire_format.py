"""docs/develop/add-a-wire-format.md: whoever follows the page has a format that works and that mypy takes."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PAGE = ROOT / "docs" / "develop" / "add-a-wire-format.md"


def blocks() -> dict[str, str]:
    """The page's code, by the file that it goes into."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(
        re.findall(r"^`([\w/]+\.py)`[^\n]*:\n\n(?:<!-- run by \S+ -->\n)?```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    )


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the page is about, with every step of the page done."""
    copy = tmp_path_factory.mktemp("followed")
    shutil.copytree(ROOT / "edge", copy / "edge", ignore=shutil.ignore_patterns("files", "samples", "__pycache__"))
    for name in ("tests/__init__.py", "tests/wire/__init__.py", "tests/wire/examples.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    code = blocks()
    for name in ("edge/wire/csv_lines.py", "tests/wire/test_csv_lines.py"):
        (copy / name).write_text(code.pop(name), encoding="utf-8")
    add_setting(copy / "edge/config.py", code.pop("edge/config.py"))
    add_row(copy / "edge/wire/table.py", code.pop("edge/wire/table.py"))
    assert not code, "the page changes a file that this test leaves alone"
    return copy


def add_setting(config: Path, setting: str) -> None:
    """The page's line becomes the first field of `MqttSettings`."""
    text = config.read_text(encoding="utf-8")
    changed, count = re.subn(r'(class MqttSettings\(.*?\):\n    """.*?"""\n\n)', lambda found: found[1] + setting, text)
    assert count == 1
    config.write_text(changed, encoding="utf-8")


def add_row(table: Path, code: str) -> None:
    """The page's table takes the place of the present one, its import joins the others."""
    lines = table.read_text(encoding="utf-8").splitlines()
    (old,) = (node for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.AnnAssign))
    import_line, row = code.split("\n\n", 1)
    lines[old.lineno - 1 : old.end_lineno] = row.splitlines()
    lines.insert(lines.index("from edge.wire.channel import Channel") + 1, import_line)
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "MYPYPATH": str(folder)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_its_test_passes(followed: Path) -> None:
    ran = run_in(followed, "pytest", "-q", "-p", "no:cacheprovider", "tests/wire/test_csv_lines.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout


def test_mypy_takes_it(followed: Path) -> None:
    pytest.importorskip("mypy")
    ran = run_in(
        followed,
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(followed / "cache"),
        "edge/wire/csv_lines.py",
        "edge/wire/table.py",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_file_that_it_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:edge|tests)/[\w/]+\.py)`", text)) - {"edge/wire/csv_lines.py", "tests/wire/test_csv_lines.py"}
    linked = set(re.findall(r"\]\((\.\./[\w/.-]+)\)", text))
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert [name for name in linked if not (PAGE.parent / name).is_file()] == []
