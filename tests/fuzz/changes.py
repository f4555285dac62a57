"""A good input and a list of edits in, a damaged one out; the same edits give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Kind = Literal["byte", "cut", "double", "insert", "number", "end", "splice"]
KINDS: Final[tuple[Kind, ...]] = ("byte", "cut", "double", "insert", "number", "end", "splice")
NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONGEST: Final = 1 << 16
"""Bytes that an edit takes away or doubles, at most."""


class Edit(NamedTuple):
    """where: 0 to 1 of the input.  value: what is written, how long, or which token, as the kind wants it."""

    kind: Kind
    where: float
    value: int


def changed(data: bytes, edits: Sequence[Edit], tokens: Sequence[bytes] = (), others: Sequence[bytes] = ()) -> bytes:
    """`data` after all `edits`; tokens are put in, others spliced on."""
    out = bytearray(data)
    for kind, where, value in edits:
        at = min(int(where * len(out)), max(0, len(out) - 1))
        length = value % LONGEST % (len(out) + 1)
        if kind == "byte" and out:
            out[at] = value & 0xFF
        elif kind == "cut":
            del out[at : at + length]
        elif kind == "double":
            out[at:at] = out[at : at + length]
        elif kind == "insert" and tokens:
            out[at:at] = tokens[value % len(tokens)] * (1 + value // 7 % 50 * (value % 3 == 0))
        elif kind == "number":
            size, order = ((2, "little"), (4, "little"), (4, "big"))[value % 3]
            number = NUMBERS[value // 3 % len(NUMBERS)] & (1 << 8 * size) - 1
            out[at : at + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        elif kind == "end":
            del out[at:]
        elif kind == "splice" and others:
            other = others[value % len(others)]
            out[at:] = other[min(at, len(other)) :]
    return bytes(out)
