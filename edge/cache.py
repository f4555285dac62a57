"""The environment in, the folder out where a user's commands remember things."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where a user's commands remember things."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sem-corrosion-edge"


def private_cache() -> Path | None:
    """That folder, made where it is missing; None where it cannot be written, or others may write there, too.

    For what is run as it was read, such as compiled networks.
    """
    if not hasattr(os, "geteuid"):  # who may write there is told otherwise on Windows
        return None
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except OSError:
        return None
    own = state.st_uid == os.geteuid() and not state.st_mode & 0o022
    return folder if own and os.access(folder, os.W_OK | os.X_OK) else None
