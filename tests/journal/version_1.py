"""A state folder as the first version of the schema left it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

EPOCH = "3f0c"
SCHEMA = """CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
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
    turn INTEGER NOT NULL,     -- order of admission among those that wait
    begun_revision INTEGER,    -- what is being inspected while running: the file may be admitted anew meanwhile
    begun_run INTEGER
);
CREATE INDEX image_queue ON image (attempts > 0, attempts = 0 AND backlog, turn) WHERE state IN ('waiting', 'running');
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
    tries INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    picture TEXT,
    payload BLOB,              -- last, so that the columns above are read without its pages
    FOREIGN KEY (epoch, seq) REFERENCES verdict
);
CREATE INDEX outbox_seq ON outbox (epoch, seq);
CREATE INDEX outbox_unsent ON outbox (id) WHERE state = 'unsent';
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
"""


def write(folder: Path) -> None:
    """Three inspections. The first was sent, the second waits with its overlay, the third's verdict was buried."""
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "2.webp").write_bytes(b"picture")
    file = folder / "journal.sqlite3"
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    database.execute("INSERT INTO meta VALUES ('first_admission_at', '1.0')")
    database.execute("INSERT INTO epoch VALUES (1, ?, 1.0)", (EPOCH,))
    for seq in (1, 2, 3):
        database.execute(
            "INSERT INTO image VALUES (?, ?, 1, 1, 1, X'', 'done', 1, 1, 1, 0, 0, ?, NULL, NULL)",
            (seq, f"{seq}.tif".encode(), seq),
        )
        database.execute("INSERT INTO verdict VALUES (1, ?, ?, 'inspection', ?, 1, 1, 1.0)", (seq, f"v-{seq}", seq))
    database.executemany(
        "INSERT INTO outbox (epoch, seq, role, topic, state, queued_at, suspect, picture, payload)"
        " VALUES (1, ?, ?, ?, ?, 1.0, ?, ?, ?)",
        [
            (1, "verdict", "inspection", "acked", 0, None, b"first"),
            (2, "verdict", "inspection", "unsent", 2, None, b"second" + bytes(20_000)),
            (2, "overlay", "overlay/v-2", "unsent", 0, "2.webp", None),
            (3, "verdict", "failure", "acked", 0, None, b"tombstone"),
        ],
    )
    database.execute("INSERT INTO dead_letter VALUES (4, 1, 3, 'inspection', 'too large', 2.0, X'00')")
    database.execute("INSERT INTO summary VALUES (1, 3, 0, X'7B7D')")
    database.execute("PRAGMA user_version = 1")
    database.close()
    (folder / "witness").write_text(f"{EPOCH} {3:020d} {file.stat().st_ino:020d}\n")
