"""A document in, its JSON out as UTF-8; with the ids, numbers and texts that every message writes alike.

Pure, as all encoders are: no clock, no disk, no network. The fields themselves stand in `edge.wire.documents`, each
message is filled in a module of its own: `inspection`, `summary`, `failure`, `status`, `command`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import uuid
from datetime import datetime, timezone
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import TypeAdapter

from edge.config import DeviceSettings
from edge.wire import documents
from edge.wire.documents import printable

VerdictKind = Literal["inspection", "failure"]
_EXPONENT: Final = re.compile(rb"e[-0-9]")


def serialise(document: documents.Document) -> bytes:
    """The document as one line of strict JSON. Raises ValueError when a free value in it is NaN or infinite."""
    long = _long_lists(type(document))
    fields = document.model_dump(mode="json", by_alias=True, exclude=set(long))
    written = [
        json.dumps(name) + ":" + (_list(getattr(document, name), long[name]) if name in long else _json(fields[name]))
        for name in field_names(type(document))
    ]
    return f"{{{','.join(written)}}}".encode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _list(values: list[documents.Document], kind: TypeAdapter[Any]) -> str:
    """As `_json` of the same values, by pydantic: the outlines of hundreds of regions take an eighth of the time."""
    written = kind.dump_json(values, by_alias=True)
    if b"0.0000" in written or _EXPONENT.search(written):  # Python writes small and large numbers in other digits
        return _json(kind.dump_python(values, mode="json", by_alias=True))
    return written.decode()


@cache
def _long_lists(kind: type[documents.Document]) -> dict[str, TypeAdapter[Any]]:
    """A message's fields that are lists of documents without a limit, such as regions, and what writes them."""
    found: dict[str, TypeAdapter[Any]] = {}
    for name, field in kind.model_fields.items():
        of = get_args(field.annotation)[0] if get_origin(field.annotation) is list else None
        if isinstance(of, type) and issubclass(of, documents.Document):
            found[name] = TypeAdapter(list[of])  # type: ignore[valid-type]
    return found


@cache
def field_names(kind: type[documents.Document]) -> tuple[str, ...]:
    """Names of a message's fields in the order of the wire: `schema` first.

    What every event carries is inherited, so it is defined first. It is sent after `seq`, or last where there is none.
    """
    names = [field.serialization_alias or name for name, field in kind.model_fields.items()]
    if not issubclass(kind, documents.EventDocument):
        return tuple(names)
    inherited = documents.EventDocument.model_fields
    own = [name for name in names if name not in inherited]
    place = own.index("seq") + 1 if "seq" in own else len(own)
    return (*own[:place], *inherited, *own[place:])


def verdict_id(epoch: str, path: str, revision: int, run: int, *, page: int = 0, kind: VerdictKind = "inspection") -> str:
    """The id of a verdict: UUIDv5 (RFC 9562, 5.5), the same however often it is computed or sent.

    The namespace is `epoch`. The name is path, revision and run, then the page when it is not the first, then the word
    "failure" for a failure; they are joined by NUL, which no path can hold. `path` is relative to the watched folder, as
    `os.fsdecode` gives it; its raw bytes are what counts. Raises ValueError when `epoch` is no UUID.
    """
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogatepass")
    parts = [raw, str(revision).encode(), str(run).encode()]
    if page:
        parts.append(str(page).encode())
    if kind != "inspection":
        parts.append(kind.encode())
    # uuid.uuid5 takes bytes only from Python 3.12 on.
    digest = hashlib.sha1(uuid.UUID(epoch).bytes + b"\0".join(parts), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def device_fields(device: DeviceSettings) -> documents.DeviceFields:
    """Which microscope, as every event says it."""
    return documents.DeviceFields(site=device.site, area=device.area, id=device.id)


def timestamp(at: datetime) -> str:
    """`at` in UTC with milliseconds, cut off, not rounded. Raises ValueError when it has no time zone."""
    utc = _in_utc(at)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def milliseconds(at: datetime) -> int:
    """The moment of `timestamp`, as milliseconds since 1970. Raises ValueError when it has no time zone."""
    utc = _in_utc(at)
    return round(utc.replace(microsecond=0).timestamp()) * 1000 + utc.microsecond // 1000


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"the time of an event needs a time zone: {at!r}")
    return at.astimezone(timezone.utc)


def display_path(path: str) -> str:
    r"""A path as it can be shown and sent: bytes that are no UTF-8 become ``\xNN``. See `documents.printable`."""
    return printable(path)


def shorten(text: str, length: int) -> str:
    """`text`, printable, in at most `length` characters; an ellipsis stands for what is cut off."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def to_finite(value: Any) -> float | None:
    """A number that has one, else None: for what the file or its name says, which may be nonsense."""
    try:
        return number if value is not None and math.isfinite(number := float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def to_significant(value: float, digits: int = 6) -> float:
    """`value` to so many significant digits. A value that is not finite stays so, and the document refuses it by name."""
    return float(f"{value:.{digits}g}")


def to_significant_or_none(value: float | None, digits: int = 6) -> float | None:
    """`value` to so many significant digits; None when it is unknown or not finite."""
    return None if value is None or not math.isfinite(value) else to_significant(value, digits)


def to_decimals(value: float, digits: int) -> float:
    """`value` to so many decimals. A value that is not finite stays so, and the document refuses it by name."""
    return round(float(value), digits)


def scale(pixels: float | None, *um: float | None) -> float | None:
    """`pixels` times each factor, to six significant digits; None when anything is unknown or the result is not finite."""
    if pixels is None:
        return None
    product = float(pixels)
    for factor in um:
        if factor is None:
            return None
        product *= factor
    return to_significant_or_none(product)
