"""Every reader of bytes from outside, on damaged inputs: only its own errors, within bounded memory and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.changes import KINDS, Edit, changed
from tests.fuzz.limits import MEMORY_BYTES, OverLimitError, bounded
from tests.fuzz.readers import BY_NAME, READERS, Reader

FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
EXAMPLES = 150

edits = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 1 << 16)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_good_inputs_are_read_within_the_limits(reader: Reader) -> None:
    for seed in reader.seeds():
        bounded(reader.run, reader.allowed, seed)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_inputs_raise_only_the_readers_own_errors_within_the_limits(reader: Reader) -> None:
    seeds = reader.seeds()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.sampled_from(seeds), edits)
    def tried(seed: bytes, some: list[Edit]) -> None:
        bounded(reader.run, reader.allowed, changed(seed, some, reader.tokens, seeds))

    tried()


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_stays_mended(path: Path) -> None:
    reader = BY_NAME[path.parent.name]
    bounded(reader.run, reader.allowed, path.read_bytes())


def test_an_input_that_takes_too_much_memory_is_found() -> None:
    with pytest.raises(OverLimitError, match="MiB of memory"):
        bounded(lambda _: np.ones(MEMORY_BYTES // 4).sum(), (), b"")
    with pytest.raises(OverLimitError, match="asked for more"):
        bounded(lambda _: np.ones(MEMORY_BYTES * 2).sum(), (MemoryError,), b"")


def test_the_same_edits_give_the_same_bytes() -> None:
    some = [Edit("double", 0.5, 3), Edit("insert", 0.1, 1), Edit("number", 0.2, 4), Edit("end", 0.9, 0)]
    assert changed(b"0123456789", some, (b"ab",)) == changed(b"0123456789", some, (b"ab",))
