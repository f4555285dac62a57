"""A command line of Python in; a process that runs it, forked from one that has imported the product already, out.

Importing takes most of the time of a daemon that starts with stand-ins. `start` is called as `subprocess.Popen` is.
Where the nursery ends, or the process that began it, its children end too.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
IMPORTED: Final = ("edge.commands.cli", "edge.service.daemon", "edge.backends.onnx_session", "edge.inspection.overlay")
LARGEST: Final = 1 << 20
PR_SET_PDEATHSIG: Final = 1
"""Linux, prctl(2): the signal that a process gets when its parent ends."""


class Child:
    """A process of the nursery's, as a `subprocess.Popen` would be. Belongs to one thread."""

    def __init__(self, pid: int, ended: int) -> None:
        """ended: a descriptor from which its status is read once it has ended."""
        self.pid, self._ended = pid, ended
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its status if it has ended; negative for a signal."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            told = os.read(self._ended, 4)
            self.returncode = struct.unpack("i", told)[0] if told else -signal.SIGKILL  # the nursery itself ended
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks. Made at its first use, once in this process; safe to use from several threads."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._mutex = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], *, stdout: IO[bytes], env: Mapping[str, str], cwd: Path, **_: Any) -> Child:
        """Run a script of this Python's. stdout: errors go there too."""
        with self._mutex:
            line = self._socket or self._begin()
            reader, writer = os.pipe()
            asked = json.dumps({"argv": list(command[1:]), "env": dict(env), "cwd": str(cwd)}).encode()
            handed = array.array("i", [stdout.fileno(), writer])
            line.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
            os.close(writer)
            return Child(struct.unpack("i", line.recv(4))[0], reader)

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._socket = ours
        atexit.register(self.close)
        return ours

    def close(self) -> None:
        """End it, and with it whatever it started."""
        with self._mutex:
            line, self._socket = self._socket, None
            process, self._process = self._process, None
        if line is not None and process is not None:
            line.close()
            process.wait()


NURSERY: Final = Nursery()


def can_start(command: Sequence[str]) -> bool:
    """Whether a command is a script of the fault bench that may find the product imported."""
    scripts = [str(ROOT / "tests" / "faults" / name) for name in ("stand_in.py", "killed_at.py")]
    return command[0] == sys.executable and command[1] in scripts and "--clock" not in command


def _serve(line: socket.socket) -> dict[str, Any] | None:
    """Fork whenever it is asked for, and tell of ends. Returns what a child is to run, None in the nursery at its end."""
    ends: dict[int, int] = {}
    wakes, wakened = os.pipe()
    for descriptor in (wakes, wakened):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([line, wakes], [], [])
        if wakes in ready:
            os.read(wakes, 4096)
            _tell_ends(ends)
        if line not in ready:
            continue
        asked, handed, _, _ = socket.recv_fds(line, LARGEST, 2)
        if not asked:
            return None
        log, told = handed
        if (pid := os.fork()) == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (1, 2):
                os.dup2(log, number)
            for descriptor in (log, told, wakes, wakened, *ends.values()):
                os.close(descriptor)
            line.close()
            wanted: dict[str, Any] = json.loads(asked)
            return wanted
        os.close(log)
        ends[pid] = told
        line.send(struct.pack("i", pid))


def _tell_ends(ends: dict[int, int]) -> None:
    """ends: by process, where its status goes."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            told = ends.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(told, struct.pack("i", os.waitstatus_to_exitcode(ended[1])))
            os.close(told)


def _live(wanted: Mapping[str, Any]) -> None:
    """In a child: be what was asked for."""
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    sys.argv = list(wanted["argv"])
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()
    born = _serve(socket.socket(fileno=int(sys.argv[1])))
    if born is not None:
        time.tzset()
        _live(born)
