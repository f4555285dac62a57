"""Reviews in, each stored once under a number of its own; out come those that wait for the broker, and all of them.

A review takes no `seq` and changes no verdict. It is sent behind the verdicts, and is never pruned.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from edge.journal.database import Database
from edge.journal.records import Outgoing

FIRST_ROW: Final = 1 << 61
"""Rows of reviews have ids from here on, so that they come behind all others."""


class StoredReview(NamedTuple):
    """One review. stored_at: seconds since 1970.  said: the JSON as it was handed over."""

    review_seq: int
    review_id: str
    image_sha256: str
    stored_at: float
    state: Literal["unsent", "acked", "dead"]
    said: bytes


class Reviews:
    """The reviews of one journal. Errors and threads: see `Journal`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Touches nothing. clock: seconds since 1970."""
        self._database, self._clock = database, clock

    def add(self, review_id: str, image_sha256: str, said: bytes, encode: Callable[[int], bytes]) -> int | None:
        """Store one review and its message, in one transaction; its `review_seq`, None where its id is stored already.

        encode: gets the number, returns what is sent. Raises ValueError where the id is stored with other content.
        """

        def work() -> int | None:
            known = self._database.execute("SELECT said FROM review WHERE review_id = ?", review_id).fetchone()
            if known is not None:
                if bytes(known[0]) != said:
                    raise ValueError(f"review {review_id!r} is stored already, with other content: a change is a new review")
                return None
            row = self._database.execute(
                "INSERT INTO review (review_id, image_sha256, stored_at, state, said, payload)"
                " VALUES (?, ?, ?, 'unsent', ?, '')",
                review_id,
                image_sha256,
                self._clock(),
                said,
            ).lastrowid
            assert row is not None
            self._database.execute("UPDATE review SET payload = ? WHERE review_seq = ?", encode(row), row)
            return row

        return self._database.write(work)

    def all(self) -> list[StoredReview]:
        """Every review, in the order in which they came."""
        rows = self._database.read(
            "SELECT review_seq, review_id, image_sha256, stored_at, state, said FROM review ORDER BY review_seq"
        )
        return [StoredReview._make((*row[:5], bytes(row[5]))) for row in rows]

    def newest(self) -> int:
        """The highest `review_seq`, 0 before the first."""
        return int(self._database.read("SELECT COALESCE(MAX(review_seq), 0) FROM review")[0][0])

    def path_of(self, image_sha256: str) -> bytes | None:
        """Below the watched folder: the image whose last inspected content has this hash; None when there is none."""
        rows = self._database.read("SELECT path FROM image WHERE content = ? ORDER BY id DESC LIMIT 1", image_sha256)
        return bytes(rows[0][0]) if rows else None

    def inspection(self, inspection_id: str) -> bytes | None:
        """The message of one inspection, None where it is not known or no longer kept."""
        rows = self._database.read(
            "SELECT payload FROM outbox JOIN verdict USING (epoch, seq) WHERE verdict_id = ? AND kind = 'inspection'"
            " AND role = 'verdict' AND channel = '' LIMIT 1",
            inspection_id,
        )
        return bytes(rows[0][0]) if rows and rows[0][0] is not None else None

    def pseudonym(self, reviewer: str) -> str:
        """What a reviewer is called on the wire: always the same in this journal, and not to be guessed without it."""

        def work() -> str:
            row = self._database.execute("SELECT value FROM meta WHERE key = 'pseudonyms'").fetchone()
            if row is not None:
                return str(row[0])
            key = secrets.token_hex(32)
            self._database.execute("INSERT INTO meta VALUES ('pseudonyms', ?)", key)
            return key

        key = self._database.write(work)
        return "reviewer-" + hmac.new(bytes.fromhex(key), reviewer.encode(), hashlib.sha256).hexdigest()[:12]

    # For the outbox

    def unsent(self, limit: int, epoch: str) -> list[Outgoing]:
        """The first reviews that the broker has not acknowledged, as rows of the outbox."""
        rows = self._database.read(
            "SELECT review_seq, review_id, payload, suspect FROM review WHERE state = 'unsent' ORDER BY review_seq LIMIT ?",
            limit,
        )
        return [
            Outgoing(FIRST_ROW + seq, seq, review_id, "review", "review", bytes(payload), None, suspect, epoch, "", False)
            for seq, review_id, payload, suspect in rows
        ]

    def unsent_count(self) -> int:
        """How many wait."""
        return int(self._database.read("SELECT COUNT(*) FROM review WHERE state = 'unsent'")[0][0])

    def acknowledge(self, rows: Iterable[int]) -> None:
        """The broker took these rows."""
        self._database.write_each(
            "UPDATE review SET state = 'acked', suspect = 0 WHERE review_seq = ? AND state = 'unsent'",
            [row - FIRST_ROW for row in rows],
        )

    def count_lost_connection(self, row: int) -> int:
        """As that of the outbox."""

        def work() -> int:
            where = "WHERE review_seq = ? AND state = 'unsent'"
            self._database.execute(f"UPDATE review SET suspect = suspect + 1 {where}", row - FIRST_ROW)
            found = self._database.execute(f"SELECT suspect FROM review {where}", row - FIRST_ROW).fetchone()
            return int(found[0]) if found else 0

        return self._database.write(work, reserve=True)

    def bury(self, row: int) -> None:
        """The broker can never take it: it stays here, and is sent no more."""
        self._database.write_each("UPDATE review SET state = 'dead' WHERE review_seq = ?", [row - FIRST_ROW])
