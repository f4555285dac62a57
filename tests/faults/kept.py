"""What a writer told and its state folder in; what of it is not there, or not as it was told, out."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final
from unittest import mock

from edge.errors import StateError
from edge.journal import Journal
from tests import ROOT
from tests.faults.row import Outcome
from tests.faults.storing import content
from tests.journal.examples import inspected, one

COMMAND: Final = [sys.executable, str(ROOT / "tests" / "faults" / "storing.py")]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
POLL_S: Final = 0.02
Told = Mapping[str, Any]


class Writer:
    """`storing.py` as a process, and what it told so far. It begins with `begin`.

    told: everything, in order.  heard_at: for each, what `moment` was when it was heard.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *arguments: str | Path,
        enter: Sequence[str] = (),
        moment: Callable[[], int] = lambda: 0,
    ) -> None:
        """arguments: further ones.  enter: what stands before its command.  moment: of now, as the length of a disk's log."""
        self.told: list[Told] = []
        self.heard_at: list[int] = []
        self._moment = moment
        self._line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        words = [*enter, *COMMAND, str(folder), str(seed), str(far.fileno()), *map(str, arguments)]
        self.process = subprocess.Popen(
            words, pass_fds=[far.fileno()], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        far.close()

    def begin(self) -> None:
        """Open the journal and work."""
        self._line.send(b"begin")

    def hear(self) -> None:
        """Take what was told since. By one thread at a time."""
        while True:
            try:
                packet = self._line.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                return
            self.told.append(json.loads(packet))
            self.heard_at.append(self._moment())

    def until(self, condition: Callable[[], bool], *, hearing: bool = True, within_s: float = math.inf) -> bool:
        """Wait until it is so, or the writer has ended; whether it is so. hearing: nobody else hears it."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None and time.monotonic() < deadline:
            if hearing:
                self.hear()
            if condition():
                return True
            time.sleep(POLL_S)
        return False

    def close(self) -> None:
        """Hear the last of it."""
        self.hear()
        self._line.close()

    def count(self, did: str) -> int:
        """How often it told that."""
        return sum(one["did"] == did for one in list(self.told))

    def end(self, *, kill: bool = False, hearing: bool = True) -> list[str]:
        """Ask it to end, or kill it. Problems: it ended as no daemon may.

        hearing: nobody else hears it meanwhile.
        """
        if kill:
            self.process.kill()
        elif self.process.poll() is None:
            self._line.send(b"end")
        self.until(lambda: False, hearing=hearing)
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            words = stream.read()
        status = self.process.wait()
        if status in (0, 3) or (kill and status == -9):
            return []
        return [f"ended: with status {status}: {words[-300:]}"]


def earlier_life(
    state: Path, chance: random.Random, most: int, *arguments: str | Path, enter: Sequence[str] = ()
) -> list[Told]:
    """A writer fills a state folder and ends well or is killed; what it told. most: verdicts, about."""
    writer = Writer(state, chance.getrandbits(32), *arguments, enter=enter)
    enough, kill = chance.randint(1, most), chance.random() < 0.5
    writer.begin()
    writer.until(lambda: writer.count("stored") >= enough)
    problems = writer.end(kill=kill)
    assert not problems, problems
    writer.close()
    return writer.told


def boot_file(folder: Path, number: int) -> Path:
    """What the kernel says in this life of the machine."""
    file = folder / f"boot-{number}"
    file.write_text(f"{number:08d}-0000-4000-8000-000000000000\n")
    return file


def kept(folder: Path, told: Sequence[Told], *, boot: Path | None = None, same_epoch: bool = True) -> Outcome:
    """Open the journal, compare, go on, compare again.

    boot: what the kernel says, see `boot_file`.  same_epoch: what lies there is the newest, so no new epoch may begin.
    """
    with mock.patch("edge.journal.boot._BOOT_ID", boot) if boot else nullcontext():
        try:
            with Journal.open(folder) as journal:
                problems = _compared(folder, told)
                known = {one["epoch"] for one in told if one["did"] == "stored"}
                if same_epoch and known and journal.renewed:
                    problems.append(f"epoch: {journal.epoch} began, though nothing older came back")
                problems += _goes_on(journal)
            again = _compared(folder, told)
        except StateError as error:
            return Outcome([f"opening: {error}"])
    counts = {"verdicts told": sum(one["did"] == "stored" for one in told), "verdicts kept": _count(folder)}
    return Outcome(problems + [problem for problem in again if problem not in problems], counts)


def _goes_on(journal: Journal) -> list[str]:
    """What waits gets its verdict, as do new images, with the next numbers."""
    problems = []
    journal.ledger.recover()
    last = int(journal.info()["last_seq"])
    for entry in journal.ledger.waiting():
        journal.ledger.begin(entry.path)
        (seq,) = journal.ledger.conclude(entry.path, one(f"after-{journal.epoch}"))
        problems += [] if seq == last + 1 else [f"gap: {seq} came after {last}"]
        last = seq
    for number in range(2):
        seq = inspected(journal, f"after-{journal.epoch}-{number}.tif", one(f"new-{journal.epoch}"))
        problems += [] if seq == last + 1 else [f"gap: {seq} came after {last}"]
        last = seq
    problems += [f"lost: {path} has no verdict" for path, entry in journal.ledger.entries().items() if entry.state != "done"]
    return problems


def _compared(folder: Path, told: Sequence[Told]) -> list[str]:
    """What a file and the tables hold, with what was told."""
    with closing(sqlite3.connect(f"file:{folder}/journal.sqlite3?mode=ro", uri=True)) as database:
        problems = [f"damaged: {row[0]}" for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        problems += [f"damaged: {row}" for row in database.execute("PRAGMA foreign_key_check")]
        verdicts = {
            (epoch, seq): os.fsdecode(path)
            for epoch, seq, path in database.execute(
                "SELECT epoch.name, seq, path FROM verdict JOIN epoch ON epoch.id = epoch JOIN image ON image.id = image"
            )
        }
        messages = {
            (epoch, seq, role): (payload, picture)
            for epoch, seq, role, payload, picture in database.execute(
                "SELECT epoch.name, seq, role, payload, picture FROM outbox JOIN epoch ON epoch.id = epoch"
            )
        }
        images = {os.fsdecode(path) for (path,) in database.execute("SELECT path FROM image")}
    for epoch in {epoch for epoch, _ in verdicts}:
        numbers = sorted(seq for name, seq in verdicts if name == epoch)
        if numbers != list(range(1, len(numbers) + 1)):
            problems.append(f"gap: the numbers of {epoch} are {numbers[:3]} to {numbers[-3:]}, {len(numbers)} of them")
    gone: set[tuple[str, int, str]] = set()
    sent: set[tuple[str, int, str]] = set()
    for said in told:
        if said["did"] == "acknowledging":
            sent |= {(epoch, seq, role) for epoch, seq, role in said["rows"]}
        elif said["did"] == "forgetting":
            gone |= sent
    for said in told:
        if said["did"] == "admitted" and said["path"] not in images:
            problems.append(f"lost: {said['path']} was admitted")
        elif said["did"] == "stored":
            problems += _verdict_as_told(said, verdicts, messages, gone)
    drew = {said["name"]: said["bytes"] for said in told if said["did"] == "drew"}
    return problems + _pictures_as_told(folder / "pictures", drew, messages, gone)


def _verdict_as_told(
    said: Told,
    verdicts: Mapping[tuple[str, int], str],
    messages: Mapping[tuple[str, int, str], tuple[bytes | None, str | None]],
    gone: set[tuple[str, int, str]],
) -> list[str]:
    epoch, seq, path = said["epoch"], said["seq"], said["path"]
    there = verdicts.get((epoch, seq))
    if there is None:
        return [f"lost: seq {seq} of {epoch}, {path}"]
    if there != path:
        return [f"twice: seq {seq} of {epoch} was told for {path} and is {there}'s"]
    message = messages.get((epoch, seq, "verdict"))
    if message is None:
        return [] if (epoch, seq, "verdict") in gone else [f"lost: the message of seq {seq}"]
    return [] if message[0] == content(f"{epoch}/{seq}/{path}", said["bytes"]) else [f"wrong: the message of seq {seq}"]


def _pictures_as_told(
    folder: Path,
    drew: Mapping[str, int],
    messages: Mapping[tuple[str, int, str], tuple[bytes | None, str | None]],
    gone: set[tuple[str, int, str]],
) -> list[str]:
    """Each picture that a message names is whole, if it is there; it must be where it was told."""
    problems = []
    for row, (_, picture) in messages.items():
        if picture is None:
            continue
        try:
            data = (folder / picture).read_bytes()
        except FileNotFoundError:
            problems += [f"lost: the picture {picture}"] if picture in drew and row not in gone else []
            continue
        words = data.partition(b"\n")[0].decode(errors="replace").split()
        if len(words) != 2 or not words[1].isdigit() or data != content(picture, int(words[1])):
            problems.append(f"wrong: the picture {picture} holds {len(data)} bytes")
    return problems


def _count(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/journal.sqlite3?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT COUNT(*) FROM verdict").fetchone()[0])
