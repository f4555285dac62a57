"""Programs that write images badly: slowly, backwards, into reserved space, over one another.

Each gets a folder, the book, a source of chance and the longest pause in seconds. It writes, and tells the book what is
meant to be whole. A file stays open until it is written: only then is it closed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.book import FORMATS, Book

PIECES: Final = 5
Writer = Callable[[Path, Book, random.Random, float], None]


def _pieces(data: bytes) -> list[tuple[int, bytes]]:
    """Where each piece begins, and its bytes."""
    size = -(-len(data) // PIECES)
    return [(start, data[start : start + size]) for start in range(0, len(data), size)]


def _write(file: Path, begin: bytes, pieces: Sequence[tuple[int, bytes]], chance: random.Random, pause_s: float) -> None:
    """What lies there first, then the pieces one by one with pauses, all before the file is closed."""
    with file.open("wb", buffering=0) as stream:
        stream.write(begin)
        for start, piece in pieces:
            stream.seek(start)
            stream.write(piece)
            time.sleep(chance.uniform(0.1, 1) * pause_s)


def _slow(arrange: Callable[[bytes, random.Random], tuple[bytes, list[tuple[int, bytes]]]]) -> Writer:
    """A writer that begins with some bytes, then writes pieces in some order."""

    def write(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
        name, data = book.new_image(chance.choice(FORMATS))
        book.whole(name, data)
        begin, pieces = arrange(data, chance)
        _write(folder / name, begin, pieces, chance, pause_s)

    return write


def _shuffled(data: bytes, chance: random.Random) -> tuple[bytes, list[tuple[int, bytes]]]:
    pieces = _pieces(data)
    chance.shuffle(pieces)
    return bytes(len(data)), pieces


def _hole(data: bytes, chance: random.Random) -> tuple[bytes, list[tuple[int, bytes]]]:
    pieces = _pieces(data)
    return b"", [*pieces[:2], *pieces[3:], pieces[2]]


def rename_in(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Under another name first, as careful programs do."""
    name, data = book.new_image(chance.choice(FORMATS))
    book.whole(name, data)
    part = folder / f"{name}.part"
    _write(part, b"", _pieces(data), chance, pause_s)
    part.rename(folder / name)


def _twice(folder: Path, book: Book, chance: random.Random, pause_s: float) -> tuple[Path, bytes]:
    """A whole image that has been judged perhaps, and another of the same size to be put in its place."""
    name, data = book.new_image(chance.choice((".bmp", ".tif")))
    book.whole(name, data)
    (folder / name).write_bytes(data)
    time.sleep(chance.uniform(0.1, 1) * pause_s)
    other = book.new_image(Path(name).suffix)[1]
    assert len(other) == len(data)
    book.whole(name, other)
    return folder / name, other


