"""This process made poorer, to what Python has on Windows: modules are gone, and attributes, and the files of the kernel.

The standard library and third-party libraries have their own ways there, so they are loaded before; our own code meets what is
taken away.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import importlib
import io
import os
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests import ROOT

NO_MODULES = ("fcntl", "grp", "pwd", "resource", "spwd", "syslog", "termios", "tty", "pty", "crypt", "nis", "posix_ipc")
NOT_IN_OS = (
    "chown", "fchmod", "fchown", "fork", "forkpty", "fstatvfs", "geteuid", "getegid", "getgid", "getgroups",
    "getloadavg", "getpgid", "getpgrp", "getpriority", "getresuid", "getsid", "getuid", "initgroups", "killpg",
    "lchown", "mkfifo", "mknod", "nice", "openpty", "pidfd_open", "posix_fadvise", "posix_fallocate", "posix_spawn",
    "pread", "pwrite", "sched_getaffinity", "sched_setaffinity", "sched_yield", "setegid", "seteuid", "setgid",
    "setpgid", "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname", "wait3", "wait4", "EX_OK",
    "EX_SOFTWARE", "EX_USAGE", "O_CLOEXEC", "O_DIRECT", "O_DIRECTORY", "O_DSYNC", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH",
    "O_SYNC", "WEXITSTATUS", "WIFEXITED", "WNOHANG",
)  # fmt: skip
NOT_IN_SIGNAL = (
    "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "pthread_kill",
    "pthread_sigmask", "setitimer", "sigpending", "sigtimedwait", "sigwait", "SIG_BLOCK", "SIG_SETMASK", "SIG_UNBLOCK",
)  # fmt: skip
LOADED_BEFORE = (
    "asyncio", "concurrent.futures.process", "multiprocessing.pool", "multiprocessing.popen_spawn_posix",
    "multiprocessing.shared_memory", "multiprocessing.synchronize", "platform", "shutil", "sqlite3", "ssl",
    "subprocess", "tempfile", "uuid", "zipfile", "getpass", "numpy", "cv2", "imagecodecs", "onnxruntime", "openvino",
    "paho.mqtt.client", "psutil", "pydantic.main", "zoneinfo", "simplejpeg", "tifffile", "watchdog.events",
    "watchdog.observers.api",
)  # fmt: skip
FOR_REPORTS = (
    "jinja2", "matplotlib.backends.backend_agg", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.optimize",
    "scipy.stats", "sklearn", "statsmodels.api",
)  # fmt: skip
BINARY = 1 << 30
KERNELS_OWN = ("/proc", "/sys", "/dev")


def become_poorer(reports: bool) -> None:
    """Take away what Windows has not; for a process that was started for it. reports: whether it makes one."""
    for name in (*LOADED_BEFORE, *(FOR_REPORTS if reports else ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sysconfig.get_config_vars()  # what it has read once it keeps
    for name in NO_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is a ModuleNotFoundError from now on
    for module, names in ((os, NOT_IN_OS), (signal, NOT_IN_SIGNAL), (socket, ("AF_UNIX",)), (time, ("tzset", "clock_settime"))):
        for name in names:
            with contextlib.suppress(AttributeError):
                delattr(module, name)
    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    for name in ("supports_dir_fd", "supports_fd", "supports_effective_ids"):
        getattr(os, name).clear()
    sys.platform = "win32"
    ctypes.CDLL = _no_library  # type: ignore[misc,assignment]
    _refuse_what_windows_refuses()


def _no_library(name: str | None, *_: Any, **__: Any) -> NoReturn:
    raise OSError(f"[WinError 126] The specified module could not be found: {name}")


def _refuse_what_windows_refuses() -> None:
    real_open, real_os_open, real_rename, real_listdir = builtins.open, os.open, os.rename, os.listdir

    def opened(file: Any, *arguments: Any, **more: Any) -> Any:
        _no_file_of_the_kernel(file)
        return real_open(file, *arguments, **more)

    def os_opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if _ours():
            _no_file_of_the_kernel(path)
            if dir_fd is not None:
                raise NotImplementedError("dir_fd unavailable on this platform")
            if Path(path).is_dir():
                raise PermissionError(13, "Permission denied", path)
            assert flags & BINARY, f"{path} would be read as text on Windows"
        flags &= ~BINARY
        return real_os_open(path, flags, mode, dir_fd=dir_fd)

    def renamed(source: Any, target: Any, **more: Any) -> None:
        if Path(target).exists():
            raise FileExistsError(17, "Cannot create a file when that file already exists", source, None, target)
        real_rename(source, target, **more)

    def listed(path: Any = ".") -> Any:
        _no_file_of_the_kernel(path)
        return real_listdir(path)

    builtins.open = io.open = opened
    os.open, os.rename, os.listdir = os_opened, renamed, listed


def _no_file_of_the_kernel(path: object) -> None:
    if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(KERNELS_OWN) and _ours():
        raise FileNotFoundError(2, "No such file or directory", path)


def _ours() -> bool:
    """Whether our own code asks, through the standard library or at once."""
    frame, own, standard = sys._getframe(2), str(ROOT / "edge"), str(Path(os.__file__).parent)
    while frame is not None and not frame.f_code.co_filename.startswith(own):
        name = frame.f_code.co_filename
        if "site-packages" in name or not (name.startswith((standard, "<frozen", __file__))):
            return False
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def run(module: str, function: str, arguments: Sequence[str]) -> int:
    """A command of ours there; its exit status."""
    become_poorer(function == "report")
    status = getattr(importlib.import_module(module), function)(list(arguments))
    assert isinstance(status, int)
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(Path(ROOT)))
    sys.exit(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
