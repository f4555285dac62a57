"""What a microscope wrote, as bytes or text, in; checked values out. What cannot be read is unknown, nothing is guessed.

Every family of microscopes has its own keys and its own module; here is what they share: encodings, INI and XML, the
texts of a PNG, numbers, lengths, angles and dates.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from edge.records import TILT_WITHOUT_EFFECT_DEG
from edge.sem.evidence import Evidence

NM: Final = {"pm": 1e-3, "å": 0.1, "nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "mm": 1e6,
             "cm": 1e7, "m": 1e9, "angstrom": 0.1, "angstroms": 0.1}  # fmt: skip
NM.update({prefix + ending: nm for prefix, nm in (("pico", 1e-3), ("nano", 1.0), ("micro", 1e3), ("milli", 1e6), ("centi", 1e7))
           for ending in ("meter", "meters", "metre", "metres")})  # fmt: skip
DEGREES: Final = {"°": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": math.degrees(1), "radian": math.degrees(1),
                  "radians": math.degrees(1), "mrad": math.degrees(1e-3)}  # fmt: skip
MAX_TEXT: Final = 1 << 24
"""Bytes of a decompressed text that are taken; a kilobyte of zlib can claim a gigabyte."""
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")


def text(raw: bytes) -> str:
    """Text of a tag or sidecar: UTF-16 or UTF-8 by their marks or shape, else cp932 where it decodes, else cp1252."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    for encoding, zeros in (("utf-16-le", raw[1:200:2]), ("utf-16-be", raw[0:200:2])):
        if len(zeros) > 4 and zeros.count(0) > 0.8 * len(zeros):
            return raw.decode(encoding, "replace")
    raw = raw.rstrip(b"\0")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # µ is B5 in cp1252, and a one-byte katakana in cp932: only text with two-byte characters speaks for Japanese.
    if re.search(rb"[\x81-\x9f\xe0-\xef][\x40-\x7e\x80-\xfc]", raw) and b"\xb5m" not in raw and b"\xb0" not in raw:
        try:
            return raw.decode("cp932")
        except UnicodeDecodeError:
            pass
    return raw.decode("cp1252", "replace")


def normalize(string: str) -> str:
    """Full-width and compatibility characters made ordinary (NFKC), outer blanks and zero bytes removed."""
    ordinary = string if string.isascii() else unicodedata.normalize("NFKC", string)
    return ordinary.strip(" \t\r\n\0")


def number(string: str | None) -> float | None:
    """First number in `string`, with a decimal point or comma; None when there is none or it is not finite."""
    match = _NUMBER.search(normalize(string)) if string else None
    if match is None:
        return None
    value = float(match.group().replace(",", "."))
    return value if math.isfinite(value) else None


def positive(string: str | None) -> float | None:
    """First number in `string` if it is above zero."""
    value = number(string)
    return value if value is not None and value > 0 else None


def whole(string: str | None) -> int | None:
    """First number in `string` as a count of pixels."""
    value = positive(string)
    return int(value) if value is not None and value < 1e7 else None


def length_nm(string: str | None, unit: str | None = None) -> float | None:
    """A length such as "10um", "558.2 pm" or "3.4 µm" in nanometres; `unit` when the text has none of its own."""
    match = re.search(rf"({_NUMBER.pattern})\s*([A-Za-zµμÅå]*)", normalize(string)) if string else None
    if match is None:
        return None
    name = (match.group(2) or unit or "").lower()
    value = positive(match.group(1))
    return None if value is None or name not in NM else value * NM[name]


def angle_deg(string: str | None, unit: str | None = None) -> float | None:
    """An angle such as "0.9076 rad" or "52 °" in degrees; `unit` when the text has none. None beyond half a turn."""
    match = re.search(rf"({_NUMBER.pattern})\s*([A-Za-z°]*)", normalize(string)) if string else None
    value = number(match.group(1)) if match else None
    in_degrees = DEGREES.get(((match.group(2) if match else "") or unit or "").lower())
    if value is None or in_degrees is None or abs(value * in_degrees) > 180:
        return None
    return value * in_degrees


def is_corrected(tilt_deg: float | None, correction: bool | None, correction_deg: float | None = None) -> bool | None:
    """Whether the scan was stretched for this tilt: switched on, and, where an angle is written, by about the same one."""
    if not correction or tilt_deg is None or correction_deg is None:
        return correction
    return abs(abs(tilt_deg) - abs(correction_deg)) <= TILT_WITHOUT_EFFECT_DEG


