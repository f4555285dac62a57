"""Files that real microscopes wrote in; the same out with coarse pixels, small enough to be kept beside the tests.

    python tests/data/make.py FOLDER

FOLDER holds the files of NexusLIMS' tests that the README names. Every tag but those that place the pixels is kept,
byte for byte, and so is every row of the data bar. The image above it keeps one grey for each block of 16 x 16 pixels.
"""

from __future__ import annotations

import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
COARSENED = {  # rows of the data bar at the bottom
    "quanta_image.tif": 59,
    "quanta-fei_2_dataZeroed.tif": 59,
    "scios_multiple_gis_metadata_sections.tif": 140,
    "scios_xml_metadata.tif": 0,
    "tescan-pfib_dataZeroed.tif": 298,
}
COPIED = (
    "LICENSE.nexuslims",
    "jeol_7800f_sidecar.txt",
    "quanta_bad_metadata.tif",
    "quanta_image_32bit.tif",
    "quanta_just_modded_mdata.tif",
    "tescan-pfib_dataZeroed.hdr",
)
BLOCK = 16
COMPRESSION, STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_COUNTS, EXIF = 259, 273, 278, 279, 34665
DEFLATE = 8
SHORT, LONG = 3, 4
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}  # bytes a value of each TIFF type that occurs in these files

Tag = tuple[int, int, int, bytes]  # number, type, count, value


def tags_of(data: bytes, at: int) -> list[Tag]:
    """Tags of the IFD at `at` of a little-endian TIFF, as they stand there."""
    (count,) = struct.unpack_from("<H", data, at)
    tags = []
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        number, kind, values = struct.unpack_from("<HHI", data, entry)
        size = SIZES[kind] * values
        start = entry + 8 if size <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
        tags.append((number, kind, values, data[start : start + size]))
    return tags


def written(tags: list[Tag], at: int) -> bytes:
    """An IFD that begins at byte `at`, its values behind it."""
    behind = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for number, kind, count, value in sorted(tags):
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack("<I", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        entries += struct.pack("<HHI", number, kind, count) + place
    return struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + values


def coarse(values: NDArray[np.generic], bar_rows: int) -> NDArray[np.generic]:
    """One value for each block of the image, the value of its first pixel; the data bar as it is."""
    rows = values.shape[0] - bar_rows
    blocks = values[:rows:BLOCK, ::BLOCK].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return np.concatenate([blocks[:rows, : values.shape[1]], values[rows:]])


def small(data: bytes, bar_rows: int) -> bytes:
    """The TIFF with coarse pixels, deflated in one strip."""
    (at,) = struct.unpack_from("<I", data, 4)
    tags = tags_of(data, at)
    first = {number: int.from_bytes(value[: SIZES[kind]], "little") for number, kind, _, value in tags}
    width, height, depth = first[256], first[257], first[258] // 8
    places = {number: np.frombuffer(value, "<u4" if kind == LONG else "<u2").tolist() for number, kind, _, value in tags
              if number in (STRIP_OFFSETS, STRIP_COUNTS)}  # fmt: skip
    strips = zip(places[STRIP_OFFSETS], places[STRIP_COUNTS], strict=True)
    stored = b"".join(data[start : start + count] for start, count in strips)
    values = np.frombuffer(stored, f"<u{depth}", width * height).reshape(height, width)
    packed = zlib.compress(coarse(values, bar_rows).tobytes(), 9)
    placed = [
        (COMPRESSION, SHORT, 1, struct.pack("<H", DEFLATE)),
        (STRIP_OFFSETS, LONG, 1, struct.pack("<I", 8)),
        (ROWS_PER_STRIP, LONG, 1, struct.pack("<I", height)),
        (STRIP_COUNTS, LONG, 1, struct.pack("<I", len(packed))),
    ]
    kept = [tag for tag in tags if tag[0] not in {EXIF, *(number for number, *_ in placed)}]
    pixels = packed + b"\0" * (len(packed) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + written(kept + placed, 8 + len(pixels))


def main(folder: Path) -> None:
    """Write all files of `COARSENED` and `COPIED` beside this one."""
    for name in COPIED:
        shutil.copyfile(folder / name, HERE / name)
    for name, bar_rows in COARSENED.items():
        (HERE / name).write_bytes(small((folder / name).read_bytes(), bar_rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
