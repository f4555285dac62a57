"""The settings and which device earlier starts saw in; whether a GPU was lost, in words, out."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from edge.backends import table
from edge.config import InspectionSettings
from edge.inspection import parity

MEMORY: Final = "device-of"
"""File of the state folder with the name of the backend whose device was there, as long as it is wanted."""


def lost(settings: InspectionSettings, state_folder: Path) -> str | None:
    """Why the device that the models ran on cannot be used any more, in its library's words; None when all is well.

    A device was there when it is named in the settings, when an earlier start saw it with its libraries, or when an engine was
    built for it. This start notes it, too. Settings that ask for another backend want it no more.
    Raises ModelError, and ConfigError for a named backend that is not installed.
    """
    memory = state_folder / MEMORY
    chosen = settings.models.backend
    wanted = [row for row in table.BACKENDS.values() if row.gate == "passport" and chosen in {table.AUTO, row.name}]
    if not wanted:
        with contextlib.suppress(OSError):
            memory.unlink(missing_ok=True)
    for row in wanted:
        if chosen == row.name:
            table.resolve(chosen)
        if row.is_installed and row.device() is not None:
            _remember(row.name, memory)
            continue
        expected = chosen == row.name or _remembered(memory) == row.name
        if why := row.lost(parity.models_of(settings), expected=expected):
            return why
    return None


def _remember(backend: str, memory: Path) -> None:
    with contextlib.suppress(OSError):  # as well as can be
        descriptor = os.open(memory, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{backend}\n")


def _remembered(memory: Path) -> str:
    try:
        return memory.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
