"""A real systemd as the first process of namespaces of its own, over a throw-away copy of this machine's files.

Needs root. Nothing that happens in there changes this machine: what is written lies in memory, processes are not seen, and only
the network is shared. What systemd would do to the kernel's settings is masked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.fakes.brokers import eventually

SYSTEMD = next((path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), None)
OPT = "opt/sem-corrosion-edge"
MASKED = [
    "sysctl",
    "modules-load",
    "binfmt",
    "remount-fs",
    "udevd",
    "udev-trigger",
    "random-seed",
    "journal-flush",
    "tmpfiles-setup-dev",
    "pstore",
]

PROGRAM = """#!{python}
import sys

sys.path.insert(0, "{lib}")
from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""

BOOT = r"""
set -e; umask 022
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do cp -a "/dev/$node" dev/; done
mkdir dev/shm dev/pts && mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts && ln -s pts/ptmx dev/ptmx
for folder in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
mkdir -p run/old
bash "$2"
pivot_root . run/old
cd /
umount -l /run/old
mount --make-rshared /  # as systemd leaves it outside of a container: shares that are mounted later reach the services
exec env -i container=private PATH=/usr/sbin:/usr/bin:/sbin:/bin "$3" --system --unit=basic.target --log-target=journal
"""


class ServiceManager:
    """systemd with this project's units installed as docs/use/install.md does it; `with` ends it and all its processes.

    root: its files, as this process sees them.
    """

    def __init__(self, folder: Path, config: str, prepare: str = "") -> None:
        """folder: on this machine, for what is put together.  prepare: lines of bash, run in its root before it starts."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "config.toml").write_text(config)
        (folder / "prepare.sh").write_text(self._preparation() + prepare)
        (folder / "boot.sh").write_text(BOOT)
        (folder / "root").mkdir()

    def _preparation(self) -> str:
        units = ROOT / "systemd"
        programs = {
            "edge-daemon": ("edge.commands.cli", "daemon"),
            "edge-dashboard": ("edge.commands.dashboard", "dashboard"),
            "edge-export": ("export.cli", "main"),
        }
        lines = [
            "rm -rf etc/systemd/system etc/machine-id; mkdir -p etc/systemd/system",
            "echo $(printf '%032d' 7) > etc/machine-id",
        ]
        lines += [f"ln -sf /dev/null etc/systemd/system/systemd-{name}.service" for name in MASKED]
        lines += [f"mkdir -p {OPT}/bin {OPT}/lib; cp -r {ROOT}/edge {ROOT}/export {OPT}/lib/"]
        for name, (module, function) in programs.items():  # as pip writes them: a child of the daemon imports its program
            text = PROGRAM.format(python=sys.executable, lib=f"/{OPT}/lib", module=module, function=function)
            (self._folder / name).write_text(text)
            lines.append(f"install -m 755 {self._folder / name} {OPT}/bin/{name}")
        # A Python in the home of root is one that the service's user cannot reach.
        homes = {parent for path in (Path(sys.executable), Path(sys.executable).resolve()) for parent in path.parents}
        lines += [f"chmod o+x .{home}" for home in sorted(homes)]
        lines += [
            f"cp {units}/*.service etc/systemd/system/",
            f"systemd-sysusers --root=$PWD {units}/sem-corrosion-edge.sysusers",
            "chroot . groupadd --system microscopists && chroot . usermod -aG microscopists sem-corrosion-edge",
            "chroot . install -d -m 2750 -o nobody -g microscopists /srv/sem/export",
            f"install -d -m 750 etc/sem-corrosion-edge; cp {self._folder}/config.toml etc/sem-corrosion-edge/config.toml",
            "chroot . chgrp -R sem-corrosion-edge /etc/sem-corrosion-edge; chmod 640 etc/sem-corrosion-edge/config.toml",
        ]
        return "set -e\n" + "\n".join(lines) + "\n"

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self._first()}/root")

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command beside systemd; what it says on both streams."""
        enter = ["nsenter", "-t", str(self._first()), "-m", "-p", "-u", "-i", "-C", "-r", "-w"]
        done = subprocess.run(
            [*enter, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}\n{self._last_words(command[-1])}"
        return done.stdout

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def journal(self, unit: str) -> str:
        """What a unit has logged."""
        return self.run("journalctl", "--no-pager", "-u", unit, "-o", "cat")

    def _last_words(self, unit: str) -> str:
        """What tells most comes first: a long report is cut at its end."""
        own = self.run("journalctl", "--no-pager", "-u", unit, "-n", "30", "-o", "cat", check=False)
        return f"{own}\n{self.log()[-1000:]}\n{self.everything()}"

    def everything(self) -> str:
        """The last lines of all units together."""
        return self.run("journalctl", "--no-pager", "-b", "-n", "60", check=False)

    def __enter__(self) -> ServiceManager:
        folder, names = self._folder, ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
        with (folder / "log").open("wb") as log:
            boot = ["bash", str(folder / "boot.sh"), str(folder / "root"), str(folder / "prepare.sh"), str(SYSTEMD)]
            command = ["unshare", *names, "--fork", "--kill-child=SIGKILL", *boot]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            eventually(self._is_up, 180, "systemd is up")
        except BaseException:  # else it stays, and another test is told of it
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            first = self._first()
            os.kill(first or self._process.pid, signal.SIGKILL)  # the first process of a namespace takes all others with it
        self._process.wait(30)
        print(self.log()[-5000:])

    def _first(self) -> int:
        """systemd's process id, as this process sees it; 0 before it is there."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.log()[-1000:]
            assert "not permitted" in said, said
            pytest.skip(f"systemd in a namespace needs root with all its rights: {said}")
        first = self._first()
        try:
            if not first or Path(f"/proc/{first}/comm").read_text() != "systemd\n":
                return False
        except OSError:  # it has ended meanwhile: why is told at the next look
            return False
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")


OVERLAID = ("/tmp", "/run")
"""What is empty in there, so nothing that is run may lie below."""
_BELOW = [place for place in (ROOT, Path(sys.executable), Path(sys.executable).resolve()) if str(place).startswith(OVERLAID)]

needs_service_manager = pytest.mark.skipif(
    SYSTEMD is None or os.getuid() != 0 or shutil.which("unshare") is None or shutil.which("usermod") is None or bool(_BELOW),
    reason="systemd in a namespace needs root, unshare, usermod, systemd, and this project outside of /tmp and /run",
)
