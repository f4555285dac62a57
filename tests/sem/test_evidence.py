"""What a family of microscopes may look at, and what it costs."""

from __future__ import annotations

import tracemalloc

import pytest

from edge.sem.evidence import MAX_PART, Cuts, Evidence, Parts
from edge.sem.structure import Span

DATA = memoryview(b"0123456789")


def evidence(data: memoryview = DATA) -> Evidence:
    return Evidence("a.png", 8, 8, chunks=(("tEXt", Span(1, 2)), ("pHYs", Span(3, 1)), ("tEXt", Span(8, 2))), data=data)


def test_chunks_of_one_name_come_in_the_order_of_the_file() -> None:
    assert evidence().chunk("tEXt") == (b"12", b"89")
    assert evidence().chunk("zTXt") == ()


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (9, 2), (10**12, 1), (0, -1), (-3, 1)])
def test_a_place_outside_the_file_is_empty(start: int, length: int) -> None:
    assert evidence().part(start, length) == b""


def test_a_place_inside_the_file_is_its_bytes() -> None:
    assert evidence().part(0, 10) == b"0123456789"
    assert evidence().part(4, 3) == b"456"


def test_tags_are_cut_out_when_they_are_asked_for() -> None:
    tags = Parts(DATA, {270: Span(2, 3)})
    assert (270 in tags, 271 in tags, list(tags), len(tags)) == (True, False, [270], 1)
    assert tags[270] == tags.get(270) == b"234"
    assert tags.get(271, b"") == b""
    with pytest.raises(KeyError):
        tags[271]


def test_a_large_file_is_neither_copied_nor_taken_as_a_whole() -> None:
    data = memoryview(bytes(4 * MAX_PART))
    tracemalloc.start()
    whole = Evidence(
        "a", 1, 1, tags=Parts(data, {270: Span(0, len(data))}), chunks=(("trailer", Span(0, len(data))),), data=data
    )
    assert 270 in whole.tags
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    assert len(whole.tags[270]) == len(whole.chunk("trailer")[0]) == len(whole.part(0, len(data))) == MAX_PART


def test_what_the_pages_of_a_file_cut_out_together_is_no_longer_than_the_file() -> None:
    data = memoryview(bytes(1 << 20))
    cuts = Cuts(data)
    for _ in range(256):
        assert len(Parts(cuts, {270: Span(0, 1 << 19)})[270]) == 1 << 19  # the same part is one part
    with pytest.raises(ValueError, match="lie on one another"):
        [Evidence("a", 1, 1, data=cuts).part(start, 1 << 19) for start in range(4)]
