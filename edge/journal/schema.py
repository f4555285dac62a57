"""The tables and indexes of the journal's database, as text; nothing here runs."""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 4

QUEUED: Final = "state IN ('waiting', 'running')"
"""The condition of the partial index `image_queue`. SQLite uses a partial index only for a query that states the same
condition; that it follows from `state = 'waiting'` is not seen. So a query for one of the two states says both."""

LANES: Final = "held, attempts > 3, attempts = 0 AND backlog, attempts > 0, turn"
"""The order in which images are begun: new ones; those that were begun and not finished, a few times; the backlog, the newest
first; what was begun again and again. What is held is none of them."""

_REVIEW: Final = """
CREATE TABLE review (
    review_seq INTEGER PRIMARY KEY AUTOINCREMENT,
    review_id TEXT NOT NULL UNIQUE,
    image_sha256 TEXT NOT NULL,
    stored_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unsent', 'acked', 'dead')),
    suspect INTEGER NOT NULL DEFAULT 0,  -- connections lost with it
    said BLOB NOT NULL,        -- as it was handed over
    payload BLOB NOT NULL      -- as it is sent
);
CREATE INDEX review_unsent ON review (review_seq, state) WHERE state = 'unsent';
"""

TABLES: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, began_at REAL NOT NULL);
CREATE TABLE image (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    readable INTEGER NOT NULL,
    sidecar BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'ignored')),
    revision INTEGER NOT NULL,
    run INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    backlog INTEGER NOT NULL,
    turn INTEGER NOT NULL,     -- order among those that wait: of admission; in the backlog of time, and negative
    begun_revision INTEGER,    -- what is being inspected while running: the file may be admitted anew meanwhile
    begun_run INTEGER,
    ctime_ns INTEGER,          -- with the next: of the content that is known; other ones are a reason to compare it
    inode INTEGER,
    content TEXT,              -- sha256 of what was inspected last; none after a failure
    judged INTEGER NOT NULL DEFAULT 0,  -- the last revision that has a verdict or needs none
    held INTEGER NOT NULL DEFAULT 0     -- it may still be growing: not to be begun now
);
CREATE INDEX image_queue ON image ({LANES}) WHERE {QUEUED};
CREATE TABLE verdict (
    epoch INTEGER NOT NULL REFERENCES epoch,
    seq INTEGER NOT NULL,
    verdict_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    image INTEGER NOT NULL REFERENCES image,
    revision INTEGER NOT NULL,
    run INTEGER NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    role TEXT NOT NULL,
    topic TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unsent', 'acked', 'dead')),  -- none longer than the first: see `acknowledge`
    queued_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,    -- how often drawing its picture was begun
    suspect INTEGER NOT NULL DEFAULT 0,  -- connections lost with it; the name is that of the first version
    channel TEXT NOT NULL DEFAULT '',    -- empty: the JSON of the contract
    retain INTEGER NOT NULL DEFAULT 0,
    picture TEXT,
    payload BLOB,              -- last, so that the columns above are read without its pages
    FOREIGN KEY (epoch, seq) REFERENCES verdict
);
CREATE INDEX outbox_seq ON outbox (epoch, seq);
CREATE INDEX outbox_unsent ON outbox (channel, id, state)  -- with the state, so that counting reads no row
    WHERE state = 'unsent';
