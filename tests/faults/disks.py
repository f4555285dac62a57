"""A file system's name in; images of it, mounted where nobody else sees them, cut off, checked and mounted again, out."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import pickle
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from tests.faults.breaking import Unavailable
from tests.faults.recorded import RecordedDisk

MAKE: Final = {
    "ext4": (64, ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]),
    "xfs": (320, ["mkfs.xfs", "-q", "-f"]),
}
"""Each one's MiB, and what makes it."""
SMALL_MIB: Final = 32
CHECK: Final = {"ext4": ["fsck.ext4", "-fn"], "xfs": ["xfs_repair", "-n", "-f"]}
MEMORY: Final = Path("/dev/shm")
"""Images lie in memory where there is some: what is tested is what reaches them, not how fast."""
_OF_MOUNTS, _OF_FOLDERS = 0x20000, 0x200
"""CLONE_NEWNS, CLONE_FS."""
T = TypeVar("T")


class Mounts:
    """A name space of mounts. All that is mounted in it is gone when it is closed, or when the bench is killed."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
            raise Unavailable("images of disks can only be mounted as root, with unshare and nsenter")
        script = "echo ready; exec cat >/dev/null"  # it ends with its standard input
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise Unavailable("images of disks can only be mounted as root, with a name space of their own")

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to see the mounts."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--"]

    def within(self, work: Callable[[], T]) -> T:
        """What `work` returns, called by a fork of this process that sees the mounts. Raises AssertionError with its words."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                found: tuple[bool, Any] = True, self._entered(work)
            except BaseException:
                found = False, traceback.format_exc()
            with open(write, "wb") as stream:
                stream.write(pickle.dumps(found))
            os._exit(0)
        os.close(write)
        with open(read, "rb") as stream:
            data = stream.read()
        os.waitpid(child, 0)
        done, result = pickle.loads(data) if data else (False, "it died")
        if not done:
            raise AssertionError(result)
        return cast(T, result)

    def _entered(self, work: Callable[[], T]) -> T:
        kernel = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{self._holder.pid}/ns/mnt") as space:
            # Libraries may start threads in a fork; this one has to share its working folder with none of them.
            if kernel.unshare(_OF_FOLDERS) or kernel.setns(space.fileno(), _OF_MOUNTS):
                raise OSError(ctypes.get_errno(), "the name space of the mounts cannot be entered")
        return work()

    def inside(self, folder: Path) -> Path:
        """A folder as the mounts have it, for who stands outside. SQLite cannot follow it."""
        return Path(f"/proc/{self._holder.pid}/root{folder}")

    def run(self, *command: str | Path, pass_fds: tuple[int, ...] = ()) -> None:
        """Run something that sees the mounts. Raises CalledProcessError with what it said."""
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, pass_fds=pass_fds)
        if done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")

    def mount(self, image: Path, folder: Path) -> Path:
        """An image over a folder, which is returned. Raises Unavailable without loop devices."""
        folder.mkdir(exist_ok=True)
        try:
            self.run("mount", "-o", "loop", image, folder)
        except AssertionError as error:
            if not Path("/dev/loop-control").exists() or "unknown filesystem" in str(error):
                raise Unavailable(f"images of disks can only be mounted as root, with loop devices: {error}") from error
            raise
        return folder

    def small(self, kind: str, place: Path, folder: Path) -> Path:
        """A small disk over a folder, which is returned. kind: of `MAKE`, or tmpfs."""
        folder.mkdir(exist_ok=True)
        if kind != "tmpfs":
            return self.mount(empty(kind, place / "image"), folder)
        self.run("mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", folder)
        return folder

    def unmount(self, folder: Path) -> None:
        """It is free again when this returns."""
        self.run("umount", folder)

    def recorded(self, image: Path, folder: Path, before: Callable[[], None]) -> RecordedDisk:
        """The file `disk` in a folder, below which each write is recorded. before: called before each is taken."""
        folder.mkdir()
        try:
            kernel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable("writes to a disk can only be recorded as root, with /dev/fuse") from error
        options = f"fd={kernel},rootmode=40000,user_id=0,group_id=0"
        self.run("mount", "-i", "-t", "fuse", "-o", options, "disk", folder, pass_fds=(kernel,))
        return RecordedDisk(image, folder / "disk", kernel, before)

    def close(self) -> None:
        """Nothing is mounted any more."""
        for stream in (self._holder.stdin, self._holder.stdout):
            if stream is not None:
                stream.close()
        self._holder.wait()


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """An empty folder there, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="edge-count-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@contextlib.contextmanager
def at_hand() -> Iterator[tuple[Path, Mounts, contextlib.ExitStack]]:
    """A folder in memory for images, mounts of their own, and what is closed in the end."""
    with contextlib.ExitStack() as open_:
        place = open_.enter_context(in_memory())
        mounts = Mounts()
        open_.callback(mounts.close)
        yield place, mounts, open_


@functools.cache
def _empty(kind: str) -> Path:
    """An image with an empty file system, made once."""
    mib, command = MAKE[kind]
    if shutil.which(command[0]) is None:
        package = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[kind]
        raise Unavailable(f"{command[0]} is not installed (apt-get install {package})")
    place = Path(tempfile.mkdtemp(prefix="edge-count-", dir=MEMORY if MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    with (place / "made").open("wb") as stream:
        stream.truncate(mib << 20)
    subprocess.run([*command, place / "made"], check=True, capture_output=True)
    copied(place / "made", place / kind)
    (place / "made").unlink()
    return place / kind


def empty(kind: str, image: Path) -> Path:
    """A new image with an empty file system. Raises Unavailable."""
    return copied(_empty(kind), image)


def copied(image: Path, copy: Path) -> Path:
    """The same, with holes where it holds nothing."""
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    return copy


def check(kind: str, image: Path) -> list[str]:
    """What the file system's own check says of an image whose log was replayed: none of it is the product's."""
    done = subprocess.run([*CHECK[kind], image], capture_output=True, text=True)
    if done.returncode < 0:
        raise AssertionError(f"{CHECK[kind][0]} was ended by signal {-done.returncode}")
    return [f"file system: {kind}: {done.stdout[-300:]}{done.stderr[-300:]}"] if done.returncode else []
