"""A journal whose next numbers were given away by another life in; a new epoch, with what was not sent yet in it, out.

What is right for each verdict of the old epoch, when the broker knows more of it than this state does:

* Acknowledged: it was sent under its number, and stays as it is.
* Not sent, and stored before the state was copied: the other life has sent it, or will, with the same content.
* Not sent, and stored since: its number was given to another content.

The last two cannot be told apart from here, and the last must not be sent under its number. So every verdict that was not
sent gets a number and an id of the new epoch. Nothing is lost and no number means two contents; what the other life
sent too comes a second time, under another id. Overlays and the summary go with their verdict. An overlay whose verdict was
acknowledged keeps its name. What other channels say stays as it was written: its form is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from edge.journal.database import Database
from edge.journal.numbering import Numbering
from edge.journal.records import Message, Unsent, Verdict


def renew(database: Database, numbering: Numbering, now: float, rewrite: Callable[[Unsent], Verdict]) -> int:
    """Begin a new epoch and move there what was not sent, in one transaction; return how many verdicts.

    rewrite: the same verdict under its new number, with a message for each that it gets, in the same order.
    now: seconds since 1970.
    """

    def work() -> int:
        old_id, old_name = numbering.epoch_id, numbering.epoch
        new_id, new_name = numbering.begin_epoch(now)
        unsent = database.execute(
            "SELECT seq FROM verdict WHERE epoch = ? AND seq IN (SELECT seq FROM outbox WHERE epoch = ? AND state = 'unsent'"
            " AND channel = '' AND role = 'verdict') ORDER BY seq",
            old_id,
            old_id,
        ).fetchall()
        database.execute("UPDATE summary SET sent = 1")  # the broker's is newer, unless its verdict was not sent: see `_move`
        for seq, (old_seq,) in enumerate(unsent, 1):
            _move(database, (old_id, old_name, old_seq), (new_id, new_name, seq), rewrite)
        return len(unsent)

    with database.mutex:
        moved = database.write(work, reserve=True)
        numbering.adopt_newest()
        numbering.record(moved)
    return moved


def _move(
    database: Database,
    old: tuple[int, str, int],
    new: tuple[int, str, int],
    rewrite: Callable[[Unsent], Verdict],
) -> None:
    """One verdict with its messages; old, new: the epoch's row and name, and the number."""
    old_id, old_name, old_seq = old
    new_id, new_name, seq = new
    verdict_id, kind, image, path, revision, run, made_at = database.execute(
        "SELECT verdict_id, kind, image, path, verdict.revision, verdict.run, made_at FROM verdict"
        " JOIN image ON image.id = image WHERE epoch = ? AND seq = ?",
        old_id,
        old_seq,
    ).fetchone()
    rows = database.execute(
        "SELECT id, role, topic, payload, picture FROM outbox WHERE epoch = ? AND seq = ? AND state = 'unsent' AND channel = ''"
        " ORDER BY id",
        old_id,
        old_seq,
    ).fetchall()
    summaries = database.execute("SELECT payload FROM summary WHERE seq = ?", old_seq).fetchall()
    messages = [Message(role, topic, payload, picture) for _, role, topic, payload, picture in rows]
    messages += [Message("summary", "summary", payload) for (payload,) in summaries]
    told = rewrite(Unsent(old_name, new_name, seq, verdict_id, kind, os.fsdecode(path), revision, run, tuple(messages)))
    database.execute(
        "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)", new_id, seq, told.verdict_id, kind, image, revision, run, made_at
    )
    for (row, *_), message in zip(rows, told.messages, strict=False):
        database.execute(
            "UPDATE outbox SET epoch = ?, seq = ?, topic = ?, payload = ? WHERE id = ?",
            new_id,
            seq,
            message.topic,
            message.payload,
            row,
        )
    if summaries:
        database.execute("UPDATE summary SET seq = ?, sent = 0, payload = ?", seq, told.messages[-1].payload)