def rename_over(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Another image of the same size and the same time of modification takes the place of the first."""
    file, other = _twice(folder, book, chance, pause_s)
    times = file.stat()
    part = file.with_suffix(".part")
    part.write_bytes(other)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    part.replace(file)


def rewrite(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Another image of the same size is written over the first, whose time of modification is put back."""
    file, other = _twice(folder, book, chance, pause_s)
    times = file.stat()
    with file.open("r+b") as stream:
        stream.write(other)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def overwrite(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Exported again under the same name, as people do."""
    file, other = _twice(folder, book, chance, pause_s)
    file.write_bytes(other)


def delete(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Gone again, perhaps while it is read."""
    name, data = book.new_image(chance.choice(FORMATS))
    book.whole(name, data)
    book.gone(name)
    (folder / name).write_bytes(data)
    time.sleep(chance.uniform(0, 0.5) * pause_s)
    (folder / name).unlink()


def at_once(folder: Path, book: Book, chance: random.Random, pause_s: float) -> None:
    """Written and closed."""
    name, data = book.new_image(chance.choice(FORMATS))
    book.whole(name, data)
    (folder / name).write_bytes(data)


ORDERS: Final = ("forwards", "backwards", "shuffled")
SPACES: Final = ("no space taken first", "filled with zeros first", "a hole first")
PAUSES: Final = ("short", "longer than settle_s", "longer than incomplete_s")
TAILS: Final = (
    "ends as it comes", "header last", "end last", "cut to size at the end", "renamed at the end", "closed between pieces",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How one slow writer writes: each field is one of the four tables above."""

    order: str
    space: str
    pause: str
    tail: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Plan:
        """Any of the 162."""
        return cls(*(chance.choice(table) for table in (ORDERS, SPACES, PAUSES, TAILS)))

    def __str__(self) -> str:
        return f"{self.order}, {self.space}, pauses {self.pause}, {self.tail}"


class Planned:
    """One file, written as planned. The book is told first what is whole, the pauses are drawn at once."""

    def __init__(self, plan: Plan, folder: Path, book: Book, chance: random.Random, pauses_s: Mapping[str, float]) -> None:
        """pauses_s: the shortest of each kind in `PAUSES`, seconds."""
        self.plan = plan
        self.name, self.data = book.new_image(chance.choice(FORMATS))
        self._file = folder / (f"{self.name}.part" if plan.tail == "renamed at the end" else self.name)
        self._room = len(self.data) * 3 // 2 if plan.tail == "cut to size at the end" else len(self.data)
        if self._room > len(self.data):  # the picture is whole before the file is cut to size
            book.whole(self.name, self.data + bytes(self._room - len(self.data)))
        book.whole(self.name, self.data)
        self._pieces = self._ordered(_pieces(self.data), chance)
        short_s, pause_s = pauses_s["short"], pauses_s[plan.pause]
        self._pauses_s = [chance.uniform(1, 1.5) * pause_s for _ in self._pieces]
        if plan.pause == "longer than incomplete_s":  # one will do
            long = chance.randrange(len(self._pieces))
            self._pauses_s = [one if number == long else short_s for number, one in enumerate(self._pauses_s)]

    def _ordered(self, pieces: list[tuple[int, bytes]], chance: random.Random) -> list[tuple[int, bytes]]:
        first, last = pieces[0], pieces[-1]
        if self.plan.order == "backwards":
            pieces.reverse()
        elif self.plan.order == "shuffled":
            chance.shuffle(pieces)
        for tail, piece in (("header last", first), ("end last", last)):
            if self.plan.tail == tail:
                pieces.remove(piece)
                pieces.append(piece)
        return pieces

    def write(self) -> None:
        """Write it, with all its pauses."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if self.plan.space == "filled with zeros first":
                os.write(descriptor, bytes(self._room))
            elif self.plan.space == "a hole first" or self._room > len(self.data):
                os.ftruncate(descriptor, self._room)
            for (start, piece), pause_s in zip(self._pieces, self._pauses_s, strict=True):
                os.pwrite(descriptor, piece, start)
                if self.plan.tail == "closed between pieces":
                    os.close(descriptor)
                    time.sleep(pause_s)
                    descriptor = os.open(self._file, os.O_RDWR)
                else:
                    time.sleep(pause_s)
            os.ftruncate(descriptor, len(self.data))
        finally:
            os.close(descriptor)
        if self._file.name != self.name:
            self._file.rename(self._file.with_name(self.name))


SLOW: Final[dict[str, Writer]] = {
    "in order": _slow(lambda data, _: (b"", _pieces(data))),
    "preallocated, in order": _slow(lambda data, _: (bytes(len(data)), _pieces(data))),
    "preallocated, backwards": _slow(lambda data, _: (bytes(len(data)), _pieces(data)[::-1])),
    "preallocated, shuffled": _slow(_shuffled),
    "filled with 0xFF, in order": _slow(lambda data, _: (b"\xff" * len(data), _pieces(data))),
    "a hole filled last": _slow(_hole),
    "renamed when whole": rename_in,
}
CHANGING: Final[dict[str, Writer]] = {
    "renamed over, same size and time": rename_over,
    "rewritten in place, same size and time": rewrite,
    "exported again": overwrite,
    "deleted while read": delete,
}
