"""docs/develop/add-a-microscope.md, done word for word in a copy: one file and one row make a family."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.sem import parse
from tests import ROOT

PAGE = (ROOT / "docs" / "develop" / "add-a-microscope.md").read_text(encoding="utf-8")
MODULE, TEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(CHANGE,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
COPIED = ("edge/__init__.py", "edge/errors.py", "edge/records.py", "edge/sem", "tests/__init__.py", "tests/sem")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The part of the project that reads images, and its tests."""
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def add_the_file_and_the_test(checkout: Path) -> None:
    (checkout / "edge/sem/vendors/example.py").write_text(MODULE, encoding="utf-8")
    (checkout / "tests/sem/vendors/test_example.py").write_text(TEST, encoding="utf-8")


def add_the_row(checkout: Path) -> None:
    table = checkout / "edge/sem/vendors/__init__.py"
    before = table.read_text(encoding="utf-8")
    row, neighbour = (line[1:] for line in CHANGE.splitlines(keepends=True))
    modules = "from edge.sem.vendors import (\n"
    assert before.count(neighbour) == before.count(modules) == 1
    after = before.replace(neighbour, row + neighbour).replace(modules, modules + "    example,\n")
    table.write_text(after, encoding="utf-8")


def pytest_in(checkout: Path, *paths: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_and_a_row_make_a_family_and_leave_the_others_as_they_were(checkout: Path) -> None:
    add_the_file_and_the_test(checkout)
    add_the_row(checkout)
    done = pytest_in(checkout, "tests/sem/vendors")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_row_the_general_family_takes_the_file(checkout: Path) -> None:
    add_the_file_and_the_test(checkout)
    done = pytest_in(checkout, "tests/sem/vendors/test_example.py")
    assert done.returncode == 1
    assert "test_example_xml_tells_the_scale_and_how_an_image_was_taken[tiff]" in done.stdout


def test_the_page_names_every_function_that_parses() -> None:
    table = PAGE.partition("## What reads it")[2].partition("## Rules")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    public = {
        name for name, value in vars(parse).items() if getattr(value, "__module__", "") == parse.__name__ and name[0] != "_"
    }
    assert named == public
