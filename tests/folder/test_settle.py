"""Which of what is seen is finished and new, and what is waited for."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import pytest

from edge.folder.scan import Sighting
from edge.folder.settle import Settler
from edge.records import Fingerprint


def seen(path: str = "a.tif", size: int = 1, mtime_ns: int = 1, **more: Any) -> Sighting:
    return Sighting(path, size, mtime_ns, **{"kind": "file", **more})


class Observed(NamedTuple):
    """What one look came to, and when the next can come to more."""

    ready: list[Sighting]
    next_moment: float | None


def observe(settler: Settler, *look: Any, **more: Any) -> Observed:
    return Observed(settler.observe(*look, **more), settler.next_moment())


def admit(ledger: dict[str, Fingerprint], sightings: list[Sighting]) -> None:
    ledger.update({sighting.path: sighting.fingerprint for sighting in sightings})


def test_a_file_is_ready_when_two_looks_far_enough_apart_found_it_the_same(settler: Settler) -> None:
    assert observe(settler, [seen()], 10.0) == ([], 11.0)
    assert observe(settler, [seen()], 10.9) == ([], 11.0)
    assert observe(settler, [seen()], 11.0) == ([seen()], None)


def test_a_growing_file_is_not_ready(settler: Settler) -> None:
    for moment in range(5):
        assert observe(settler, [seen(size=moment)], float(moment)) == ([], moment + 1.0)
    assert observe(settler, [seen(size=4)], 5.0).ready == [seen(size=4)]


def test_a_file_whose_time_alone_changes_is_not_ready(settler: Settler) -> None:
    observe(settler, [seen(mtime_ns=1)], 0.0)
    assert observe(settler, [seen(mtime_ns=2)], 5.0) == ([], 6.0)


def test_a_file_from_the_future_is_ready_all_the_same(settler: Settler) -> None:
    ahead = seen(mtime_ns=time.time_ns() + 3600 * 10**9)
    observe(settler, [ahead], 0.0)
    assert observe(settler, [ahead], 1.0).ready == [ahead]


def test_a_closed_file_is_ready_at_once(settler: Settler) -> None:
    assert observe(settler, [seen(size=5, mtime_ns=7)], 0.0, {"a.tif": (5, 7)}).ready == [seen(size=5, mtime_ns=7)]


def test_a_file_that_changed_after_it_was_closed_is_not(settler: Settler) -> None:
    assert observe(settler, [seen(size=6, mtime_ns=8)], 0.0, {"a.tif": (5, 7)}) == ([], 1.0)


def test_what_is_ready_is_told_until_the_ledger_knows_it(settler: Settler, ledger: dict[str, Fingerprint]) -> None:
    observe(settler, [seen()], 0.0, {"a.tif": (1, 1)})
    assert observe(settler, [seen()], 0.1).ready == [seen()]
    admit(ledger, [seen()])
    assert observe(settler, [seen()], 0.2) == ([], None)


def test_a_known_file_that_changes_must_settle_anew(settler: Settler, ledger: dict[str, Fingerprint]) -> None:
    admit(ledger, [seen()])
    assert observe(settler, [seen()], 0.0) == ([], None)
    assert observe(settler, [seen(size=2)], 1.0) == ([], 2.0)
    assert observe(settler, [seen(size=2)], 2.0).ready == [seen(size=2)]


def test_a_late_sidecar_makes_a_known_file_ready_again(settler: Settler, ledger: dict[str, Fingerprint]) -> None:
    admit(ledger, [seen()])
    observe(settler, [seen(sidecar="a.txt\t1\t1")], 0.0)
    assert observe(settler, [seen(sidecar="a.txt\t1\t1")], 1.0).ready == [seen(sidecar="a.txt\t1\t1")]


def test_ready_files_come_oldest_first(settler: Settler) -> None:
    files = [seen("b.tif", mtime_ns=3), seen("c.tif", mtime_ns=1), seen("a.tif", mtime_ns=3)]
    observe(settler, files, 0.0)
    assert [sighting.path for sighting in observe(settler, files, 1.0).ready] == ["c.tif", "a.tif", "b.tif"]


def test_a_file_that_vanished_and_came_back_must_settle_anew(settler: Settler) -> None:
    observe(settler, [seen()], 0.0)
    assert observe(settler, [], 0.5) == ([], None)
    assert observe(settler, [seen()], 1.0) == ([], 2.0)


def test_a_partial_look_forgets_nothing_and_due_paths_are_named(settler: Settler) -> None:
    observe(settler, [seen("a.tif")], 0.0)
    observe(settler, [seen("b.tif")], 0.5, partial=True)
    assert (settler.due(0.9), settler.due(1.0), settler.due(1.5)) == (set(), {"a.tif"}, {"a.tif", "b.tif"})
    assert observe(settler, [seen("a.tif")], 1.0, partial=True) == ([seen("a.tif")], 1.5)


def test_a_file_that_is_gone_when_it_is_due_is_awaited_no_longer(settler: Settler) -> None:
    observe(settler, [seen("a.tif"), seen("b.tif")], 0.0)
    settler.defer("b.tif", seen("b.tif").fingerprint, "incomplete", 1.0)
    assert observe(settler, [], 1.0, partial=True) == ([], None)


def test_without_settling_time_the_first_look_is_enough(ledger: dict[str, Fingerprint]) -> None:
    assert observe(Settler(0.0, ledger.get), [seen()], 0.0).ready == [seen()]


def test_an_incomplete_file_is_ready_again_when_it_did_not_change_for_so_long(settler: Settler) -> None:
    observe(settler, [seen()], 0.0)
    observe(settler, [seen()], 1.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    assert observe(settler, [seen()], 59.0) == ([], 60.0)
    assert settler.due(59.0) == set()
    assert observe(settler, [seen()], 60.0).ready == [seen(waited=frozenset(["incomplete"]))]
    assert settler.next_moment() is None


def test_an_incomplete_file_that_grows_is_ready_when_it_settled_and_may_be_waited_for_again(settler: Settler) -> None:
    observe(settler, [seen()], 0.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    observe(settler, [seen(size=2)], 30.0)
    assert observe(settler, [seen(size=2)], 31.0).ready == [seen(size=2)]
    settler.defer("a.tif", seen(size=2).fingerprint, "incomplete", 60.0)
    assert observe(settler, [seen(size=2)], 89.0) == ([], 90.0)


def test_different_waits_for_one_content_add_up_and_none_is_waited_for_twice(settler: Settler) -> None:
    fingerprint = seen().fingerprint
    observe(settler, [seen()], 0.0, {"a.tif": (1, 1)})
    settler.defer("a.tif", fingerprint, "sidecar", 2.0)
    observe(settler, [seen()], 2.0)
    settler.defer("a.tif", fingerprint, "zero_tail", 10.0)
    assert settler.waited("a.tif", fingerprint) == {"sidecar", "zero_tail"}
    assert observe(settler, [seen()], 9.0) == ([], 10.0)
    assert observe(settler, [seen()], 10.0).ready == [seen(waited=frozenset(["sidecar", "zero_tail"]))]
    with pytest.raises(ValueError, match="waited for already"):
        settler.defer("a.tif", fingerprint, "sidecar", 2.0)


def test_what_the_ledger_knows_can_be_deferred_and_is_told_once_more(settler: Settler, ledger: dict[str, Fingerprint]) -> None:
    observe(settler, [seen()], 0.0)
    admit(ledger, observe(settler, [seen()], 1.0).ready)
    observe(settler, [seen()], 2.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    assert observe(settler, [seen()], 61.0) == ([], 62.0)
    assert observe(settler, [seen()], 62.0).ready == [seen(waited=frozenset(["incomplete"]))]
    assert observe(settler, [seen()], 63.0) == ([], None)
    assert settler.waited("a.tif", seen().fingerprint) == frozenset()  # what is done with is forgotten


def test_a_sidecar_that_arrives_ends_the_wait_for_it(settler: Settler) -> None:
    observe(settler, [seen()], 0.0, {"a.tif": (1, 1)})
    settler.defer("a.tif", seen().fingerprint, "sidecar", 60.0)
    with_sidecar = seen(sidecar="a.txt\t1\t1")
    observe(settler, [with_sidecar], 1.0)
    assert observe(settler, [with_sidecar], 2.0).ready == [with_sidecar]
