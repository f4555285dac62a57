"""Rows in, a CSV file out, written as it goes: what was inspected before Ctrl-C is in it."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from edge.errors import ConfigError
from edge.wire.flat import COLUMNS, cell

STDOUT: Final = "-"


class TableFile:
    """One row an image, UTF-8, flushed row by row. Raises ConfigError where the file cannot be written."""

    def __init__(self, name: str | None) -> None:
        """name: of the file; `-` for stdout; None for none. A table of ours is written anew, any other file is kept."""
        self._name = name
        self._stream: TextIO | None = None
        if name is None:
            return
        if name == STDOUT:
            self._stream = sys.stdout
        else:
            self._stream = _opened(Path(name))
        self._line(COLUMNS)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row of `edge.wire.flat`."""
        if self._stream is not None:
            self._line([cell(row[name]) for name in COLUMNS])

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream is not None and self._name != STDOUT:
            with contextlib.suppress(OSError):  # each row was flushed, and told when it failed
                self._stream.close()

    def _line(self, cells: tuple[str, ...] | list[str]) -> None:
        assert self._stream is not None
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        try:
            self._stream.write(line.getvalue())
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ConfigError(f"--csv {self._name} cannot be written: {error.strerror or error}") from error


def _opened(path: Path) -> TextIO:
    try:
        if path.is_dir():
            raise ConfigError(f"--csv {path} is a folder: name a file in it")
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as stream:
                if not stream.readline(4096).startswith(f"{','.join(COLUMNS[:4])},".encode()):
                    raise ConfigError(f"--csv {path} is there and no table of edge-inspect: name another file")
        return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise ConfigError(f"--csv {path} cannot be written: {error.strerror or error}") from error
