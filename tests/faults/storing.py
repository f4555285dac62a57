"""A state folder and a seed in; a journal that is written to as a daemon does, and each thing that it stored, told, out.

    python tests/faults/storing.py FOLDER SEED SOCKET [--boot FILE] [--bytes N] [--careless]

It waits for the first packet on the socket, whose number it inherited, then works until another one comes. What it tells
is a packet of JSON with the key `did`. Exit status 0: asked to end; 3: the state folder cannot be used (it told so), as the
daemon ends then. `--careless` writes without a sync, so that the bench can be shown to notice.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from edge.errors import StateError, StateFullError
from edge.journal import Entry, Journal, Message, Verdict, boot
from edge.records import Fingerprint

AGAIN_S: Final = 0.02
FOR_EVER_DAYS: Final = 36500.0
T = TypeVar("T")


class Asked(Exception):  # noqa: N818 - no error
    """To end."""


def content(what: str, size: int) -> bytes:
    """So many bytes that nothing else has, a tenth of them of no use to compare."""
    line = f"{what} {size}\n".encode()
    return line + random.Random(what).randbytes(max(0, size - len(line)))


class Storing:
    """One life of a writer."""

    def __init__(self, folder: Path, seed: int, line: socket.socket, mean: int, *, careless: bool = False) -> None:
        """mean: bytes of a payload."""
        self._folder, self._line, self._bytes, self._careless = folder, line, mean, careless
        self._chance = random.Random(seed)

    def run(self) -> int:
        """The exit status."""
        self._tell("ready")
        self._line.recv(100)
        try:
            with Journal.open(self._folder) as journal:
                if self._careless:
                    journal._database.read("PRAGMA synchronous = OFF")
                self._tell("opened", epoch=journal.epoch, renewed=journal.renewed)
                self._until_room(journal.ledger.recover)
                while True:
                    self._one(journal)
        except Asked:
            self._tell("ended")
            return 0
        except StateError as error:
            self._tell("broke", words=str(error), full=isinstance(error, StateFullError))
            return 3

    def _tell(self, did: str, **what: Any) -> None:
        self._line.send(json.dumps({"did": did, **what}).encode())

    def _until_room(self, write: Callable[[], T]) -> T:
        """As the daemon's threads: on a full disk again and again, and anything else ends it."""
        told = False
        while True:
            try:
                done = write()
            except StateFullError as error:
                if not told:
                    self._tell("full", words=str(error))
                told = True
                if select.select([self._line], [], [], AGAIN_S)[0]:
                    raise Asked from error
            else:
                if told:
                    self._tell("room")
                return done

    def _one(self, journal: Journal) -> None:
        """One image from admission to its picture; then perhaps what the broker has, and what may be forgotten."""
        if select.select([self._line], [], [], 0)[0]:
            raise Asked
        entry = self._begun(journal)
        size, drawn = round(self._chance.expovariate(1 / self._bytes)) + 100, self._chance.random() < 0.7
        epoch = journal.epoch
        (seq,) = self._until_room(lambda: journal.ledger.conclude(entry.path, _verdict(epoch, entry, size, drawn=drawn)))
        self._tell("stored", epoch=epoch, seq=seq, path=entry.path, bytes=size)
        if drawn:
            name = f"{epoch}-{seq}.webp"
            self._until_room(lambda: journal.pictures.write(name, content(name, size)))
            self._tell("drew", name=name, bytes=size)
        if self._chance.random() < 0.4:
            self._acknowledge(journal)
        if self._chance.random() < 0.1:
            self._forget(journal)

    def _begun(self, journal: Journal) -> Entry:
        waiting = journal.ledger.waiting(limit=1)
        if not waiting:
            path = f"{len(journal.ledger.fingerprints())}.tif"
            admitted = self._until_room(lambda: journal.ledger.admit(path, Fingerprint(1, time.time_ns())))
            assert admitted is not None
            self._tell("admitted", path=path)
            waiting = [admitted]
        return self._until_room(lambda: journal.ledger.begin(waiting[0].path))

    def _acknowledge(self, journal: Journal) -> None:
        rows = journal.outbox.unsent(limit=self._chance.randint(1, 20))
        self._tell("acknowledging", rows=[[row.epoch, row.seq, row.role] for row in rows])
        self._until_room(lambda: journal.outbox.acknowledge([row.id for row in rows]))

    def _forget(self, journal: Journal) -> None:
        days, most = self._chance.choice([(0.0, 1 << 30), (FOR_EVER_DAYS, 1 << 20), (FOR_EVER_DAYS, 1 << 30)])
        self._tell("forgetting")
        self._until_room(lambda: journal.prune(days, most, time.time() + 1))


def _verdict(epoch: str, entry: Entry, size: int, *, drawn: bool) -> Callable[[int], Sequence[Verdict]]:
    def make(seq: int) -> Sequence[Verdict]:
        name = f"{epoch}/{seq}/{entry.path}"
        overlay = (Message("overlay", f"overlay/{seq}", None, f"{epoch}-{seq}.webp"),) if drawn else ()
        messages = (
            Message("verdict", "inspection", content(name, size)),
            *overlay,
            Message("summary", "summary", name.encode()),
        )
        return [Verdict(f"{epoch}/{seq}", "inspection", messages)]

    return make


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("socket", type=int)
    parser.add_argument("--boot", type=Path)
    parser.add_argument("--bytes", type=int, default=30_000)
    parser.add_argument("--careless", action="store_true")
    asked = parser.parse_args()
    if asked.boot is not None:
        boot._BOOT_ID = asked.boot  # type: ignore[misc]
    with socket.socket(fileno=asked.socket) as line:
        return Storing(asked.folder, asked.seed, line, asked.bytes, careless=asked.careless).run()


if __name__ == "__main__":
    sys.exit(main())
