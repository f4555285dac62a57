"""A new epoch takes along what was not sent, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from edge.journal import Journal, Unsent, Verdict
from tests.journal.examples import inspected, on_channels, one, seqs


def rewrite(unsent: Unsent) -> Verdict:
    new_id = f"new-{unsent.verdict_id}"
    messages = (
        replace(message, topic=message.topic.upper(), payload=message.payload and b"new " + message.payload)
        for message in unsent.messages
    )
    return Verdict(new_id, unsent.kind, tuple(messages))


def test_verdicts_that_were_not_sent_get_the_first_numbers_of_the_new_epoch(journal: Journal) -> None:
    old = journal.epoch
    for number in range(4):
        inspected(journal, f"{number}.tif", one(f"v{number}"))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.seq <= 2])
    assert journal.renew(rewrite) == 2
    assert journal.epoch != old
    found = [(row.epoch, row.seq, row.verdict_id, row.topic, row.payload) for row in journal.outbox.unsent()]
    assert found == [
        (journal.epoch, seq, f"new-v{seq + 1}-{seq + 2}", topic, payload)
        for seq in (1, 2)
        for topic, payload in (("INSPECTION", b"new verdict"), (f"OVERLAY/V{seq + 1}", b"new png"))
    ]
    assert inspected(journal, "next.tif") == 3


def test_an_overlay_whose_verdict_was_acknowledged_keeps_its_name(journal: Journal) -> None:
    old = journal.epoch
    inspected(journal)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent() if row.role == "verdict"])
    assert journal.renew(rewrite) == 0
    assert [(row.epoch, row.topic) for row in journal.outbox.unsent()] == [(old, "overlay/v")]


def test_the_newest_summary_goes_with_its_verdict_and_an_older_one_is_not_sent(journal: Journal) -> None:
    inspected(journal)
    journal.renew(rewrite)
    newest = journal.outbox.summary()
    assert newest is not None
    assert (newest.seq, newest.payload, newest.sent) == (1, b"new summary 1", False)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    journal.renew(rewrite)
    newest = journal.outbox.summary()
    assert newest is not None
    assert newest.sent


def test_what_another_channel_says_stays_as_it_was_written(journal: Journal) -> None:
    inspected(journal, "a.tif", on_channels("a"))
    journal.renew(rewrite)
    assert [row.topic for row in journal.outbox.unsent(channel="a")] == ["a/1"]
    assert seqs(journal) == [1]


def test_a_picture_that_was_not_drawn_is_still_found(journal: Journal) -> None:
    inspected(journal, "a.tif", one(picture="a.webp"))
    journal.renew(rewrite)
    assert [(one.picture, one.verdict) for one in journal.pictures.undrawn()] == [("a.webp", b"new verdict")]


def test_when_rewriting_fails_nothing_has_changed(journal: Journal) -> None:
    def broken(unsent: Unsent) -> Verdict:
        raise ValueError("a defect")

    old = journal.epoch
    inspected(journal)
    try:
        journal.renew(broken)
    except ValueError:
        assert (journal.epoch, seqs(journal)) == (old, [1])
    assert inspected(journal, "b.tif") == 2


def test_after_it_the_witness_knows_the_new_epoch(journal: Journal) -> None:
    inspected(journal)
    journal.renew(rewrite)
    epoch, folder = journal.epoch, journal.folder
    journal.close()
    with Journal.open(folder) as again:
        assert (again.epoch, again.renewed) == (epoch, False)
