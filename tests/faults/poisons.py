"""A folder in; one poison file of a class in it, and what may be told of it, out: the table of all classes."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.errors import FAILURE_CODES
from tests.faults.book import picture
from tests.faults.breaking import Unavailable
from tests.faults.poisoned import WHAT
from tests.sem.making import encoded, overlapping_tiff, png_chunk, png_header, specimen, tiff, with_png_chunks

SEED: Final = 900_001
ANY: Final = frozenset(FAILURE_CODES) - {"internal", "crashed"}
EITHER: Final = ANY | {"inspected"}
WHOLE: Final = frozenset({"inspected"})
MIB: Final = 1 << 20
_GOOD: Final = specimen(64, 64)


@dataclass(frozen=True)
class Poison:
    """One class.

    put: makes it in the folder and returns its path below, None where no verdict is due.  told: codes of failures that fit,
    `inspected` where a verdict does.  ends: of the daemon by itself that it may cause.  hangs: it makes a thread stand still.
    """

    put: Callable[[Path], str | None]
    told: frozenset[str]
    ends: int = 0
    hangs: bool = False


def _bytes(name: str, make: Callable[[], bytes]) -> Callable[[Path], str]:
    def put(folder: Path) -> str:
        (folder / name).write_bytes(make())
        return name

    return put


def _good_png() -> bytes:
    return picture(SEED, ".png")


def _inflating_pixels() -> bytes:
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(256 * MIB), 1)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def _claiming_jpeg() -> bytes:
    """Its frame header says 65,500 x 65,500 pixels."""
    data = bytearray(encoded(_GOOD, ".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def _many_scans() -> bytes:
    """A progressive JPEG whose last scan comes a thousand times."""
    data = encoded(_GOOD, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 1000 + b"\xff\xd9"


def _wild_bmp() -> bytes:
    data = bytearray(encoded(_GOOD, ".bmp"))
    data[18:26] = struct.pack("<ii", 0x7FFFFFFF, -0x80000000)
    return bytes(data)


def _directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A directory of a small TIFF: (tag, type, count, value) and where the next one is."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + rows + struct.pack("<I", following)


def _small_tiff(changes: dict[int, tuple[int, int, int]], *, following: int = 0) -> bytes:
    """64 pixels, then one directory at 72. changes: (type, count, value) by tag."""
    entries = {256: (4, 1, 8), 257: (4, 1, 8), 258: (4, 1, 8), 259: (4, 1, 1), 262: (4, 1, 1), 273: (4, 1, 8),
               277: (4, 1, 1), 278: (4, 1, 8), 279: (4, 1, 64), **changes}  # fmt: skip
    rows = [(tag, *entry) for tag, entry in entries.items()]
    return struct.pack("<2sHI", b"II", 42, 72) + bytes(range(1, 65)) + _directory(rows, following)


def _entities() -> bytes:
    """XML in which each of nine entities is ten of the one before."""
    names = "abcdefghij"
    inner = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    text = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{inner}]><FeiImage><pixelWidth>&j;</pixelWidth></FeiImage>'
    )
    return tiff(_GOOD, {34683: text})


def _inflating_strip() -> bytes:
    """Deflated pixels of a TIFF that give a quarter of a gigabyte in place of 64 bytes."""
    packed = zlib.compress(bytes(256 * MIB), 1)
    data = bytearray(_small_tiff({259: (4, 1, 8), 279: (4, 1, len(packed))}))
    at = data.index(struct.pack("<HHII", 273, 4, 1, 8))
    data[at + 8 : at + 12] = struct.pack("<I", len(data))
    return bytes(data) + packed


def _chain(pages: int) -> bytes:
    return overlapping_tiff(pages, [], b"x" * 8)


def _vast(name: str, beside: str | None = None) -> Callable[[Path], str]:
    """A file of 4 TiB that takes no room."""

    def put(folder: Path) -> str:
        with (folder / (beside or name)).open("wb") as stream:
            stream.truncate(4 << 40)
        if beside:
            (folder / name).write_bytes(picture(SEED, ".tif"))
        return name

    return put


def _dated(when_s: int) -> Callable[[Path], str]:
    def put(folder: Path) -> str:
        part = folder / f"dated_{when_s}.part"
        part.write_bytes(_good_png())
        os.utime(part, (when_s, when_s))
        part.rename(part.with_suffix(".png"))
        return f"{part.stem}.png"

    return put


def _deep_link(folder: Path) -> str:
    """A link to a link to a link …, further than Python's stack is deep."""
    target = "nowhere"
    for number in range(1500):
        (folder / f"{number}.link").symlink_to(target)
        target = f"{number}.link"
    (folder / "deep.png").symlink_to(target)
    return "deep.png"


