"""Whatever the bytes are: micrographs or ImageError, never anything else."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import ImageError
from edge.sem import Limits, completeness, needs_sidecar, parse, read
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
