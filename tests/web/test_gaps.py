from __future__ import annotations

from edge.web.gaps import MOST_EPOCHS, Gaps


def test_a_jump_leaves_a_range_and_what_comes_late_closes_it() -> None:
    gaps = Gaps()
    assert all(gaps.heard("a", seq) for seq in (5, 6, 10))
    assert gaps.ranges() == [("a", 7, 9)]
    assert gaps.heard("a", 8)
    assert gaps.ranges() == [("a", 7, 7), ("a", 9, 9)]
    assert gaps.heard("a", 7)
    assert gaps.heard("a", 9)
    assert gaps.ranges() == []


def test_a_repeat_is_told() -> None:
    gaps = Gaps()
    gaps.heard("a", 1)
    assert not gaps.heard("a", 1)


def test_what_is_sent_again_from_before_the_first_is_new() -> None:
    gaps = Gaps()
    gaps.heard("a", 5)
    assert gaps.heard("a", 3)
    assert gaps.ranges() == [("a", 4, 4)]


def test_epochs_are_counted_apart_and_bounded() -> None:
    gaps = Gaps()
    for number in range(3 * MOST_EPOCHS):
        assert gaps.heard(f"epoch {number}", 7)
    assert gaps.ranges() == []
    assert gaps.order(f"epoch {3 * MOST_EPOCHS - 1}") == 3 * MOST_EPOCHS
    assert gaps.heard("epoch 0", 7)  # forgotten