def ini(string: str) -> dict[str, dict[str, str]]:
    """Sections of `[Section]` and `Key=Value` lines; lines before any section are in section ""; the first of equals wins."""
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for raw in string.splitlines():
        line = normalize(raw)
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip(), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            current.setdefault(key.strip(), value.strip())
    return sections


def png_texts(evidence: Evidence) -> dict[str, str]:
    """Texts by keyword, of a PNG's chunks tEXt, zTXt and iTXt (ISO/IEC 15948, 11.3.4); the first of equal keywords wins."""
    texts: dict[str, str] = {}
    for kind in ("tEXt", "zTXt", "iTXt"):
        for content in evidence.chunk(kind):
            keyword, _, raw = content.partition(b"\0")
            if kind == "zTXt":
                raw = _unpacked(raw[1:])
            elif kind == "iTXt":  # is compressed, method, language \0 translated keyword \0 text
                body = raw[2:].split(b"\0", 2)[-1]
                raw = _unpacked(body) if raw[:1] == b"\1" else body
            texts.setdefault(keyword.decode("latin-1"), text(raw))
    return texts


def _unpacked(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(raw, MAX_TEXT)
    except zlib.error:
        return b""


def kilovolts(string: str | None) -> float | None:
    """A voltage such as "15 kV" or "-15000 V" in kV, positive also where a potential is written; volts without a unit."""
    value = number(string)
    if value is None:
        return None
    return abs(value) if "kv" in (string or "").lower() else abs(value) / 1000


def xml_text(xml: str, *path: str) -> str | None:
    """Text of the first element found by descending through `path`; by hand, since damaged XML must not cost the rest."""
    for name in path:
        start = next((end + 1 for _, end in _openings(xml, name)), -1)
        end = xml.find(f"</{name}>", start) if start >= 0 else -1
        if end < 0:
            return None
        xml = xml[start:end]
    return xml


def _openings(xml: str, name: str) -> Iterator[tuple[int, int]]:
    """(behind the name, at the ">") of each opening tag. One pass, also where nothing is ever closed."""
    at = xml.find(f"<{name}")
    while at >= 0:
        behind = at + 1 + len(name)
        if xml[behind : behind + 1] == ">" or xml[behind : behind + 1].isspace():
            end = xml.find(">", behind)
            if end < 0:
                yield behind, len(xml)
                return
            yield behind, end
            at = xml.find(f"<{name}", end)
        else:
            at = xml.find(f"<{name}", behind)


def xml_attribute(xml: str, name: str, *path: str) -> str | None:
    """Value of an attribute of the first element found by descending through `path`, also in XML that is damaged."""
    *outer, element = path
    inside = (xml_text(xml, *outer) if outer else xml) or ""
    wanted = re.compile(rf"\s{name}\s*=\s*([\"'])")
    for behind, end in _openings(inside, element):
        if (match := wanted.search(inside, behind, end)) is not None:
            value = inside[match.end() :].partition(match.group(1))
            return value[0] if value[1] else None
    return None


def moment(string: str | None, formats: Iterable[str]) -> datetime | None:
    """Date and time in one of `formats`, naive; None when it is in none of them."""
    return next((found for form in formats if (found := _moment(normalize(string or ""), form))), None)


def _moment(string: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(string, form)  # noqa: DTZ007 - the file gives no time zone
    except ValueError:
        return None


CLOCKS: Final = ("%I:%M:%S %p", "%H:%M:%S", "%I:%M %p", "%H:%M")


def local_moment(date: str, time: str) -> tuple[datetime | None, tuple[str, ...]]:
    """A moment written in the manner of an unknown country, and a doubt.

    12/10/2017 may be December or October: unknown, except that AM and PM are written where the month comes first.
    """
    stamp = f"{normalize(date)} {normalize(time)}"
    year_first = moment(stamp, (f"%Y{mark}%m{mark}%d {clock}" for mark in "/.-" for clock in CLOCKS))
    month_first = moment(stamp, (f"%m/%d/%Y {clock}" for clock in CLOCKS))
    day_first = moment(stamp, (f"%d{mark}%m{mark}%Y {clock}" for mark in "/.-" for clock in CLOCKS))
    if month_first and day_first and month_first != day_first and not re.search(r"\b[AP]M\b", time):
        return None, (f"date_ambiguous: {normalize(date)} may be day/month or month/day: left unknown",)
    return year_first or month_first or day_first, ()


def stem(name: str) -> str:
    """The file name without its last extension."""
    return name.rpartition(".")[0] or name


def words(string: str | None) -> str | None:
    """The text itself, None when it is empty."""
    return normalize(string) or None if string else None
