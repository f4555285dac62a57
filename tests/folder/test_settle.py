"""Which of what is seen is finished and new, and since when."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from edge.folder.scan import Sighting, Stamp
from edge.folder.settle import Settler
from edge.records import Fingerprint


def seen(path: str = "a.tif", size: int = 1, mtime_ns: int = 1, **more: Any) -> Sighting:
    return Sighting(path, size, mtime_ns, **{"kind": "file", **more})


class Observed(NamedTuple):
    """What one look came to, and when the next can come to more."""

    ready: list[Sighting]
    next_moment: float | None


def observe(settler: Settler, *look: Any, **more: Any) -> Observed:
    return Observed([one.sighting for one in settler.observe(*look, **more)], settler.next_moment())


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
    assert observe(settler, [seen(size=5, mtime_ns=7)], 0.0, {"a.tif": Stamp(5, 7)}).ready == [seen(size=5, mtime_ns=7)]


def test_a_file_that_changed_after_it_was_closed_is_not(settler: Settler) -> None:
    assert observe(settler, [seen(size=6, mtime_ns=8)], 0.0, {"a.tif": Stamp(5, 7)}) == ([], 1.0)


def test_what_is_ready_is_told_until_the_ledger_knows_it(settler: Settler, ledger: dict[str, Fingerprint]) -> None:
    observe(settler, [seen()], 0.0, {"a.tif": Stamp(1, 1)})
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
    settler.forget_all_but(set())
    assert settler.next_moment() is None
    assert observe(settler, [seen()], 1.0) == ([], 2.0)


def test_a_look_at_some_forgets_nothing_and_due_paths_are_named(settler: Settler) -> None:
    observe(settler, [seen("a.tif")], 0.0)
    observe(settler, [seen("b.tif")], 0.5)
    assert (settler.due(0.9), settler.due(1.0), settler.due(1.5)) == (set(), {"a.tif"}, {"a.tif", "b.tif"})
    assert observe(settler, [seen("a.tif")], 1.0) == ([seen("a.tif")], 1.5)


def test_a_file_that_is_gone_when_it_is_due_is_awaited_no_longer(settler: Settler) -> None:
    observe(settler, [seen("a.tif"), seen("b.tif")], 0.0)
    settler.forget({"a.tif", "b.tif", "never seen"})
    assert (settler.due(9.0), settler.next_moment()) == (set(), None)


def test_without_settling_time_the_first_look_is_enough(ledger: dict[str, Fingerprint]) -> None:
    assert observe(Settler(0.0, 60.0, ledger.get), [seen()], 0.0).ready == [seen()]


def test_what_is_finished_says_since_when_and_whether_its_writer_was_seen_to_be_done(settler: Settler) -> None:
    settler.observe([seen("quiet.tif"), seen("closed.tif")], 3.0)
    settler.observe([seen("closed.tif")], 3.2, {"closed.tif": Stamp(1, 1)})
    finished = settler.observe([seen("quiet.tif"), seen("closed.tif")], 4.5)
    assert [(one.sighting.path, one.since, one.closed) for one in finished] == [
        ("closed.tif", 3.0, True),
        ("quiet.tif", 3.0, False),
    ]


def test_what_somebody_has_open_is_waited_for_however_quiet_it_is_but_not_for_ever(settler: Settler) -> None:
    assert observe(settler, [seen()], 0.0, None, {"a.tif"}) == ([], 60.0)
    assert observe(settler, [seen()], 59.0, None, {"a.tif"}) == ([], 60.0)
    assert observe(settler, [seen()], 60.0, None, {"a.tif"}).ready == [seen()]


def test_what_was_closed_is_finished_whoever_opened_it_again_to_read(settler: Settler) -> None:
    assert observe(settler, [seen()], 0.0, {"a.tif": Stamp(1, 1)}, {"a.tif"}).ready == [seen()]


def test_a_copy_whose_date_is_set_after_it_was_closed_is_finished(settler: Settler) -> None:
    dated = seen(mtime_ns=7, ctime_ns=1_000)
    assert observe(settler, [dated], 0.0, {"a.tif": Stamp(1, 999)}).ready == [dated]
    written_to = seen("b.tif", mtime_ns=1_000, ctime_ns=1_000)
    assert observe(settler, [written_to], 0.0, {"b.tif": Stamp(1, 999)}).ready == []
