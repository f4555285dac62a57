"""Messages from their verdict to the broker's acknowledgement, or to the dead letters."""

from __future__ import annotations

from edge.journal import Journal, Message, Verdict
from tests.journal.examples import Clock, failure, inspected, on_channels, one, seqs, verdict_payload


def test_the_summary_is_the_newest_alone_and_is_sent_once(journal: Journal) -> None:
    assert journal.outbox.summary() is None
    inspected(journal, "a.tif")
    inspected(journal, "b.tif")
    assert journal.outbox.summary() == (2, b"summary 2", False)
    journal.outbox.summary_sent(1)
    assert journal.outbox.summary() == (2, b"summary 2", False)
    journal.outbox.summary_sent(2)
    assert journal.outbox.summary() == (2, b"summary 2", True)
    inspected(journal, "c.tif", failure("f"))
    assert journal.outbox.summary() == (2, b"summary 2", True)


def test_what_is_acknowledged_is_not_sent_again(journal: Journal) -> None:
    inspected(journal, "a.tif")
    inspected(journal, "b.tif")
    first, *rest = journal.outbox.unsent()
    journal.outbox.acknowledge([first.id])
    assert journal.outbox.unsent() == rest
    assert journal.outbox.unsent_count() == 3
    assert journal.outbox.unsent(limit=2) == rest[:2]


def test_the_oldest_unsent_is_known_by_its_time(journal: Journal, clock: Clock) -> None:
    assert journal.outbox.oldest_unsent() is None
    inspected(journal, "a.tif")
    clock.now += 60
    inspected(journal, "b.tif")
    assert journal.outbox.oldest_unsent() == 1_000_000.0
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq == 1])
    assert journal.outbox.oldest_unsent() == 1_000_060.0


def test_lost_connections_are_counted(journal: Journal) -> None:
    inspected(journal)
    row, _ = journal.outbox.unsent()
    assert [journal.outbox.count_lost_connection(row.id), journal.outbox.count_lost_connection(row.id)] == [1, 2]
    assert [row.lost_connections for row in journal.outbox.unsent()] == [2, 0]
    journal.outbox.acknowledge([row.id])
    assert journal.outbox.count_lost_connection(row.id) == 0


def test_a_buried_verdict_is_replaced_by_its_tombstone_in_its_place(journal: Journal, clock: Clock) -> None:
    inspected(journal, "a.tif", one(payload=b"too large"))
    inspected(journal, "b.tif")
    row = journal.outbox.unsent()[0]
    journal.outbox.count_lost_connection(row.id)
    journal.outbox.bury(row.id, "larger than the broker takes", Message("verdict", "failure", b"tombstone"))
    stone = journal.outbox.unsent()[0]
    assert (stone.id, stone.seq, stone.topic, stone.payload) == (row.id, row.seq, "failure", b"tombstone")
    assert stone.lost_connections == 0
    assert journal.outbox.dead_letters() == [(1, "v-1", "inspection", "larger than the broker takes", clock.now)]
    assert verdict_payload(journal, 1) == b"too large"


def test_a_buried_tombstone_keeps_the_original_on_record(journal: Journal) -> None:
    inspected(journal, "a.tif", one(payload=b"original"))
    row = journal.outbox.unsent()[0]
    journal.outbox.bury(row.id, "too large", Message("verdict", "failure", b"stone"))
    journal.outbox.bury(row.id, "denied", None)
    assert [letter.reason for letter in journal.outbox.dead_letters()] == ["too large"]
    assert verdict_payload(journal, 1) == b"original"
    assert seqs(journal) == []


def test_a_buried_overlay_leaves_no_tombstone(journal: Journal) -> None:
    inspected(journal)
    verdict, overlay = journal.outbox.unsent()
    journal.outbox.bury(overlay.id, "denied", None)
    assert journal.outbox.unsent() == [verdict]
    assert [(letter.topic, letter.reason) for letter in journal.outbox.dead_letters()] == [("overlay/v", "denied")]


