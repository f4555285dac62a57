"""Programs of Node.js that a test runs: found where `make .venv/.node` puts them, or in NODE_PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NODE = shutil.which("node")


def package(name: str) -> Path | None:
    """The folder of an installed package; None when it, or Node.js itself, is not there."""
    folders = [*os.environ.get("NODE_PATH", "").split(os.pathsep), str(Path(sys.prefix) / "node" / "node_modules")]
    found = [Path(folder, name) for folder in folders if folder and Path(folder, name, "package.json").is_file()]
    return found[0] if found and NODE else None
