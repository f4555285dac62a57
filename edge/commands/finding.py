"""What `edge-doctor` looks at in, one line each out: how it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. cure: what to do about it, empty when nothing needs doing."""

    area: str
    level: Level
    text: str
    cure: str = ""


def several(count: int, thing: str) -> str:
    """How many there are.

    >>> several(1, "image"), several(2, "image")
    ('1 image', '2 images')
    """
    return f"{count} {thing}{'s' * (count != 1)}"
