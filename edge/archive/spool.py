"""The verdicts of a batch in, file by file, and out again after a kill: they wait here until their part is written.

A file's line `begin` stands before it is opened, `end` after its verdicts. The last one begun is what its worker died of.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from edge.archive.turn import take
from edge.errors import ConfigError

FOLDER: Final = "begun"
_ENDING: Final = ".spool"
_BEGIN, _END = b"begin ", b"end"
PATIENCE_S: Final = 60.0
"""How long a worker of a run that was killed may need to end."""


class Spool:
    """Of one batch, held by one worker at a time.

    done: documents of the files that are finished, by path.  deaths: how many workers ended in each file.
    """

    def __init__(self, path: Path) -> None:
        """Open it, and read what former workers left. Raises OSError; ConfigError where another worker still writes to it."""
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self._file: BinaryIO = path.open("a+b", buffering=0)
        try:
            if not take(self._file, patience_s=PATIENCE_S):
                raise ConfigError(f"a worker of a former run still writes to {path}: end it, and say the same again")
            self._file.seek(0)
            text = self._file.read()
            self._file.truncate(text.rfind(b"\n") + 1)  # a line that was being written
            self.done, self.deaths = _read(text[: text.rfind(b"\n") + 1])
        except BaseException:
            self._file.close()
            raise

    def begin(self, path: str) -> None:
        """Before the file is opened."""
        self._write(_BEGIN + json.dumps(path).encode("ascii") + b"\n")

    def end(self, path: str, documents: Sequence[bytes]) -> None:
        """The file is finished, with these verdicts, each one line."""
        self._write(b"".join(document + b"\n" for document in documents) + _END + b"\n")
        self.done[path] = list(documents)

    def remove(self) -> None:
        """Its part is written."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]


def spool_of(out: Path, part: str) -> Path:
    """Where the spool of a part lies."""
    return out / FOLDER / f"{part}{_ENDING}"


def spools(out: Path) -> Iterator[tuple[str, Path]]:
    """Those that are left, each with the name of its part."""
    folder = out / FOLDER
    for path in sorted(folder.glob(f"*{_ENDING}")) if folder.is_dir() else ():
        yield path.name.removesuffix(_ENDING), path


def _read(text: bytes) -> tuple[dict[str, list[bytes]], Counter[str]]:
    """What is finished, and what was begun and never was."""
    done: dict[str, list[bytes]] = {}
    deaths: Counter[str] = Counter()
    path: str | None = None
    documents: list[bytes] = []
    for line in text.split(b"\n"):
        if line.startswith(_BEGIN):
            path, documents = json.loads(line[len(_BEGIN) :]), []
            deaths[path] += 1
        elif line == _END and path is not None:
            done[path] = documents
            deaths[path] -= 1
            path = None
        elif line:
            documents.append(line)
    return done, +deaths
