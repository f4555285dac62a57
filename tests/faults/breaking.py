"""A process or a folder in; a small disk, an injected error or another time for it out.

Each needs something of the machine: `Unavailable` says what, in the words that `tests.promises` knows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests import ROOT

PAGE: Final = 4096


class Unavailable(Exception):  # noqa: N818 - an absence, not an error
    """What this machine lacks."""


class SmallDisk:
    """A disk of a few MiB over a folder, in a namespace of its own: it is gone when the bench is, even after kill -9."""

    def __init__(self, folder: Path, mib: int) -> None:
        """folder: covered within the namespace alone."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        rights = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
        self._enter_flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--preserve-credentials"]
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            raise Unavailable("a small disk can only be mounted with unshare and nsenter")
        script = f"mount -t tmpfs -o size={mib}m tmpfs '{folder}' && echo mounted && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", *rights, "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().strip() != "mounted":
            self.close()
            raise Unavailable("a small disk can only be mounted as root")
        self.inside = Path(f"/proc/{self._holder.pid}/root{folder}")

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to see the disk."""
        return ["nsenter", f"--target={self._holder.pid}", *self._enter_flags, "--"]

    def run(self, *command: str) -> None:
        """Run something that sees the disk. Raises CalledProcessError."""
        subprocess.run([*self.enter, *command], check=True, capture_output=True)

    def grow(self, mib: int) -> None:
        """Another size."""
        self.run("mount", "-o", f"remount,size={mib}m", str(self.folder))

    def cover(self) -> None:
        """An empty disk over it, as when a share is not mounted."""
        self.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(self.folder))

    def uncover(self) -> None:
        """The disk is back, with all that was in it."""
        self.run("umount", "-l", str(self.folder))

    def keep(self, elsewhere: Path) -> None:
        """The disk is mounted at another place, too, from where `mount` brings it back."""
        elsewhere.mkdir(exist_ok=True)
        self.run("mount", "--bind", str(self.folder), str(elsewhere))

    def mount(self, elsewhere: Path) -> None:
        """The disk that is also mounted elsewhere is mounted here again."""
        self.run("mount", "--bind", str(elsewhere), str(self.folder))

    def move_to_another(self, mib: int) -> None:
        """All that is on the disk lies on another one: other inodes, another device, the same bytes and times."""
        copy = f"{self.folder}.copy"
        self.run("mkdir", "-p", copy)
        self.run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", copy)
        self.run("cp", "-a", f"{self.folder}/.", copy)
        self.run("mount", "--bind", copy, str(self.folder))

    def fill(self, leave_mib: float = 0.0) -> Path:
        """Something else takes the space, but for `leave_mib`, to the page. Its file."""
        filler = self.inside / "foreign"
        fill(filler, round(leave_mib * (1 << 20)))
        return filler

    def close(self) -> None:
        """The namespace ends with its last process."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()


def fill(filler: Path, leave: int) -> None:
    """Let a file grow until its disk has so many bytes left, to the page, or none. It may be called again."""
    with filler.open("ab", buffering=0) as stream, contextlib.suppress(OSError):
        while (free := _free(filler.parent) - leave) >= PAGE:
            stream.write(bytes(min(1 << 20, free // PAGE * PAGE)))


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Injection:
    """System calls of a running process fail, some of them, until it is told to stop."""

    def __init__(
        self,
        pid: int,
        calls: str,
        error: str,
        *,
        first: int = 1,
        step: int = 1,
        paths: tuple[Path, ...] = (),
        trace: Path = Path("/dev/null"),
    ) -> None:
        """calls: names, with commas.  error: such as EIO.  first, step: which of them; step 0: that one alone.

        paths: only calls that touch these.  trace: where strace writes down the calls.
        """
        self._trace = trace
        if shutil.which("strace") is None:
            raise Unavailable("strace is not installed (apt-get install strace)")
        only = [word for path in paths for word in ("-P", str(path))]
        inject = f"inject={calls}:error={error}:when={first}{f'+{step}' if step else ''}"
        command = ["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", inject, *only, "-p", str(pid)]
        self._strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._strace.stderr is not None
        told = self._strace.stderr.readline()
        if "attached" not in told:
            ended = _has_ended(pid)
            self.stop()
            if not ended:  # else there is nothing to break: whoever supervises the process starts it again
                raise Unavailable(f"strace may not attach, run the tests as root: {told}")

    def reached(self) -> bool:
        """Whether a call has failed; only where it writes a trace."""
        return "(INJECTED)" in self._trace.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Let the process go on as before."""
        if self._strace.poll() is None:
            self._strace.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._strace.wait(10)
        if self._strace.poll() is None:
            self._strace.kill()
            self._strace.wait()
        if self._strace.stderr is not None:
            self._strace.stderr.close()


def _has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Clock:
    """Another time for one process; its monotonic clock and the times of files stay as they are."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self._passed = 0.0
        self.jump(0)
        self.command = [sys.executable, str(ROOT / "tests" / "faults" / "clocked.py"), str(self.file)]

    def jump(self, seconds: float) -> None:
        """The clock shows the true time and `seconds`."""
        self._off = seconds
        self._write()

    def pass_by(self, seconds: float) -> None:
        """So much time passes at once, for the clock and for the kernel's uptime."""
        self._passed += seconds
        self._write()

    def _write(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{self._off:.1f} {self._passed:.1f}")
        new.replace(self.file)


def paused(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Stop a process for a while, as a debugger or an overloaded machine would."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)
