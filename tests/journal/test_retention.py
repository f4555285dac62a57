"""What is forgotten by age and for want of room, and what never is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.journal import Journal, Message, Verdict
from tests.journal.examples import DAY_S, Clock, inspected, on_channels, one, seqs, verdict_payload


def test_prune_forgets_acknowledged_messages_by_age_and_nothing_unsent(journal: Journal, clock: Clock) -> None:
    for number in (1, 2):
        journal.pictures.write(f"{number}.png", b"x" * 100)
        inspected(journal, f"{number}.tif", one(picture=f"{number}.png"))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq == 1])
    report = journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 91 * DAY_S)
    assert (report.messages, report.pictures, report.full) == (2, 1, False)
    assert report.freed_bytes == 100 + len(b"verdict")
    assert [path.name for path in journal.pictures.folder.iterdir()] == ["2.png"]
    assert seqs(journal) == [2]
    assert (verdict_payload(journal, 1), journal.ledger.again("v-1") is not None) == (None, True)
    assert inspected(journal, "3.tif") == 3


def test_prune_keeps_what_is_young_enough(journal: Journal, clock: Clock) -> None:
    inspected(journal)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    assert journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 89 * DAY_S).messages == 0
    assert journal.outbox.replay(journal.epoch, 1, 1) == 1


def test_over_the_limit_the_oldest_acknowledged_pictures_go_first_and_only_as_many_as_needed(journal: Journal) -> None:
    for number in range(1, 5):
        journal.pictures.write(f"{number}.png", b"x" * 1_000_000)
        inspected(journal, f"{number}.tif", one(picture=f"{number}.png"))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq != 1])
    limit = journal.info()["database_bytes"] + 3_100_000
    report = journal.prune(keep_days=90, max_bytes=limit, now=0)
    assert (report.pictures, report.full) == (1, False)
    assert sorted(path.name for path in journal.pictures.folder.iterdir()) == ["1.png", "3.png", "4.png"]
    assert verdict_payload(journal, 2) is not None


def test_over_the_limit_acknowledged_verdicts_go_when_no_picture_is_left(journal: Journal) -> None:
    for number in range(1, 5):
        inspected(journal, f"{number}.tif", one(payload=b"x" * 1_000_000))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    report = journal.prune(keep_days=90, max_bytes=journal.info()["database_bytes"] - 1_500_000, now=0)
    assert not report.full
    assert [seq for seq in range(1, 5) if verdict_payload(journal, seq)] == [3, 4]


def test_over_the_limit_with_nothing_that_may_go_is_full(journal: Journal) -> None:
    journal.pictures.write("1.png", b"x" * 1_000_000)
    inspected(journal, make=one(picture="1.png"))
    report = journal.prune(keep_days=90, max_bytes=500_000, now=9e9)
    assert (report.full, report.messages) == (True, 0)
    assert report.used_bytes > 1_000_000
    assert len(journal.outbox.unsent()) == 2


def test_prune_drops_the_originals_of_old_dead_letters_but_not_the_record(journal: Journal, clock: Clock) -> None:
    inspected(journal)
    row = journal.outbox.unsent()[0]
    journal.outbox.bury(row.id, "too large", Message("verdict", "failure", b"stone"))
    journal.outbox.acknowledge([row.id])
    journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 91 * DAY_S)
    assert [letter.reason for letter in journal.outbox.dead_letters()] == ["too large"]
    assert verdict_payload(journal, 1) is None


def test_over_the_limit_what_other_channels_said_goes_before_overlays_and_verdicts(journal: Journal) -> None:
    def make(seq: int) -> Sequence[Verdict]:
        other = Message("channel", f"a/{seq}", b"x" * 1_000_000, channel="a")
        return [replace(verdict, messages=(*verdict.messages, other)) for verdict in one(payload=b"x" * 1_000_000)(seq)]

    for number in (1, 2):
        inspected(journal, f"{number}.tif", make)
    journal.outbox.acknowledge(range(1, 7))
    report = journal.prune(keep_days=90, max_bytes=journal.info()["database_bytes"] - 1_500_000, now=0)
    assert (report.messages, report.full) == (2, False)
    assert [verdict_payload(journal, seq) is None for seq in (1, 2)] == [False, False]


def test_prune_forgets_what_other_channels_said_by_age_and_nothing_unsent(journal: Journal, clock: Clock) -> None:
    inspected(journal, "1.tif", on_channels("a"))
    inspected(journal, "2.tif", on_channels("a"))
    journal.outbox.acknowledge([1])
    assert journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 91 * DAY_S).messages == 1
    assert [row.seq for row in journal.outbox.unsent(channel="a")] == [2]


def test_while_ages_cannot_be_told_nothing_goes_by_its_age_and_the_limit_holds(journal: Journal) -> None:
    for number in (1, 2):
        inspected(journal, f"{number}.tif", one(payload=b"x" * 1_000_000))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    assert journal.prune(keep_days=0, max_bytes=1 << 30, now=None).messages == 0
    assert journal.prune(keep_days=0, max_bytes=journal.info()["database_bytes"] - 500_000, now=None).messages > 0


def test_what_is_queued_while_the_clock_is_behind_is_not_forgotten_when_it_is_set_right(journal: Journal, clock: Clock) -> None:
    right = clock.now
    assert journal.clock.judge(True).now == right
    clock.now -= 1000 * DAY_S
    inspected(journal)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    assert journal.prune(keep_days=90, max_bytes=1 << 30, now=right).messages == 0
