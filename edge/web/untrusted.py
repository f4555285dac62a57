"""Payloads from a broker in, where anybody may publish, documents out that can be shown; None for whatever else it is."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from edge.web.rows import Row, failure_row, inspection_row

DEEPEST: Final = 32
LARGEST_DOCUMENT: Final = 8 << 20
LONGEST_TEXT: Final = 4096
LARGEST_NUMBER: Final = 2**53
_NO_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\[\]{}"]+', re.DOTALL)
_TEXTS: Final = (
    *("path", "name", "label", "own_class", "state", "source", "code", "message"),
    *("sha256", "segmenter", "classifier", "taught"),
)
_LISTS: Final = ("reasons", "warnings", "prediction_set")
_COUNTS: Final = ("seq", "ts_ms", "page", "revision", "run", "region_count")


def document(payload: bytes, schema: str) -> dict[str, Any] | None:
    """The object of JSON with this schema. Its numbers are finite, its texts can be written, it is not deep."""
    if len(payload) > LARGEST_DOCUMENT or _deep(payload):
        return None
    try:
        found = json.loads(payload, parse_constant=_refused, parse_float=_finite)
        if b"\\ud" in payload.lower():  # half a surrogate pair cannot be sent on
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == schema else None


def verdict_row(said: dict[str, Any], kind: str) -> Row | None:
    """The row of an inspection or failure, None where a field is of another kind or beyond all measure."""
    try:
        row = inspection_row(said) if kind == "inspection" else failure_row(said)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None
    sample = row["sample"]
    right = (
        all(row[name] is None or text(row[name]) for name in (*_TEXTS, "epoch", "settings_sha256") if name in row)
        and all(row[name] is None or count(row[name]) for name in _COUNTS if name in row)
        and all(row[name] is None or _texts(row[name]) for name in _LISTS)
        and len(sample) <= 50
        and all(text(name) and (isinstance(value, float) or text(value) or count(value)) for name, value in sample.items())
    )
    return row if right and count(row["seq"]) and text(row["epoch"]) else None


def text(value: Any) -> bool:
    """Whether it is a text of a sensible length."""
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def count(value: Any) -> bool:
    """Whether it is a whole number that a browser can hold."""
    return isinstance(value, int) and 0 <= value <= LARGEST_NUMBER


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 50 and all(map(text, value))


def _deep(payload: bytes) -> bool:
    brackets = _NO_BRACKET.sub(b"", payload)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return False
    return True


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large")
    return number
