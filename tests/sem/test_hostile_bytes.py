"""Whatever the bytes are: micrographs or ImageError, never anything else."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import ImageError
from edge.sem import Limits, completeness, needs_sidecar, parse, read, reading
from edge.sem.evidence import Evidence
from edge.sem.structure import layout
from tests.sem.making import (
    bar,
    encoded,
    fei,
    fibics,
    hitachi,
    jeol,
    memento,
    overlapping_tiff,
    png_header,
    specimen,
    tescan_tag,
    tiff,
    with_png_chunks,
    zeiss,
)

PHENOM = '<FeiImage><databarHeight>16</databarHeight><pixelWidth unit="nm">25.5</pixelWidth></FeiImage>'
SMALL = np.vstack([specimen(48, 64), bar(16, 64)])
FILES = (
    tiff(SMALL, {34682: fei()}),
    tiff(SMALL, {34118: zeiss()}),
    tiff(SMALL, {50431: tescan_tag()}),
    tiff(SMALL, {34683: PHENOM}),
    tiff(SMALL, {34682: memento()}),
    tiff(SMALL, {51023: fibics()}),
    tiff(SMALL.astype(np.uint16), byteorder=">", compression="lzw"),
    tiff(SMALL, tile=(16, 16), compression="zlib", bigtiff=True),
    tiff(SMALL, compression="jpeg"),
    tiff(SMALL.astype(np.float32)),
    tiff(np.stack([SMALL] * 3), photometric="minisblack"),
    tiff(np.dstack([SMALL] * 3), photometric="rgb"),
    tiff(SMALL, compression="packbits", photometric="miniswhite"),
    encoded(SMALL, ".png"),
    encoded(SMALL, ".jpg"),
    encoded(SMALL, ".bmp"),
    with_png_chunks(encoded(SMALL, ".png"), (b"tEXt", b"a\0b"), (b"zTXt", b"c\0\0" + zlib.compress(b"d"))) + b"behind",
    with_png_chunks(encoded(SMALL, ".png"), (b"sCAL", b"\x012.5e-08\x002.5e-08")),
    encoded(SMALL, ".jpg") + b"behind",
    encoded(SMALL, ".jpg") + PHENOM.encode(),
)
LIMITS = Limits(max_pixels=1_000_000)


def survives(data: bytes, sidecars: dict[str, bytes] | None = None) -> None:
    completeness(data)
    found = layout(data)
    places = [place for _, place in found.chunks] + [place for page in found.pages for place in page.tags.values()]
    assert all(0 <= start <= start + length <= len(data) for start, length in places)
    parse.png_texts(Evidence("a.png", 1, 1, chunks=found.chunks, data=memoryview(data)))
    needs_sidecar(data, "a.tif")
    with contextlib.suppress(ImageError):
        assert read(data, "a.tif", sidecars or {}, LIMITS)


changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from([0, 1, 2, 4, 8, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)),
    min_size=1,
    max_size=12,
)
unhurried = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@unhurried
@given(st.sampled_from(FILES), changes, st.floats(0.01, 1))
def test_changed_bytes_anywhere(data: bytes, edits: list[tuple[float, int]], reach: float) -> None:
    damaged = bytearray(data)
    for where, value in edits:
        damaged[int(where * reach * len(data))] = value
    survives(bytes(damaged))


@unhurried
@given(st.sampled_from(FILES), st.floats(0, 1), st.binary(max_size=64))
def test_cut_and_continued(data: bytes, part: float, rest: bytes) -> None:
    survives(data[: int(part * len(data))] + rest)


@unhurried
@given(
    st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"]),
    st.binary(max_size=400),
)
def test_random_bytes_after_a_magic_number(magic: bytes, rest: bytes) -> None:
    survives(magic + rest)


@unhurried
@given(st.sampled_from([jeol(), hitachi().encode(), hitachi().encode("utf-16")]), changes)
def test_damaged_sidecars_do_not_cost_the_image(sidecar: bytes, edits: list[tuple[float, int]]) -> None:
    damaged = bytearray(sidecar)
    for where, value in edits:
        damaged[int(where * len(sidecar))] = value
    (micrograph,) = read(FILES[0], "a.tif", {"a.txt": bytes(damaged)})
    assert micrograph.grey.shape[1] == 64


@unhurried
@given(st.sampled_from([34682, 34683, 34118, 50431, 51023]), st.binary(max_size=300))
def test_any_bytes_as_metadata_do_not_cost_the_image(tag: int, raw: bytes) -> None:
    (micrograph,) = read(tiff(SMALL, {tag: raw or b"x"}), "a.tif")
    assert micrograph.grey.shape[1] == 64


@pytest.mark.parametrize("data", FILES)
def test_every_kind_is_readable_to_begin_with(data: bytes) -> None:
    assert read(data, "a.tif")


FAMILY_TAGS = (270, 34118, 34680, 34682, 34683, 50431)
POISON = {
    "text tags on the same bytes": overlapping_tiff(64, range(40000, 40900), b"AP_X\r\nv = 1\r\n" * 20_000),
    "families' tags on the same bytes": overlapping_tiff(64, FAMILY_TAGS, b"[Scan]\r\nk=1\r\n" * 20_000),
    "one text for all pages": overlapping_tiff(64, [34118], b"AP_X\r\nv = 1\r\n" * 20_000),
    "elements that never close": overlapping_tiff(1, [34683], b"<PixelSize>" * 20_000),
    "elements that never end": overlapping_tiff(1, [34683], b"<PixelSize " * 20_000),
    "padding": b"\xff\xd8" + b"\xff" * (8 << 20),
    "empty segments": b"\xff\xd8" + b"\xff\xe0\0\2" * (2 << 20),
    "markers without length": b"\xff\xd8\xff\xe0\0\2" + b"\xff\xd0" * (4 << 20),
    "empty chunks": png_header(8, 8)[:33] + b"\0\0\0\0teXt\0\0\0\0" * (1 << 19),
}


@pytest.mark.parametrize("name", POISON)
def test_looking_at_a_structure_costs_memory_like_the_file_and_no_more(name: str) -> None:
    data = POISON[name]
    for look in (completeness, lambda data: needs_sidecar(data, "a.tif")):
        tracemalloc.start()
        look(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 * len(data) + (16 << 20)
    with contextlib.suppress(ImageError):
        assert read(data, "a.tif", {}, LIMITS)


def test_a_text_that_all_pages_share_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[Evidence] = []
    real = reading.describe
    monkeypatch.setattr(reading, "describe", lambda evidence: described.append(evidence) or real(evidence))
    assert len(read(POISON["one text for all pages"], "a.tif")) == 64
    assert len(described) == 1


def test_tables_that_lie_on_one_another_are_not_read_for_ever() -> None:
    count = 1 << 16
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), *((330, 4, count, 8) for _ in range(900))]
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    data = struct.pack("<2sHI", b"II", 42, 8 + 4 * count) + bytes(4 * count) + ifd
    assert any("ifd_damaged" in warning for warning in layout(data).warnings)
