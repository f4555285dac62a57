"""What could not be inspected is kept with its reason until it is inspected, changes or is asked for again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.journal import Journal, Message, Suspect, Verdict
from edge.records import Fingerprint
from tests.journal import version_1
from tests.journal.examples import A, B, Clock, inspected


def failed(name: str, code: str = "damaged", message: str = "it is broken") -> Callable[[int], Sequence[Verdict]]:
    return lambda seq: [Verdict(f"{name}-{seq}", "failure", (Message("verdict", "failure", b"{}"),), code, message)]


def codes(journal: Journal) -> dict[str, str]:
    return {image.path: image.code for image in journal.quarantine.images()}


def test_a_failure_is_told_with_code_message_time_and_attempts(journal: Journal, clock: Clock) -> None:
    inspected(journal, "good.tif")
    clock.now += 5
    inspected(journal, "\udcff.tif", failed("f", "crashed", "it killed the process"))
    (image,) = journal.quarantine.images()
    assert image == ("\udcff.tif", "crashed", "it killed the process", clock.now, 1, 1, 1, 0, "f-2")
    assert journal.quarantine.counts() == {"crashed": 1}


def test_the_newest_failure_comes_first(journal: Journal, clock: Clock) -> None:
    for name in ("a.tif", "b.tif", "c.tif"):
        clock.now += 1
        inspected(journal, name, failed(name))
    assert [image.path for image in journal.quarantine.images(2)] == ["c.tif", "b.tif"]
    assert journal.quarantine.counts() == {"damaged": 3}


def test_a_file_that_changed_or_is_asked_for_again_has_left_and_comes_back_when_it_fails_again(journal: Journal) -> None:
    inspected(journal, "a.tif", failed("a"))
    inspected(journal, "b.tif", failed("b"))
    journal.ledger.admit("a.tif", Fingerprint(99, 99))
    assert journal.ledger.again("b-2") is not None
    assert codes(journal) == {}
    assert journal.quarantine.counts() == {}
    for name in ("a.tif", "b.tif"):
        journal.ledger.begin(name)
        journal.ledger.conclude(name, failed(name, "truncated"))
    assert codes(journal) == {"a.tif": "truncated", "b.tif": "truncated"}
    assert {(image.path, image.revision, image.run) for image in journal.quarantine.images()} == {
        ("a.tif", 2, 1),
        ("b.tif", 1, 2),
    }


def test_an_inspection_takes_the_image_out_for_good(journal: Journal) -> None:
    inspected(journal, "a.tif", failed("a"))
    journal.ledger.again("a-1")
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", lambda seq: [Verdict(f"i-{seq}", "inspection", (Message("verdict", "i", b"{}"),))])
    assert journal.quarantine.images() == []
    assert journal._database.read("SELECT * FROM quarantine") == []


def test_what_was_begun_and_not_finished_is_a_suspect(journal: Journal) -> None:
    for path, fingerprint in (("a.tif", A), ("b.tif", B)):
        journal.ledger.admit(path, fingerprint)
    journal.ledger.begin("a.tif")
    assert journal.quarantine.suspects() == []
    journal.ledger.died("a.tif")
    assert journal.quarantine.suspects() == [Suspect("a.tif", 1, 1)]


def test_what_killed_its_process_is_tried_again_as_a_suspect_and_anything_else_is_not(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.died("a.tif")
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", failed("a", "crashed"))
    inspected(journal, "b.tif", failed("b"))
    again = [journal.ledger.again("a-1"), journal.ledger.again("b-2")]
    assert [(entry.attempts, entry.deaths) for entry in again if entry is not None] == [(1, 0), (0, 0)]


def test_a_message_of_any_length_and_letters_is_kept_in_part(journal: Journal) -> None:
    inspected(journal, "a.tif", failed("a", message="\udcff\0" + "x" * 5000))
    assert len(journal.quarantine.images()[0].message) == 1000


@pytest.fixture
def older(folder: Path) -> Path:
    """Written by an older release: of five images, two failed at last, one failed and then did not, one left no message."""
    version_1.write(folder)
    database = sqlite3.connect(folder / "journal.sqlite3")
    told = json.dumps({"error": {"code": "damaged", "message": "as µ it is"}}).encode()
    for seq, image, kind, payload in (
        (4, 1, "failure", told),
        (5, 2, "failure", told),
        (6, 2, "inspection", b"{}"),
        (7, 3, "failure", b"\xff{ cut off"),
    ):
        database.execute("INSERT INTO verdict VALUES (1, ?, ?, ?, ?, 1, 2, ?)", (seq, f"v-{seq}", kind, image, float(seq)))
        database.execute(
            "INSERT INTO outbox (epoch, seq, role, topic, state, queued_at, payload)"
            " VALUES (1, ?, 'verdict', ?, 'acked', 1.0, ?)",
            (seq, kind, payload),
        )
    # A failure that was too large for the broker: a tombstone is sent in its place, the original kept.
    database.execute("INSERT INTO image SELECT 9, X'39', 1, 1, 1, X'', 'done', 1, 1, 1, 0, 0, 9, NULL, NULL")
    database.execute("INSERT INTO verdict VALUES (1, 8, 'v-8', 'failure', 9, 1, 1, 8.0)")
    database.execute(
        "INSERT INTO outbox (id, epoch, seq, role, topic, state, queued_at, payload)"
        " VALUES (99, 1, 8, 'verdict', 'failure', 'acked', 1.0, ?)",
        (b'{"schema":"edge.tombstone/1"}',),
    )
    database.execute("INSERT INTO dead_letter VALUES (99, 1, 8, 'failure', 'too large', 8.0, ?)", (told,))
    database.commit()
    database.close()
    return folder


@pytest.mark.parametrize("how", [Journal.view, Journal.open])
def test_failures_of_an_older_release_are_in_quarantine_as_far_as_they_are_known(
    older: Path, how: Callable[[Path], Journal]
) -> None:
    with how(older) as journal:
        found = {image.path: (image.code, image.message, image.ts) for image in journal.quarantine.images()}
    assert found == {
        "1.tif": ("damaged", "as µ it is", 4.0),
        "3.tif": ("unknown", "", 7.0),
        "9": ("damaged", "as µ it is", 8.0),
    }
