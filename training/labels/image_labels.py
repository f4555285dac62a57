"""What a label file of any kind holds about one image: its regions as pixels, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.records import Mask

SHOWN: Final = 5
"""Places that one line names."""
LabelImage = NDArray[np.int32]
"""[H, W]: 0 is ground, every other value one region."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data that a person should know. where: a file, or a place in one.  fatal: nothing can be prepared."""

    what: str
    where: str
    fatal: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRegion:
    """One labelled region as its file has it; it may have holes and several parts.

    label: the class's name, or its number from 0.  x_px, y_px: where mask begins in the image.  mask: bool [h, w].
    """

    label: str | int
    x_px: int
    y_px: int
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class ImageLabels:
    """All that a label file holds about one image."""

    regions: tuple[LabelledRegion, ...] = ()
    findings: tuple[Finding, ...] = ()

    def covered(self, width_px: int, height_px: int) -> Mask:
        """bool [height_px, width_px]: all labelled pixels."""
        canvas = np.zeros((height_px, width_px), np.bool_)
        for one in self.regions:
            rows, columns = one.mask.shape
            canvas[one.y_px : one.y_px + rows, one.x_px : one.x_px + columns] |= one.mask
        return canvas


def lines_of(findings: Iterable[Finding], fatal: bool) -> list[str]:
    """One line for each kind of finding, with how often and where."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        if finding.fatal == fatal:
            kinds.setdefault(finding.what, []).append(finding.where)
    lines = []
    for what, places in kinds.items():
        distinct = [place for place in dict.fromkeys(places) if place]
        shown = ", ".join(distinct[:SHOWN]) + (f", and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else "")
        count = f" ({len(places)} times)" if len(places) > 1 else ""
        lines.append(f"{what}{count}: {shown}" if shown else what)
    return lines
