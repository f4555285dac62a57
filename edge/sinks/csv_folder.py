"""Verdicts in, a row each in a table of their day out, in a folder that may be a share: for historians and spreadsheets.

Each write makes the whole file anew beside the old one and puts it in its place, so a reader sees whole rows only. What a
kill leaves undecided is read from the file itself: an id that stands there is not written again.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from edge.config import Settings
from edge.folder.reach import require
from edge.folder.scan import FolderGone
from edge.journal import Outgoing
from edge.sinks.sink import NotNowError
from edge.whole_file import opened_whole
from edge.wire.channel import Numbered, Publication
from edge.wire.flat import cell
from edge.wire.verdict_row import COLUMNS, row_of

MOST_ROWS: Final = 5000
"""Of one file; then the day goes on in a next one. Each write takes the whole file."""
LARGEST_BYTES: Final = 64 << 20
"""A larger file is none of ours."""
LOCKED: Final = frozenset((errno.EACCES, errno.EBUSY, errno.ETXTBSY, errno.EPERM))
"""What a file says that another program has open, on a share of Windows."""


class CsvFolder:
    """One file a day, `<device>_<day>.csv`, by the day of this machine's clock on which the verdict was made."""

    name, at_once = "csv", 500

    def __init__(self, settings: Settings) -> None:
        self._device, self._csv = settings.device, settings.csv
        self._folder = Path(settings.csv.folder)
        self._held: _Table | None = None
        self.subject = f"csv.folder {self._folder}"

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """The row as JSON; the day is a part of the topic, so that it is the same however late the row is written."""
        row = json.dumps(row_of(numbered, self._device), ensure_ascii=False, separators=(",", ":"))
        day = numbered.verdict.made_at.astimezone().strftime("%Y-%m-%d")
        return (Publication(f"csv/{day}", row.encode("utf-8", "backslashreplace")),)

    def deliver(self, rows: Sequence[Outgoing]) -> None:
        """Have each row in the table of its day, once."""
        try:
            require(self._folder, must_be_mount=self._csv.must_be_mount)
            for day in dict.fromkeys(row.topic.rpartition("/")[2] for row in rows):
                self._append(day, [row for row in rows if row.topic.rpartition("/")[2] == day])
        except FolderGone as error:
            raise NotNowError("nothing is mounted on it, as csv.must_be_mount asks") from error
        except OSError as error:
            self._held = None
            raise NotNowError(reason(error)) from error

    def _append(self, day: str, rows: Sequence[Outgoing]) -> None:
        known: set[str] = set()
        for number in count(1):
            path = self._path(day, number)
            table = self._read(path)
            if table is None:
                break
            known |= table.ids
            if table.ours and table.rows < MOST_ROWS:
                break
        fresh = [row for row in rows if row.verdict_id not in known]
        if not fresh:
            return
        old = table.data if table else self._line(COLUMNS)
        if not old.endswith(b"\n"):
            old += b"\n"  # somebody wrote the last line by hand
        values = [json.loads(row.payload or b"{}") for row in fresh]
        data = old + b"".join(self._line(self._cell(value.get(name)) for name in COLUMNS) for value in values)
        with opened_whole(path, mode=None) as stream:
            stream.write(data)
            with suppress(OSError):  # a share may have no such rights
                os.fchmod(stream.fileno(), self._folder.stat().st_mode & 0o666)
        ids = {row.verdict_id for row in fresh} | (table.ids if table else set())
        self._held = _Table(path, _signature(path), data, True, ids, len(fresh) + (table.rows if table else 0))

    def _path(self, day: str, number: int) -> Path:
        return self._folder / f"{file_name(self._device.id)}_{day}{f'_{number}' if number > 1 else ''}.csv"

    def _read(self, path: Path) -> _Table | None:
        """What stands there, None where nothing does; from memory where it is as we left it."""
        try:
            signature = _signature(path)
            if self._held is not None and (self._held.path, self._held.signature) == (path, signature):
                return self._held
            if signature[1] > LARGEST_BYTES:
                return _Table(path, signature, b"", False, set(), 0)
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        ids, rows, devices = _looked_through(data)
        device = self._device
        own = tuple(self._cell(name) for name in (device.site, device.area, device.id))
        return _Table(path, signature, data, data.startswith(self._line(COLUMNS)) and devices <= {own}, ids, rows)

    def _cell(self, value: Any) -> str:
        if isinstance(value, float) and self._csv.separator == ";":
            return cell(value).replace(".", ",")
        return cell(" ".join(value.split()) if isinstance(value, str) and not value.isprintable() else value)

    def _line(self, cells: Iterable[str]) -> bytes:
        line = io.StringIO()
        csv.writer(line, delimiter=self._csv.separator, lineterminator="\n").writerow(cells)
        return line.getvalue().encode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class _Table:
    """One file.

    ours: its header is the one that we write, and its rows are of this device.
    ids: of the verdicts in it.  rows: how many, without the header.
    """

    path: Path
    signature: tuple[int, int, int]
    data: bytes
    ours: bool
    ids: set[str]
    rows: int


def file_name(device_id: str) -> str:
    """The device as a part of a file's name that Windows takes, too."""
    return re.sub(r'[\\:*?"<>|\s]', "_", device_id).strip(". ") or "_"


def reason(error: OSError) -> str:
    """Why the folder or a file in it cannot be written, with what people may not think of."""
    why = error.strerror or str(error)
    if error.errno in LOCKED:
        return f"{why} (is the file open in another program, or may the service's user not write there?)"
    return why


def _signature(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _looked_through(data: bytes) -> tuple[set[str], int, set[tuple[str, ...]]]:
    """Ids in a table with our columns, how many rows it has, and the devices that they are of; whatever separates them."""
    text = data.decode("utf-8-sig", "replace")
    rows = _parsed(text, ";" if ";" in text.partition("\n")[0] else ",")
    header = next(rows, [])
    ids = [header.index(name) for name in ("inspection_id", "failure_id") if name in header]
    device = [header.index(name) for name in ("site", "area", "device_id") if name in header]
    found, number, devices = set[str](), 0, set[tuple[str, ...]]()
    for row in rows:
        number += 1
        found.update(row[place] for place in ids if place < len(row) and row[place])
        if len(row) == len(header):  # else somebody's note
            devices.add(tuple(row[place] for place in device))
    return found, number, devices


def _parsed(text: str, separator: str) -> Iterator[list[str]]:
    with suppress(csv.Error):  # somebody else's bytes
        yield from csv.reader(io.StringIO(text), delimiter=separator)
