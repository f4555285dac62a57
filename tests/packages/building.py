"""Packages of this very checkout, built as `make wheel`, `make bundle` and `make deb` build them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT

OFFLINE = ("No matching distribution", "Could not find a version", "Connection", "Temporary failure", "Network is unreachable")
SYSTEM_PYTHON = Path("/usr/bin/python3")


def python() -> str:
    """The system's own Python, which other users can run, too; else this one."""
    asked = [str(SYSTEM_PYTHON), "-c", "import ensurepip, sys; assert sys.version_info >= (3, 10)"]
    if SYSTEM_PYTHON.exists() and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        return str(SYSTEM_PYTHON)
    return sys.executable


def build(kind: str, out: Path) -> Path:
    """The one package of a kind: wheel, bundle or deb.  out: a folder, where its bill lies beside it."""
    surroundings = {**os.environ, "OUT": str(out), "PYTHON": python(), "COMPRESS": "none"}
    for name in ("PYTHONPATH", "EXTRAS", "WORK"):
        surroundings.pop(name, None)
    done = subprocess.run(
        [str(ROOT / "packaging" / "build.sh"), kind], capture_output=True, text=True, env=surroundings, check=False
    )
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("no package index can be reached from here, and no folder of wheels was named")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def bill_of(package: Path) -> dict[str, Any]:
    """The bill of materials beside a package."""
    found: dict[str, Any] = json.loads(package.with_suffix(".cdx.json").read_text())
    return found


def sample(folder: Path) -> Path:
    """A sample image that everybody can read."""
    image = folder / "AN_60_1h_009.tif"
    shutil.copy(ROOT / "edge" / "samples" / image.name, image)
    image.chmod(0o644)
    return image


takes_minutes = pytest.mark.skipif(
    not os.environ.get("EDGE_TEST_PACKAGES"), reason="packages take minutes to build and to install: make packages-check"
)
