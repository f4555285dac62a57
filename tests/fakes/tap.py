"""Whom a program of ours looks up and calls, and what it leaves in the home folder: Python's own calls and native ones.

Python's are heard by an audit hook that comes in with `sitecustomize`, those of native libraries by a library that is loaded
before the system's own. The latter needs a C++ compiler; without one, only files in the home folder betray native callers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import ROOT

COMPILER: Final = shutil.which("g++")
MAIN: Final = "import sys; from {} import {} as main; sys.exit(main())"

HOOK: Final = """
import os, sys

def hear(event, arguments):
    target = None
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        target = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        target = "%s:%s" % arguments[1][:2]
    if target is not None:
        if isinstance(target, bytes):
            target = target.decode()
        descriptor = os.open(os.environ["TAP_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{target}\\n".encode())
        os.close(descriptor)

sys.addaudithook(hear)
"""

LIBRARY: Final = r"""
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void hear(const char *host, int port) {
    const char *path = getenv("TAP_LOG");
    int descriptor = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (descriptor < 0) return;
    if (port < 0) dprintf(descriptor, "%s\n", host);
    else dprintf(descriptor, "%s:%d\n", host, port);
    close(descriptor);
}

static void hear_address(const struct sockaddr *to) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (to && to->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)to;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        hear(host, ntohs(four->sin_port));
    } else if (to && to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        hear(host, ntohs(six->sin6_port));
    }
}

extern "C" int connect(int socket, const struct sockaddr *to, socklen_t length) {
    hear_address(to);
    return ((int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect"))(socket, to, length);
}

extern "C" ssize_t sendto(int socket, const void *what, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    hear_address(to);
    return ((ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto"))(
        socket, what, size, flags, to, length);
}

extern "C" int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (host) hear(host, -1);
    return ((int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo"))(
        host, service, hints, found);
}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a program did beside its work. called: names and address:port.  files: new ones, relative to the home folder."""

    called: frozenset[str]
    files: frozenset[str]


class Tap:
    """A home folder and an environment that know nothing of the machine's user, and an ear on both kinds of calls."""

    def __init__(self, folder: Path) -> None:
        self._home, self._log, self._ear = folder / "home", folder / "calls", folder / "ear"
        for made in (self._home, self._ear):
            made.mkdir(parents=True)
        (self._ear / "sitecustomize.py").write_text(HOOK)
        # Not what is set for tests: libraries keep quiet when they see pytest or a CI, and our own switches are inherited.
        self.environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ
        }
        self.environment |= {
            "HOME": str(self._home),
            "TAP_LOG": str(self._log),
            "PYTHONPATH": os.pathsep.join([str(self._ear), str(ROOT)]),
            "OMP_NUM_THREADS": "2",
        }
        if COMPILER is not None:
            source, library = self._ear / "tap.cpp", self._ear / "tap.so"
            source.write_text(LIBRARY)
            subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=120)
            self.environment["LD_PRELOAD"] = str(library)

    def run(self, program: str, *arguments: str | Path, status: int = 0) -> Told:
        """Run Python code to its end and tell what else it did. Fails when it ends with another status."""
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True, text=True, errors="replace", timeout=280, check=False,
            env=self.environment, cwd=self._ear,
        )  # fmt: skip
        assert done.returncode == status, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return self.told()

    def told(self) -> Told:
        """What was heard and found so far."""
        called = self._log.read_text().split("\n") if self._log.exists() else []
        files = (path.relative_to(self._home).as_posix() for path in self._home.rglob("*") if not path.is_dir())
        return Told(frozenset(called) - {""}, frozenset(files))


def command(module: str, name: str) -> str:
    """The program that an entry point of pyproject.toml starts."""
    return MAIN.format(module, name)