CREATE INDEX outbox_kept ON outbox (queued_at) WHERE state <> 'unsent';
CREATE INDEX outbox_picture ON outbox (picture) WHERE picture IS NOT NULL;
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY,    -- that of its row in the outbox
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL,
    payload BLOB,              -- the original, where a tombstone took its place in the outbox
    FOREIGN KEY (epoch, seq) REFERENCES verdict
);
CREATE TABLE summary (
    slot INTEGER PRIMARY KEY CHECK (slot = 1),
    seq INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE quarantine (      -- images whose newest verdict is a failure
    image INTEGER PRIMARY KEY REFERENCES image,
    verdict_id TEXT NOT NULL REFERENCES verdict (verdict_id),
    code TEXT NOT NULL,
    message TEXT NOT NULL
);
{_REVIEW.strip()}
"""

NEW_EPOCH: Final = "INSERT INTO epoch (name, began_at) VALUES (?, ?)"
"""A database without an epoch has no numbers to give away: the first comes with the tables."""

_FAILED: Final = """
SELECT image, verdict_id,
    COALESCE(CASE WHEN json_valid(sent) THEN json_extract(sent, '$.error.code') END, 'unknown') AS code,
    COALESCE(CASE WHEN json_valid(sent) THEN json_extract(sent, '$.error.message') END, '') AS message
FROM (SELECT image, verdict_id, kind, epoch, seq, MAX((epoch << 40) + seq) FROM verdict GROUP BY image) AS newest
LEFT JOIN (
    SELECT epoch, seq,
        CAST(COALESCE((SELECT dead_letter.payload FROM dead_letter WHERE dead_letter.id = outbox.id), payload) AS TEXT) AS sent
    FROM outbox WHERE role = 'verdict'
) USING (epoch, seq)
WHERE kind = 'failure'
"""
"""The quarantine of a journal that keeps none: what failed at last, and why, as far as the message is still there. Beside a
MAX, SQLite takes the other columns from the row that has it."""

MIGRATIONS: Final = {
    1: """
ALTER TABLE outbox ADD COLUMN channel TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN retain INTEGER NOT NULL DEFAULT 0;
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (channel, id, state) WHERE state = 'unsent';
""",
    2: f"""
ALTER TABLE image ADD COLUMN ctime_ns INTEGER;
ALTER TABLE image ADD COLUMN inode INTEGER;
ALTER TABLE image ADD COLUMN content TEXT;
ALTER TABLE image ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE image ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
UPDATE image SET judged = revision - (state IN ('waiting', 'running') AND run = 1);
DROP INDEX image_queue;
CREATE INDEX image_queue ON image ({LANES}) WHERE {QUEUED};
CREATE TABLE quarantine (image INTEGER PRIMARY KEY REFERENCES image, verdict_id TEXT NOT NULL REFERENCES verdict (verdict_id),
    code TEXT NOT NULL, message TEXT NOT NULL);
INSERT INTO quarantine {_FAILED.strip()};
""",
    3: _REVIEW,
}
"""What makes the next version of each older one. Columns can only be added at the end, here behind the payload. That costs
nothing: whoever reads them reads the payload too, or the index alone."""

_IMAGE_OF_2: Final = (
    "CREATE TEMP VIEW image AS SELECT *, NULL AS ctime_ns, NULL AS inode, NULL AS content, 0 AS judged, 0 AS held"
    " FROM main.image"
)
_OUTBOX_OF_1: Final = "CREATE TEMP VIEW outbox AS SELECT *, '' AS channel, 0 AS retain FROM main.outbox"
_QUARANTINE_OF_2: Final = f"CREATE TEMP VIEW quarantine AS {_FAILED}"

_REVIEW_OF_3: Final = (
    "CREATE TEMP VIEW review AS SELECT 0 AS review_seq, '' AS review_id, '' AS image_sha256, 0.0 AS stored_at,"
    " 'acked' AS state, 0 AS suspect, x'' AS said, x'' AS payload WHERE 0"
)

STAND_INS: Final = {
    1: (_OUTBOX_OF_1, _IMAGE_OF_2, _QUARANTINE_OF_2, _REVIEW_OF_3),
    2: (_IMAGE_OF_2, _QUARANTINE_OF_2, _REVIEW_OF_3),
    3: (_REVIEW_OF_3,),
}
"""What lets an older version be read without being changed. SQLite looks for a table's name among the temporary ones first,
which belong to the connection and not to the file."""
