"""The files of a Jetson in; its release of L4T and its power mode out, each None where it is not told.

`nvpmodel -q` asks for root on some releases and `tegrastats` runs for ever, so what they read is read here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

RELEASE: Final = Path("/etc/nv_tegra_release")
"""Its first line: "# R36 (release), REVISION: 4.3, GCID: …"."""
POWER_MODE: Final = Path("/var/lib/nvpmodel/status")
"""What nvpmodel set last: "pmode:0002"."""
POWER_MODES: Final = Path("/etc/nvpmodel.conf")
"""The modes of this board: "< POWER_MODEL ID=2 NAME=MAXN_SUPER >", and the one that it starts in."""


def l4t() -> str | None:
    """The release of NVIDIA's Linux for Tegra, such as "36.4.3"."""
    found = re.search(r"\bR(\d+)\b.*?REVISION:\s*([\d.]+)", text_of(RELEASE).partition("\n")[0])
    return f"{found[1]}.{found[2]}" if found else None


def power_mode() -> str | None:
    """Number and name of the power mode that was set last, else of the one that the board starts in: "2 MAXN_SUPER"."""
    modes = text_of(POWER_MODES)
    chosen = re.search(r"pmode:\s*(\d+)", text_of(POWER_MODE)) or re.search(r"^\s*<\s*PM_CONFIG\s+DEFAULT=(\d+)", modes, re.M)
    if chosen is None:
        return None
    number = int(chosen[1])
    named = re.search(rf"^\s*<\s*POWER_MODEL\s+ID=0*{number}\s+NAME=(\S+)", modes, re.M)
    return f"{number} {named[1].strip('>')}" if named else str(number)


def text_of(path: Path) -> str:
    """A small file's text; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
