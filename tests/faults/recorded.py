"""An image of a block device in; a disk over it that runs, and every write and flush that reached it, in order, out.

A file system of one file, answered here (FUSE, protocol 7.31), lies under a loop device. So a power cut is exact: what was
written up to one moment is known, and what of it was flushed. `cut` keeps what was flushed; of what lay in the disk's own
cache it keeps what `chance` says, by sectors, in any order. That is what a disk may do, and worse than a copy of the image.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import stat
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

SECTOR: Final = 512
_LONGEST_WRITE: Final = 1 << 20
_LOOKUP, _FORGET, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20
_FLUSH, _INIT, _INTERRUPT, _DESTROY, _FORGET_MANY = 25, 26, 36, 38, 42
_SILENT: Final = (_FORGET, _FORGET_MANY, _INTERRUPT)
_BIG_WRITES, _MAX_PAGES, _KEEP_CACHE = 1 << 5, 1 << 22, 2
_ROOT, _DISK = 1, 2
_LONG_S: Final = 3600
Written = tuple[int, bytes] | None
"""Where on the disk and what; None: a flush, after which all that came before is safe."""


class RecordedDisk:
    """The file `disk` in a folder, to be put under a loop device.

    log: of what reached it since it began. Its length is a moment, in any thread.
    """

    def __init__(self, image: Path, file: Path, kernel: int, before: Callable[[], None] = lambda: None) -> None:
        """image: what the disk holds at first; it is written to.  file: where it stands.

        kernel: /dev/fuse, mounted over the folder of `file`; closed with the disk.
        before: called in the disk's thread before a write or a flush is taken: what was said till then was said without it.
        """
        self.file = file
        self.log: list[Written] = []
        self._before = before
        self._image = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._image).st_size
        self._kernel = kernel
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="recorded disk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The disk is gone: who still uses it gets errors. May be called twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        os.close(self._kernel)
        os.close(self._image)

    def _serve(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._kernel], [], [], 0.2)[0]:
                continue
            try:
                request = os.read(self._kernel, _LONGEST_WRITE + 8192)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                continue  # interrupted, or the request was taken back
            _, kind, number, node = struct.unpack_from("<IIQQ", request)
            if kind in _SILENT:
                continue
            answer = self._answer(kind, node, request[40:])
            code, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
            with contextlib.suppress(OSError):
                os.write(self._kernel, struct.pack("<IiQ", 16 + len(body), code, number) + body)

    def _answer(self, kind: int, node: int, body: bytes) -> bytes | int:
        """What the kernel is told: bytes, or the number of an error."""
        if kind == _INIT:
            _, minor, ahead, _ = struct.unpack_from("<IIII", body)
            flags = _BIG_WRITES | _MAX_PAGES
            return struct.pack("<IIIIHHIIHH32x", 7, min(minor, 31), ahead, flags, 16, 12, _LONGEST_WRITE, 1, 256, 0)
        if kind == _LOOKUP:
            if node != _ROOT or body != b"disk\0":
                return errno.ENOENT
            return struct.pack("<QQQQII", _DISK, 1, _LONG_S, _LONG_S, 0, 0) + self._attributes(_DISK)
        if kind in (_GETATTR, _SETATTR):
            return struct.pack("<QII", _LONG_S, 0, 0) + self._attributes(node)
        if kind == _OPEN:
            return struct.pack("<QII", 1, _KEEP_CACHE, 0)
        if kind == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return os.pread(self._image, size, offset)
        if kind == _WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            data = body[40 : 40 + size]
            self._before()
            os.pwrite(self._image, data, offset)
            self.log.append((offset, data))
            return struct.pack("<II", size, 0)
        if kind == _FSYNC:
            self._before()
            self.log.append(None)
            return b""
        if kind in (_FLUSH, _RELEASE, _DESTROY):
            return b""
        if kind == _STATFS:
            return struct.pack("<QQQQQIII28x", 1 << 20, 1 << 20, 1 << 20, 2, 0, 4096, 255, 4096)
        return errno.ENOSYS

    def _attributes(self, node: int) -> bytes:
        mode, size = (stat.S_IFDIR | 0o700, 0) if node == _ROOT else (stat.S_IFREG | 0o600, self._size)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, *[0] * 6, mode, 1, 0, 0, 0, 4096, 0)


def cut(image: Path, log: Sequence[Written], chance: random.Random, kept: float) -> int:
    """Do to `image`, the state at first, what a disk that lost its power has done of `log`. Sectors that were lost.

    kept: which share of the sectors since the last flush are on the disk all the same, 0 to 1.
    """
    flushed = max((number for number, one in enumerate(log) if one is None), default=-1)
    lost = 0
    with image.open("r+b", buffering=0) as stream:
        for number, one in enumerate(log):
            if one is None:
                continue
            offset, data = one
            if number < flushed or kept >= 1:
                os.pwrite(stream.fileno(), data, offset)
                continue
            for begin in range(0, len(data), SECTOR):
                if chance.random() < kept:
                    os.pwrite(stream.fileno(), data[begin : begin + SECTOR], offset + begin)
                else:
                    lost += 1
    return lost
