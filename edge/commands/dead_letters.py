"""A state folder in; out come the messages that the broker never took, and their originals: `edge-review dead-letters`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from edge.commands.finding import several
from edge.errors import ConfigError
from edge.journal import Journal
from edge.journal.records import DeadLetter
from edge.service import health
from edge.service.worker import printable
from edge.wire.encode import timestamp


def list_dead_letters(state: Path, *, as_json: bool) -> int:
    """Print them, the newest first: number, when, topic, id of the verdict, and why. Raises StateError."""
    with Journal.view(state) as journal:
        letters = journal.outbox.dead_letters()
    for letter in reversed(letters):
        if as_json:
            print(json.dumps({**letter._asdict(), "ts": timestamp(health.utc(letter.ts))}))
            continue
        when: datetime = health.utc(letter.ts).astimezone()
        print(f"{letter.seq:>6}  {when:%Y-%m-%d %H:%M}  {printable(letter.topic)}  {letter.verdict_id}")
        print(f"{'':8}{printable(letter.reason)}")
    print(f"{several(len(letters), 'message')} that the broker never took", file=sys.stderr)
    return 0


def originals(state: Path, wanted: Sequence[str]) -> int:
    """Print the verdicts of dead letters as they were to be sent, one line of JSON each; 1 when one is no longer kept.

    wanted: ids of verdicts, or numbers, as `list_dead_letters` shows them.
    Raises ConfigError for what is none of them, or a number that several verdicts had, StateError.
    """
    missing = 0
    with Journal.view(state) as journal:
        letters = journal.outbox.dead_letters()
        ids = [_named(one, letters) for one in wanted]
        for verdict_id in dict.fromkeys(ids):
            sent = journal.verdicts.sent(verdict_id)
            if sent is None:
                print(f"edge-review: the message of {verdict_id} is no longer kept (state.keep_days)", file=sys.stderr)
                missing += 1
                continue
            print(sent.decode("utf-8", "backslashreplace").strip())
            name = journal.verdicts.picture(verdict_id)
            if name is not None and (state / "pictures" / name).is_file():
                print(f"edge-review: its picture is {state / 'pictures' / name}", file=sys.stderr)
    return 1 if missing else 0


def _named(name: str, letters: Sequence[DeadLetter]) -> str:
    found = {letter.verdict_id for letter in letters if name in (letter.verdict_id, str(letter.seq))}
    if not found:
        raise ConfigError(f"{printable(name)} is no dead letter: edge-review dead-letters shows which there are")
    if len(found) > 1:
        raise ConfigError(f"number {name} was given more than once: name the id, {' or '.join(sorted(found))}")
    return found.pop()
