"""Masks as they come from where a network runs: bits, each row from a new word on."""

from __future__ import annotations

import numpy as np
import pytest

from edge.backends.masks import Masks


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 70])
def test_bits_become_a_mask_of_the_boxs_size(columns: int) -> None:
    wanted = np.random.default_rng(columns).random((5, columns)) > 0.5
    words = -(-columns // 32)
    padded = np.zeros((5, words * 32), np.bool_)
    padded[:, :columns] = wanted
    bits = np.packbits(padded, axis=1, bitorder="little").view(np.uint32).reshape(-1)
    before = np.full(3, 0xFFFFFFFF, np.uint32)
    places = np.array([[9, 9, 9, 12], [10, 20, 10 + columns, 25]], np.int32)
    masks = Masks(
        np.ones(2, np.float32),
        np.zeros(2, np.int64),
        places,
        np.concatenate([before, bits, before]),
        np.array([3, 3], np.int32),
    )
    assert masks.mask(0).shape == (3, 0)
    assert np.array_equal(masks.mask(1), wanted)
