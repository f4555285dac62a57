"""The structure of Olympus Soft Imaging Solutions that TIFF tag 33560 points to in, `Metadata` out.

It begins with "SIS0": the moment, a name, and the number of entries; each entry is a kind, a count and a place in the file.
Entry 1 has the power of ten in metres, the two lengths of a pixel and the magnification. All numbers are little-endian. The
layout is not published; what is read here is what other open readers agree on.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import text, words

TAG: Final = 33560
VENDOR: Final = "Olympus SIS"
MAGIC: Final = b"SIS0"
HEAD: Final = struct.Struct("<4s6x5h6x32sH")  # magic; minute, hour, day, month from 0, years from 1900; name; entries
ENTRY: Final = struct.Struct("<hhI")
GENERAL: Final = struct.Struct("<10xhdd8xd2x34s")  # power of ten; across, down; magnification; camera
GENERAL_KIND: Final = 1
MOST_ENTRIES: Final = 1000
POWERS: Final = range(-15, 1)


def recognises(evidence: Evidence) -> bool:
    """True when the tag leads to the structure."""
    return _head(evidence)[:4] == MAGIC


def read(evidence: Evidence) -> Metadata:
    """Metadata of the structure; without a length above zero the pixel is unknown."""
    head = _head(evidence)
    _, minute, hour, day, month, year, name, count = HEAD.unpack(head)
    pixel_nm, magnification, camera = None, None, None
    for kind, _, place in _entries(evidence, count):
        general = evidence.part(place, GENERAL.size) if kind == GENERAL_KIND else b""
        if len(general) == GENERAL.size:
            power, across, down, enlarged, camera = GENERAL.unpack(general)
            magnification = enlarged if math.isfinite(enlarged) and enlarged > 0 else None
            if power in POWERS and all(math.isfinite(side) and side > 0 for side in (across, down)):
                pixel_nm = (across * 10.0 ** (power + 9), down * 10.0 ** (power + 9))
            break
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(text((camera or name).split(b"\0")[0])),
            captured_at=_moment(1900 + year, month + 1, day, hour, minute),
            magnification=magnification,
        ),
        pixel_nm=pixel_nm,
        warnings=() if pixel_nm else ("pixel_size_unreadable: the SIS structure has no length of a pixel: pixel size unknown",),
    )


def _head(evidence: Evidence) -> bytes:
    """The structure's fixed part, where the tag points or, as a tag of bytes, in it; b"" when it is not whole."""
    head = evidence.tags[TAG][: HEAD.size] if TAG in evidence.tags else evidence.part(_place(evidence), HEAD.size)
    return head if len(head) == HEAD.size else b""


def _entries(evidence: Evidence, count: int) -> list[tuple[int, int, int]]:
    size = min(count, MOST_ENTRIES) * ENTRY.size
    if TAG in evidence.tags:
        raw = evidence.tags[TAG][HEAD.size : HEAD.size + size]
    else:
        raw = evidence.part(_place(evidence) + HEAD.size, size)
    return list(ENTRY.iter_unpack(raw[: len(raw) // ENTRY.size * ENTRY.size]))


def _place(evidence: Evidence) -> int:
    values = evidence.numbers.get(TAG)
    return int(values[0]) if values and math.isfinite(values[0]) and values[0] > 0 else -1


def _moment(*parts: int) -> datetime | None:
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - the file gives no time zone
    except ValueError:
        return None
