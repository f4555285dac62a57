"""A reader and one input in; nothing out, or what the input cost beyond its limits.

Time is that of the processor in this thread, so that a busy machine fails no input. Memory is what the process holds in
RAM at its highest, libraries in C included; a request that could never be met is seen too.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CPU_S: Final = 5.0
"""Seconds for any input of up to a megabyte; real files of that size take milliseconds."""
MEMORY_BYTES: Final = 128 << 20
"""More than the 1,000,000 pixels that are allowed here need as float64, several times over."""
PER_BYTE: Final = 64
_PROC: Final = Path("/proc/self")


class OverLimitError(AssertionError):
    """An input cost more than it may."""


def bounded(run: Callable[[bytes], None], allowed: tuple[type[Exception], ...], data: bytes) -> None:
    """Run a reader on one input.

    Raises OverLimitError, or whatever the reader raises that is none of `allowed`.
    """
    most = MEMORY_BYTES + PER_BYTE * len(data)
    before = _begin_of_peak()
    began = time.thread_time()
    with _no_request_beyond(4 * most):
        try:
            run(data)
        except allowed as error:
            if _from_memory(error):
                raise OverLimitError(f"{len(data)} bytes asked for more than {4 * most >> 20} MiB") from error
    spent = time.thread_time() - began
    if spent > CPU_S:
        raise OverLimitError(f"{len(data)} bytes took {spent:.1f} s of the processor")
    if (grown := _peak() - before) > most:
        raise OverLimitError(f"{len(data)} bytes took {grown >> 20} MiB of memory, {most >> 20} are allowed")


def _from_memory(error: BaseException | None) -> bool:
    """Whether a request for memory that was refused is behind an error."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _no_request_beyond(extra: int) -> Iterator[None]:
    """Refuse the process address space beyond what it has and `extra` bytes, so that no input takes the machine down."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    has = 1024 * _status("VmSize")
    if has:
        resource.setrlimit(resource.RLIMIT_AS, (has + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _begin_of_peak() -> int:
    """Forget the highest use so far; what is in use now, in bytes. 0 where the system cannot tell."""
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return 1 << 62
    return 1024 * _status("VmRSS")


def _peak() -> int:
    return 1024 * _status("VmHWM")


def _status(name: str) -> int:
    """A line of /proc/self/status, in KiB; 0 where there is none."""
    try:
        text = (_PROC / "status").read_text()
    except OSError:
        return 0
    found = text.partition(f"{name}:")[2].split(maxsplit=1)
    return int(found[0]) if found else 0