def test_what_was_acknowledged_meanwhile_cannot_be_buried(journal: Journal) -> None:
    inspected(journal)
    row = journal.outbox.unsent()[0]
    journal.outbox.acknowledge([row.id])
    journal.outbox.bury(row.id, "late", None)
    assert journal.outbox.dead_letters() == []


def test_a_replay_sends_the_acknowledged_verdicts_of_the_range_again_and_nothing_else(journal: Journal) -> None:
    for name in "abcd":
        inspected(journal, f"{name}.tif")
    before = {row.seq: row for row in journal.outbox.unsent() if row.role == "verdict"}
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq != 3])
    journal.outbox.summary_sent(4)
    assert journal.outbox.replay(journal.epoch, 2, 3) == 1
    assert [row for row in journal.outbox.unsent() if row.seq == 2] == [before[2]]
    assert seqs(journal) == [2, 3]
    assert journal.outbox.summary() == (4, b"summary 4", True)


def test_a_replay_behind_others_lets_new_verdicts_go_first(journal: Journal) -> None:
    for name in "abc":
        inspected(journal, f"{name}.tif")
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq != 3])
    assert journal.outbox.replay(journal.epoch, 1, 1, behind_others=True) == 1
    assert journal.outbox.replay(journal.epoch, 2, 2, behind_others=True) == 1
    inspected(journal, "d.tif")
    assert list(dict.fromkeys(row.seq for row in journal.outbox.unsent())) == [3, 4, 1, 2]
    assert [row.seq for row in journal.outbox.unsent(limit=1)] == [3]
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq in (3, 4)])
    assert [row.seq for row in journal.outbox.unsent()] == [1, 2]
    inspected(journal, "e.tif")
    assert next(row.seq for row in journal.outbox.unsent()) == 5
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    assert journal.outbox.unsent() == []
    inspected(journal, "f.tif")
    assert next(row.seq for row in journal.outbox.unsent()) == 6


def test_a_replay_of_another_epoch_is_none(journal: Journal) -> None:
    inspected(journal)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    assert journal.outbox.replay("another", 1, 1) == 0
    assert journal.outbox.unsent() == []


def test_a_verdict_can_be_read_again_by_number(journal: Journal) -> None:
    inspected(journal, make=one(payload=b"first"))
    assert (verdict_payload(journal, 1), verdict_payload(journal, 2)) == (b"first", None)


# Further channels


def test_each_channel_has_its_own_messages_in_order(journal: Journal) -> None:
    for number in (1, 2):
        inspected(journal, f"{number}.tif", on_channels("b", "a"))
    assert [(row.id, row.topic) for row in journal.outbox.unsent()] == [(3, "inspection"), (6, "inspection")]
    assert [(row.id, row.topic) for row in journal.outbox.unsent(channel="a")] == [(2, "a/1"), (5, "a/2")]
    assert [row.id for row in journal.outbox.unsent(limit=1, channel="b")] == [1]
    assert journal.outbox.unsent(channel="c") == []
    first = journal.outbox.unsent(channel="a")[0]
    assert (first.role, first.channel, first.retain, first.payload) == ("channel", "a", True, b"a")
    assert not journal.outbox.unsent()[0].retain


def test_what_waits_is_counted_over_all_channels(journal: Journal, clock: Clock) -> None:
    inspected(journal, "1.tif", on_channels("a"))
    clock.now += 60
    inspected(journal, "2.tif", on_channels("a"))
    journal.outbox.acknowledge([2])  # so that the oldest stands on another channel, behind a younger one of the contract's
    assert journal.outbox.unsent_count() == 3
    assert journal.outbox.oldest_unsent() == 1_000_000.0


