"""The Debian package in a clean root: what it brings, what remove and purge leave."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.packages.building import bill_of, build, sample, takes_minutes

pytestmark = [
    takes_minutes,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, ("debootstrap", "dpkg-deb", "unshare"))),
        reason="a clean root needs root, debootstrap (apt-get install debootstrap) and unshare",
    ),
]
NAME = "sem-corrosion-edge"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class CleanRoot:
    """A small Debian of the same release, without anything of this machine; not booted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
        command = ["debootstrap", "--variant=minbase", "--include=python3,adduser", suite, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no package mirror can be reached from here: {(done.stdout + done.stderr)[-300:]}")

    def run(self, *command: str, check: bool = True) -> str:
        apart = ["unshare", "--mount", "--pid", "--net", "--fork", f"--mount-proc={self.folder}/proc"]
        enter = [*apart, "chroot", str(self.folder)]
        surroundings = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C"}
        done = subprocess.run(
            [*enter, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def files(self) -> set[str]:
        """All files and folders; not what is gone after a boot, nor the copies that adduser makes of its tables."""
        passing = ("proc/", "run/", "tmp/", "var/lib/dpkg", "var/log")
        found = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}
        return {one for one in found if not one.startswith(passing) and not one.endswith("-")}


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("deb", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def root(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanRoot:
    clean = CleanRoot(tmp_path_factory.mktemp("clean") / "root")
    os.link(deb, clean.folder / "tmp" / "edge.deb")
    sample(clean.folder / "tmp")
    return clean


def test_installed_used_removed_and_purged_it_leaves_nothing_but_the_data(root: CleanRoot) -> None:
    before, accounts = root.files(), root.run("getent", "passwd") + root.run("getent", "group")
    said = root.run("dpkg", "--install", "/tmp/edge.deb")
    assert "edge-daemon --config" in said
    _account_settings_and_unit(root)
    as_service = ("runuser", "-u", NAME, "--")
    assert "severity" in root.run(*as_service, "edge-inspect", "/tmp/AN_60_1h_009.tif")
    config = root.folder / "etc" / NAME / "config.toml"
    config.write_text(config.read_text().replace("sem-01", "sem-07"))
    (root.folder / "srv/sem/export").mkdir(parents=True)
    for folder in (root.folder / "srv/sem", root.folder / "srv/sem/export"):
        folder.chmod(0o755)
    checked = root.run(*as_service, "edge-daemon", "--config", f"/etc/{NAME}/config.toml", "--check", check=False)
    assert checked.count("hash matches its card") == 2

    data = root.folder / "var/lib" / NAME / "journal.sqlite3"
    root.run(*as_service, "touch", f"/var/lib/{NAME}/journal.sqlite3")
    root.run("dpkg", "--install", "/tmp/edge.deb")  # an upgrade
    assert "sem-07" in config.read_text()
    root.run("edge-inspect", "--version")
    root.run("dpkg", "--remove", NAME)
    assert "sem-07" in config.read_text()
    assert data.exists()
    assert not (root.folder / "opt" / NAME).exists()
    root.run("dpkg", "--purge", NAME)
    left = {path for path in root.files() - before if "/.cache" not in path} - {
        "srv/sem",
        "srv/sem/export",
    }  # what was compiled
    assert left == {f"var/lib/{NAME}", f"var/lib/{NAME}/journal.sqlite3"}
    assert (data.parent.stat().st_uid, stat.S_IMODE(data.parent.stat().st_mode)) == (0, 0o700)
    assert root.run("getent", "passwd") + root.run("getent", "group") == accounts

    root.run("dpkg", "--install", "/tmp/edge.deb")
    assert root.run("stat", "-c", "%U", f"/var/lib/{NAME}/journal.sqlite3").strip() == NAME
    root.run("dpkg", "--purge", NAME)


def _account_settings_and_unit(root: CleanRoot) -> None:
    name, _, _, _, _, home, shell = root.run("getent", "passwd", NAME).strip().split(":")
    assert (home, shell) == (f"/var/lib/{NAME}", "/usr/sbin/nologin")
    assert root.run("stat", "-c", "%U %G %a", f"/etc/{NAME}/config.toml").split() == ["root", name, "640"]
    assert root.run("stat", "-c", "%U %a", f"/var/lib/{NAME}").split() == [name, "700"]
    unit = root.folder / "usr/lib/systemd/system" / f"{NAME}.service"
    (program,) = re.findall(r"^ExecStart=(\S+)", unit.read_text(), re.MULTILINE)
    assert os.access(root.folder / program.removeprefix("/"), os.X_OK)
    if shutil.which("systemd-analyze"):  # by this machine's: without a systemd in there all its targets are missing
        copy = root.folder / "tmp" / unit.name
        copy.write_text(unit.read_text().replace(program, f"{root.folder}{program}"))
        verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
        assert unit.name not in verified.stderr, verified.stderr


def test_an_environment_that_was_made_by_hand_is_not_mixed_with_it(root: CleanRoot) -> None:
    made = root.folder / "opt" / NAME / "pyvenv.cfg"
    made.parent.mkdir(parents=True)
    made.touch()
    said = root.run("dpkg", "--install", "/tmp/edge.deb", check=False)
    assert "was made by hand" in said
    assert [path.name for path in made.parent.iterdir()] == ["pyvenv.cfg"]
    shutil.rmtree(made.parent)


def test_it_takes_no_more_than_promised_and_its_bill_is_in_it(deb: Path) -> None:
    size = subprocess.run(["dpkg-deb", "-f", str(deb), "Installed-Size"], capture_output=True, text=True, check=True).stdout
    assert int(size) < 460 * 1024
    listed = subprocess.run(["dpkg-deb", "-c", str(deb)], capture_output=True, text=True, check=True).stdout
    assert f"./usr/share/doc/{NAME}/sbom.cdx.json" in listed
    assert bill_of(deb)["components"]
