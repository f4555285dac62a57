"""What is asked next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.teach.asking import questions
from tests.wire.examples import example


def test_the_doubtful_region_is_asked_before_the_sure_one_and_none_twice() -> None:
    one = example()
    regions = replace(one.regions, scores=np.array([0.99, 0.5], np.float32))
    asked = questions([replace(one, regions=regions)], 10)
    assert [question.index for question in asked] == [1, 0]


def test_without_regions_nothing_is_asked() -> None:
    assert questions([], 3) == []
