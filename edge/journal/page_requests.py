"""What a person asks for on the live page in, files in the state folder out; the daemon's answers back.

A journal has one writer, and the page only reads it. So a command and an adaptation are left as files, as in
`edge.journal.requests`, and the daemon answers beside them. A command that nobody took in time is taken back: nothing is
to be paused by a click of last week.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.journal import requests

SCHEMA: Final = "edge.request/1"
COMMAND, ANSWER, ADAPTATION = ".command", ".answer", ".adaptation"
LARGEST_ADAPTATION: Final = 64 << 20
FORGOTTEN_S: Final = 600.0
"""An answer that nobody fetched for so long is removed."""
_LOOK_EACH_S: Final = 0.05


class Answer(NamedTuple):
    """What came of a command: `error` is a sentence where it was not carried out, `result` an object where it was."""

    ok: bool
    error: str | None
    result: dict[str, Any] | None


class Asked(NamedTuple):
    """One command. who: the user's name."""

    name: str
    fields: dict[str, Any]
    who: str


def ask(folder: Path, name: str, fields: Mapping[str, Any], who: str, timeout_s: float = 15.0) -> Answer:
    """Have the daemon carry out one of the contract's commands, and wait for what came of it.

    folder: the state folder.  who: the user's name, for the audit.  Raises StateError when this user may not write there.
    """
    asked = json.dumps({"schema": SCHEMA, "command": name, "fields": dict(fields), "who": who}).encode()
    file = requests.leave_file(folder, COMMAND, asked)
    answer = file.with_suffix(ANSWER)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        told = _fetched(answer)
        if told is not None:
            return told
        time.sleep(_LOOK_EACH_S)
    requests.remove(file)
    told = _fetched(answer)  # it was taken just now
    return told or Answer(False, "the service does not answer, so nothing was done: look whether it runs", None)


def _fetched(answer: Path) -> Answer | None:
    try:
        said = json.loads(answer.read_bytes())
    except (OSError, ValueError):  # not there yet: it is written whole
        return None
    requests.remove(answer)
    return Answer(bool(said["ok"]), said["error"], said["result"])


def leave_adaptation(folder: Path, data: bytes) -> str:
    """Hand over an adaptation file; its sha256. It is checked and kept by the daemon, in front of the commands that are left
    after it. folder: the state folder. Raises StateError as `ask`, ValueError for more than `LARGEST_ADAPTATION` bytes.
    """
    if len(data) > LARGEST_ADAPTATION:
        raise ValueError(f"an adaptation of more than {LARGEST_ADAPTATION >> 20} MiB is none of edge-teach")
    requests.leave_file(folder, ADAPTATION, data)
    return hashlib.sha256(data).hexdigest()


# For the daemon


def waiting(folder: Path, suffix: str) -> list[Path]:
    """What was left and not taken up, oldest first. suffix: COMMAND or ADAPTATION."""
    return requests.left(folder, suffix)


def read(file: Path) -> Asked:
    """One command. Raises ValueError with what is wrong with it, OSError when it cannot be read."""
    with file.open("rb") as stream:
        data = stream.read(requests.LARGEST_BYTES + 1)
    if len(data) > requests.LARGEST_BYTES:
        raise ValueError(f"more than {requests.LARGEST_BYTES} bytes")
    try:
        asked = json.loads(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(asked, dict) or asked.get("schema") != SCHEMA:
        raise ValueError(f"not an {SCHEMA}")
    name, fields, who = asked.get("command"), asked.get("fields"), asked.get("who")
    if not isinstance(name, str) or not isinstance(fields, dict) or not isinstance(who, str):
        raise ValueError("a command needs its name, its fields and who asks")
    return Asked(name, fields, re.sub(r"[\x00-\x1f\x7f]", "?", who)[:100])


def answer(file: Path, told: Answer) -> None:
    """Say what came of the command in `file`, and take it away. Raises StateError when it cannot be written."""
    requests.leave_file(file.parent.parent, ANSWER, json.dumps(told._asdict()).encode(), stem=file.stem)
    requests.remove(file)
    for other in requests.left(file.parent.parent, ANSWER):
        if _age_s(other) > FORGOTTEN_S:
            requests.remove(other)


def _age_s(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0
