"""Messages in, messages that wait for the broker out, in order, until each is acknowledged or can never be taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from edge.journal.database import Database
from edge.journal.numbering import Numbering
from edge.journal.records import DeadLetter, Message, Outgoing, RetainedSummary
from edge.journal.reviews import FIRST_ROW, Reviews

_ENDLESS: Final = 2**63 - 1


class Outbox:
    """What is to be sent, what was sent and may be sent again, and what was given up. Errors and threads: see `Journal`."""

    def __init__(
        self,
        database: Database,
        numbering: Numbering,
        clock: Callable[[], float],
        least: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Touches nothing. clock: seconds since 1970.  least: a moment that is certainly over, also where the clock is behind.

        What is queued is never older than that, or it would be forgotten as soon as the clock is set right.
        """
        self._database = database
        self._numbering = numbering
        self._clock, self._least = clock, least
        self._reviews = Reviews(database, clock)
        self._fresh_from = 0  # rows below this id wait because of a replay; used in the publisher's thread alone

    def insert(self, seq: int, messages: Iterable[Message], now: float) -> None:
        """Queue the messages of one verdict. Only inside the transaction that stores the verdict: see `Ledger.conclude`."""
        queued_at = max(now, self._least())
        for message in messages:
            if message.role == "summary":
                self._database.execute("INSERT OR REPLACE INTO summary VALUES (1, ?, 0, ?)", seq, message.payload)
            else:
                self._database.execute(
                    "INSERT INTO outbox (epoch, seq, role, topic, state, queued_at, channel, retain, picture, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    self._numbering.epoch_id,
                    seq,
                    message.role,
                    message.topic,
                    "acked" if message.kept else "unsent",
                    queued_at,
                    message.channel,
                    message.retain,
                    message.picture,
                    message.payload,
                )

    # What waits

    def unsent(self, limit: int = 100, channel: str = "", without: Collection[str] = ()) -> list[Outgoing]:
        """The first messages of one channel that the broker has not acknowledged, in order of id.

        channel: empty for the contract's JSON. A replay puts rows back there, below ids that were read before.
        without: topics, and first levels of topics, that are left out.
        """
        rows = self._unsent_verdicts(limit, channel, without)
        if channel or len(rows) >= limit or "review" in without:
            return rows
        return rows + self._reviews.unsent(limit - len(rows), self._numbering.epoch)

    def _unsent_verdicts(self, limit: int, channel: str, without: Collection[str]) -> list[Outgoing]:
        if channel or not self._fresh_from:
            return self._unsent(limit, channel, 0, _ENDLESS, without)
        fresh = self._unsent(limit, channel, self._fresh_from, _ENDLESS, without)
        again = self._unsent(limit - len(fresh), channel, 0, self._fresh_from - 1, without)
        if not again and len(fresh) < limit and not without:
            self._fresh_from = 0
        return fresh + again

    def _unsent(self, limit: int, channel: str, lowest_id: int, highest_id: int, without: Collection[str]) -> list[Outgoing]:
        marks = ", ".join("?" * len(without))
        first_level = "CASE INSTR(topic, '/') WHEN 0 THEN topic ELSE SUBSTR(topic, 1, INSTR(topic, '/') - 1) END"
        wanted = f" AND topic NOT IN ({marks}) AND {first_level} NOT IN ({marks})" if without else ""
        rows = self._database.read(
            "SELECT outbox.id, seq, verdict_id, role, topic, payload, picture, suspect, epoch.name, channel, retain FROM outbox"
            " JOIN verdict USING (epoch, seq) JOIN epoch ON epoch.id = outbox.epoch"
            f" WHERE state = 'unsent' AND channel = ? AND outbox.id BETWEEN ? AND ?{wanted} ORDER BY outbox.id LIMIT ?",
            channel,
            lowest_id,
            highest_id,
            *without,
            *without,
            limit,
        )
        return [_outgoing(row) for row in rows]

    def unsent_count(self) -> int:
        """How many messages wait to be sent, on all channels."""
        rows = int(self._database.read("SELECT COUNT(*) FROM outbox WHERE state = 'unsent'")[0][0])
        return rows + self._reviews.unsent_count()

    def waiting_in(self, channel: str) -> tuple[int, float | None]:
        """How many messages wait in one channel, and when the first of them was queued, seconds since 1970; None for none."""
        first = "SELECT MIN(id) FROM outbox WHERE state = 'unsent' AND channel = ?"
        count = self._database.read("SELECT COUNT(*) FROM outbox WHERE state = 'unsent' AND channel = ?", channel)[0][0]
        rows = self._database.read(f"SELECT queued_at FROM outbox WHERE id = ({first})", channel)
        return int(count), float(rows[0][0]) if rows else None

    def oldest_unsent(self) -> float | None:
        """When the first message that waits was queued, on any channel, seconds since 1970."""
        rows = self._database.read(
            # The plus keeps SQLite from looking for the first one in the table, past all that were sent.
            "SELECT queued_at FROM outbox WHERE id = (SELECT MIN(+id) FROM outbox WHERE state = 'unsent')"
        )
        return float(rows[0][0]) if rows else None

    def forget_channels(self, wanted: Collection[str]) -> int:
        """Drop what waits for channels that nobody empties any more, which would wait for ever; return how many messages.

        wanted: names of the channels that are open. The contract's JSON is always kept.
        """
        kept = ["", *wanted]
        marks = ", ".join("?" * len(kept))

        def work() -> int:
            return self._database.execute(
                f"DELETE FROM outbox WHERE state = 'unsent' AND channel NOT IN ({marks})", *kept
            ).rowcount

        return self._database.write(work, reserve=True)

    def settle(self) -> int:
        """There is no broker any more: what waits for one is kept for a replay and waits no longer; return how much it was."""

        def work() -> int:
            settled = "SET state = 'acked', suspect = 0 WHERE state = 'unsent'"
            rows = self._database.execute(f"UPDATE outbox {settled} AND channel = ''").rowcount
            return rows + self._database.execute(f"UPDATE review {settled}").rowcount

        return self._database.write(work, reserve=True)

    # What became of it

    def acknowledge(self, ids: Iterable[int]) -> None:
        """The broker took these: they are kept for a replay until they are pruned.

        The row does not grow by it, so that it seldom needs space.
        """
        done = list(ids)
        rows = [row for row in done if row < FIRST_ROW]
        self._database.write_each("UPDATE outbox SET state = 'acked', suspect = 0 WHERE id = ? AND state = 'unsent'", rows)
        self._reviews.acknowledge(row for row in done if row >= FIRST_ROW)

    def count_lost_connection(self, id: int) -> int:  # noqa: A002 - the row's own name
        """A connection died while this was the only message in flight. Returns how often that happened (0: not unsent)."""
        if id >= FIRST_ROW:
            return self._reviews.count_lost_connection(id)

        def work() -> int:
            self._database.execute("UPDATE outbox SET suspect = suspect + 1 WHERE id = ? AND state = 'unsent'", id)
            row = self._database.execute("SELECT suspect FROM outbox WHERE id = ? AND state = 'unsent'", id).fetchone()
            return int(row[0]) if row else 0

        return self._database.write(work, reserve=True)

    def bury(self, id: int, reason: str, tombstone: Message | None) -> None:  # noqa: A002 - the row's own name
        """Give up a message that the broker can never take.

        tombstone: a small message that is sent in its place, so that its `seq` is not missing; the original is put aside.
        None: nothing is sent (an overlay, or what another channel says). A tombstone that is buried in turn is replaced;
        the original stays on record.
        """
        if id >= FIRST_ROW:
            self._reviews.bury(id)
            return

        def work() -> None:
            row = self._database.execute(
                "SELECT epoch, seq, topic, payload FROM outbox WHERE id = ? AND state = 'unsent'", id
            ).fetchone()
            if row is None:
                return
            epoch, seq, topic, payload = row
            original = payload if tombstone else None
            self._database.execute(
                "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?)",
                id,
                epoch,
                seq,
                topic,
                reason,
                self._clock(),
                original,
            )
            if tombstone is None:
                self._database.execute("UPDATE outbox SET state = 'dead' WHERE id = ?", id)
            else:
                self._database.execute(
                    "UPDATE outbox SET topic = ?, payload = ?, picture = ?, suspect = 0 WHERE id = ?",
                    tombstone.topic,
                    tombstone.payload,
                    tombstone.picture,
                    id,
                )

        self._database.write(work, reserve=True)

    def revive(self, channel: str, tries: int) -> int:
        """Have those of one channel sent after all that were given up at their try of this number; return how many.

        tries: as `count_lost_connection` counts them. The next one counts on, so nothing is revived twice.
        """

        def work() -> int:
            which = "channel = ? AND suspect = ? AND state = 'dead' AND id IN (SELECT id FROM dead_letter)"
            rows = self._database.execute(f"SELECT id FROM outbox WHERE {which}", channel, tries).fetchall()
            for (row,) in rows:
                self._database.execute("DELETE FROM dead_letter WHERE id = ?", row)
                self._database.execute("UPDATE outbox SET state = 'unsent' WHERE id = ?", row)
            return len(rows)

        return self._database.write(work, reserve=True)

    def verdict(self, seq: int) -> tuple[str, bytes | None] | None:
        """The id of a verdict of this epoch, and its message while that is kept; None when the number was not given."""
        rows = self._database.read(
            "SELECT verdict_id, (SELECT payload FROM outbox WHERE outbox.epoch = verdict.epoch AND outbox.seq = verdict.seq"
            " AND role = 'verdict' LIMIT 1) FROM verdict WHERE epoch = ? AND seq = ?",
            self._numbering.epoch_id,
            seq,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def dead_letters(self) -> list[DeadLetter]:
        """Messages that were given up, oldest first."""
        rows = self._database.read(
            "SELECT seq, verdict_id, topic, reason, died_at FROM dead_letter JOIN verdict USING (epoch, seq) ORDER BY id"
        )
        return [DeadLetter(*row) for row in rows]

    def newest_dead_letter(self) -> DeadLetter | None:
        """The message that was given up last, None when there is none."""
        rows = self._database.read(
            "SELECT seq, verdict_id, topic, reason, died_at FROM dead_letter JOIN verdict USING (epoch, seq)"
            " ORDER BY died_at DESC LIMIT 1"
        )
        return DeadLetter(*rows[0]) if rows else None

    def dead_letter_count(self) -> int:
        """How many messages were given up."""
        return int(self._database.read("SELECT COUNT(*) FROM dead_letter")[0][0])

    def replay(self, epoch: str, first_seq: int, last_seq: int, *, behind_others: bool = False) -> int:
        """Have the acknowledged verdicts from `first_seq` to `last_seq` sent again, under their own ids; return how many.

        Overlays and summaries are not repeated, nor is what other channels said: those have no word for a repetition.
        0 when `epoch` is not the present one, or all were pruned.
        behind_others: they come after what waits and what is queued later, until the process ends.
        """
        if epoch != self._numbering.epoch:
            return 0

        def work() -> int:
            if behind_others:
                self._fresh_from = self._first_fresh()
            return self._database.execute(
                "UPDATE outbox SET state = 'unsent', queued_at = ?, suspect = 0"
                " WHERE epoch = ? AND seq BETWEEN ? AND ? AND role = 'verdict' AND state = 'acked'",
                max(self._clock(), self._least()),
                self._numbering.epoch_id,
                first_seq,
                last_seq,
            ).rowcount

        return self._database.write(work, reserve=True)

    def _first_fresh(self) -> int:
        """The first row that waits for the first time; the next one that is queued where none does."""
        waiting = "SELECT MIN(id) FROM outbox WHERE state = 'unsent' AND channel = '' AND id >= ?"
        first = self._database.execute(waiting, self._fresh_from).fetchone()[0]
        newest = self._database.execute("SELECT MAX(id) FROM outbox").fetchone()[0]
        return int(first or (newest or 0) + 1)

    # The summary, of which the newest alone is sent

    def summary(self) -> RetainedSummary | None:
        """The newest inspection's flat message, None before the first."""
        rows = self._database.read("SELECT seq, payload, sent FROM summary")
        return RetainedSummary(rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None

    def summary_sent(self, seq: int) -> None:
        """The broker took the summary of `seq`; without effect when a newer one has taken its place."""
        self._database.write(lambda: self._database.execute("UPDATE summary SET sent = 1 WHERE seq = ?", seq), reserve=True)


def _outgoing(row: tuple[Any, ...]) -> Outgoing:
    id, seq, verdict_id, role, topic, payload, picture, lost_connections, epoch, channel, retain = row  # noqa: A001
    return Outgoing(id, seq, verdict_id, role, topic, payload, picture, lost_connections, epoch, channel, bool(retain))
