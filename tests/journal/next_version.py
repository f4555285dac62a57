"""`edge-daemon` as a later version of it: its journal's schema is one further on, and it can be killed in the migration."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys

from edge.journal import database, former, schema
from tests import ROOT

NEXT = schema.SCHEMA_VERSION + 1
COMMAND = (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.journal import next_version;"
           " sys.exit(next_version.main())")  # fmt: skip
KILLED_IN = "EDGE_TEST_KILLED_IN"
"""In the surroundings: `copy`, `rename` or `migration`."""


def become() -> None:
    """Be that version from now on, in this process."""
    schema.MIGRATIONS[schema.SCHEMA_VERSION] = (
        "ALTER TABLE image ADD COLUMN later INTEGER NOT NULL DEFAULT 0;\nCREATE TABLE later (id INTEGER PRIMARY KEY)"
    )
    schema.SCHEMA_VERSION = NEXT  # type: ignore[misc]


def main() -> int:
    """The daemon."""
    from edge.commands.cli import daemon

    become()
    _die_in(os.environ.get(KILLED_IN, ""))
    return daemon()


def _die_in(where: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "copy":
        former.STEP_PAGES = 1  # type: ignore[misc]
        keep = former.keep
        former.keep = lambda connection, folder, version, _: keep(connection, folder, version, die)
    elif where == "rename":
        former._sync = die
    elif where == "migration":
        run = database._run

        def run_and_die(connection: sqlite3.Connection, statements: str) -> None:
            run(connection, statements)
            die()

        database._run = run_and_die