def _link(name: str, target: str) -> Callable[[Path], str]:
    def put(folder: Path) -> str:
        (folder / name).symlink_to(target)
        return name

    return put


def _nothing(put: Callable[[Path], str]) -> Callable[[Path], None]:
    def put_it(folder: Path) -> None:
        put(folder)

    return put_it


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.tif")
    return "pipe.tif"


def _socket(folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as door:
        before = Path.cwd()
        os.chdir(folder)  # a socket's path may have 107 bytes
        try:
            door.bind("door.png")
        finally:
            os.chdir(before)
    return "door.png"


def _folder(folder: Path) -> str:
    (folder / "folder.tif").mkdir()
    return "folder.tif"


def _device(folder: Path) -> str:
    try:
        os.mknod(folder / "zero.bmp", stat.S_IFCHR | 0o644, os.makedev(1, 5))
    except PermissionError as error:
        raise Unavailable("a device can only be made as root") from error
    return "zero.bmp"


def _beside_pipe(folder: Path) -> str:
    os.mkfifo(folder / "beside.txt")
    (folder / "beside.tif").write_bytes(picture(SEED, ".tif"))
    return "beside.tif"


def _deep_folder(folder: Path) -> str:
    """As deep as a path may be long."""
    part, path = "d" * 200, ""
    while len(os.fsencode(folder)) + len(path) < 3600:
        path += f"{part}/"
    (folder / path).mkdir(parents=True)
    (folder / path / "deep.png").write_bytes(_good_png())
    return f"{path}deep.png"


def _named(name: bytes) -> Callable[[Path], str]:
    def put(folder: Path) -> str:
        with open(os.fsencode(folder) + b"/" + name, "wb") as stream:
            stream.write(_good_png())
        return os.fsdecode(name)

    return put


def _played(what: str, where: str) -> tuple[str, Poison]:
    """A library dies, hangs or fails, see `poisoned`. What ends the process does so once: then it is tried in a child.

    A picture is drawn in the daemon alone: after the verdict, and twice more in its next lives.
    """
    assert what in WHAT
    told, ends = frozenset({"crashed"}), 1
    if what in ("memory", "recursion", "unspeakable", "long"):
        told, ends = frozenset({"internal"}), 0
    if where == "drawn":
        told, ends = WHOLE, 3 if what == "segv" else 0
    name = f"poison-{what}-{where}.png"
    hangs = what in ("sleep", "holdgil", "spin")
    return f"{what} while {where}", Poison(_bytes(name, _good_png), told, ends, hangs)


PLAYED: Final = (
    *(("read", what) for what in WHAT if what != "backend"),
    *(("judged", what) for what in ("segv", "backend", "unspeakable", "panic", "sleep")),
    *(("drawn", what) for what in ("segv", "unspeakable")),
)
FILES: Final[dict[str, Poison]] = {
    "text chunks without end": Poison(
        _bytes("chunks.png", lambda: png_header(8, 8)[:33] + b"\0\0\0\0teXt\0\0\0\0" * (1 << 18)), ANY
    ),
    "padding without end": Poison(_bytes("padding.jpg", lambda: b"\xff\xd8" + b"\xff" * (4 * MIB)), ANY),
    "segments without end": Poison(_bytes("segments.jpg", lambda: b"\xff\xd8" + b"\xff\xe0\0\2" * (1 << 20)), ANY),
    "a PNG of 100,000 x 100,000": Poison(_bytes("bomb.png", lambda: png_header(100_000, 100_000)), frozenset({"too_large"})),
    "pixels of a PNG that inflate": Poison(_bytes("pixels.png", _inflating_pixels), EITHER),
    "a text that inflates": Poison(
        _bytes("text.png", lambda: with_png_chunks(_good_png(), (b"zTXt", b"a\0\0" + zlib.compress(bytes(256 * MIB), 1)))),
        WHOLE,
    ),
    "a JPEG of 65,500 x 65,500": Poison(_bytes("claims.jpg", _claiming_jpeg), frozenset({"too_large"})),
    "a thousand scans": Poison(_bytes("scans.jpg", _many_scans), EITHER),
    "a BMP of wild sizes": Poison(_bytes("wild.bmp", _wild_bmp), ANY),
    "a directory that is its own next": Poison(_bytes("loop.tif", lambda: _small_tiff({}, following=72)), EITHER),
    "20,000 directories": Poison(_bytes("chain.tif", lambda: _chain(20_000)), EITHER),
    "four thousand million strips": Poison(
        _bytes("strips.tif", lambda: _small_tiff({273: (4, 0xFFFFFFFF, 8), 279: (4, 0xFFFFFFFF, 8)})), ANY
    ),
    "a tag of four gigabytes": Poison(_bytes("tag.tif", lambda: _small_tiff({34682: (2, 0xFFFFFFFF, 8)})), EITHER),
    "tags that overlap": Poison(
        _bytes("overlap.tif", lambda: overlapping_tiff(2, range(40000, 40900), b"AP_X\r\nv = 1\r\n" * 5_000)), EITHER
    ),
    "50,000 elements within another": Poison(
        _bytes("elements.tif", lambda: overlapping_tiff(1, [34683], b"<PixelSize>" * 50_000)), EITHER
    ),
    "entities in entities": Poison(_bytes("entities.tif", _entities), WHOLE),
    "a strip that inflates": Poison(_bytes("strip.tif", _inflating_strip), EITHER),
    "offsets beyond 2^63": Poison(
        _bytes("far.tif", lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", 0xFFFFFFFFFFFFFFF0) + bytes(64)), ANY
    ),
    "numbers that are none": Poison(_bytes("nan.tif", lambda: tiff(np.full((64, 64), np.nan, np.float32))), WHOLE),
    "four terabytes of nothing": Poison(_vast("vast.tif"), frozenset({"too_large"})),
    "a sidecar of four terabytes": Poison(_vast("vastly.tif", "vastly.txt"), WHOLE),
    "a sidecar that is a pipe": Poison(_beside_pipe, WHOLE),
    "dated after 2262": Poison(_dated(10_000_000_000), WHOLE),
    "dated before 1970": Poison(_dated(-1_000_000_000), WHOLE),
    "a chain of 1,500 links": Poison(_deep_link, ANY),
    "a link to itself": Poison(_nothing(_link("itself.png", "itself.png")), frozenset()),
    "a link out of the folder": Poison(_link("link.png", "/etc/passwd"), frozenset({"outside_folder"})),
    "a pipe": Poison(_pipe, frozenset({"not_a_file"})),
    "a socket": Poison(_socket, frozenset({"not_a_file"})),
    "a folder": Poison(_folder, frozenset({"not_a_file"})),
    "a device": Poison(_device, frozenset({"not_a_file"})),
    "as deep as paths go": Poison(_deep_folder, WHOLE),
    "a name that is no UTF-8": Poison(_named(b"byte\xff\xfe.png"), WHOLE),
    "a name of controls": Poison(_named(b"a\nb\x1b[2J\t'\";--$(x).png"), WHOLE),
}
POISONS: Final = {**FILES, **dict(_played(what, where) for where, what in PLAYED)}
