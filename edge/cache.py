"""The environment in, the folder out where a user's commands remember things."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where a user's commands remember things."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sem-corrosion-edge"