def test_a_message_of_another_channel_is_acknowledged_and_not_replayed(journal: Journal) -> None:
    inspected(journal, make=on_channels("a"))
    journal.outbox.acknowledge([row.id for channel in ("", "a") for row in journal.outbox.unsent(channel=channel)])
    assert journal.outbox.unsent_count() == 0
    assert journal.outbox.replay(journal.epoch, 1, 1) == 1
    assert [row.role for row in journal.outbox.unsent()] == ["verdict"]
    assert journal.outbox.unsent(channel="a") == []


def test_a_message_of_another_channel_can_be_buried_and_counts_lost_connections(journal: Journal) -> None:
    inspected(journal, make=on_channels("a"))
    (row,) = journal.outbox.unsent(channel="a")
    assert journal.outbox.count_lost_connection(row.id) == 1
    journal.outbox.bury(row.id, "denied", None)
    assert journal.outbox.unsent(channel="a") == []
    assert [(letter.seq, letter.topic) for letter in journal.outbox.dead_letters()] == [(1, "a/1")]
    assert seqs(journal) == [1]


def test_what_waits_for_a_channel_that_is_gone_is_forgotten(journal: Journal) -> None:
    inspected(journal, make=on_channels("a", "b"))
    assert journal.outbox.forget_channels(["a"]) == 1
    assert [row.channel for row in journal.outbox.unsent(channel="a")] == ["a"]
    assert journal.outbox.unsent(channel="b") == []
    assert journal.outbox.forget_channels([]) == 1
    assert seqs(journal) == [1]


def kept(seq: int) -> list[Verdict]:
    """As it is stored where there is no broker."""
    messages = (Message("verdict", "inspection", b"verdict", kept=True), Message("channel", "day", b"row", channel="csv"))
    return [Verdict(f"k-{seq}", "inspection", messages)]


def test_what_is_kept_waits_for_nobody_and_can_be_replayed(journal: Journal) -> None:
    inspected(journal, "a.tif", kept)
    assert journal.outbox.unsent() == []
    assert journal.outbox.waiting_in("csv")[0] == journal.outbox.unsent_count() == 1
    assert verdict_payload(journal, 1) == b"verdict"
    assert journal.outbox.replay(journal.epoch, 1, 1) == 1


def test_without_a_broker_what_waited_for_one_is_settled_and_channels_wait_on(journal: Journal) -> None:
    inspected(journal, "a.tif")
    inspected(journal, "b.tif", on_channels("csv"))
    journal.reviews.add("r", "ab" * 32, b"said", lambda seq: b"sent")
    assert journal.outbox.settle() == 4
    assert journal.outbox.unsent() == []
    assert journal.outbox.unsent_count() == 1
    assert journal.outbox.settle() == 0


def test_what_waits_in_one_channel_is_counted_by_itself(journal: Journal, clock: Clock) -> None:
    assert journal.outbox.waiting_in("csv") == (0, None)
    inspected(journal, "a.tif", on_channels("csv", "other"))
    clock.now += 60
    inspected(journal, "b.tif", on_channels("csv"))
    assert journal.outbox.waiting_in("csv") == (2, 1_000_000.0)
    assert journal.outbox.waiting_in("other") == (1, 1_000_000.0)


def test_a_dead_letter_is_revived_once(journal: Journal) -> None:
    inspected(journal, "a.tif", on_channels("csv", "other"))
    for name in ("csv", "other"):
        (row,) = journal.outbox.unsent(channel=name)
        journal.outbox.count_lost_connection(row.id)
        journal.outbox.bury(row.id, "refused", None)
    assert journal.outbox.revive("csv", 2) == 0
    assert journal.outbox.revive("csv", 1) == 1
    assert [letter.topic for letter in journal.outbox.dead_letters()] == ["other/1"]
    (row,) = journal.outbox.unsent(channel="csv")
    assert journal.outbox.count_lost_connection(row.id) == 2
    journal.outbox.bury(row.id, "refused again", None)
    assert journal.outbox.revive("csv", 1) == 0
    assert journal.outbox.dead_letter_count() == 2
