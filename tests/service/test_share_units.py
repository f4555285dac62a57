"""The units that mount the microscope's share, and what its page shows, by systemd's and Samba's own checks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge import config
from tests import ROOT
from tests.service.test_units import SYSTEMD, needs_systemd

PAGE = (ROOT / "docs" / "use" / "windows-share.md").read_text(encoding="utf-8")
UNITS = ("srv-sem-export.mount", "srv-sem-export.automount")
GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")


def shown(language: str) -> list[str]:
    """The blocks of one language on the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def setting(unit: str, key: str) -> str:
    found = re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)
    assert found, key
    return str(found[-1])


def verified(folder: Path) -> str:
    """What systemd says of the units there, as they would be installed."""
    environment = {"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"}
    command = ["systemd-analyze", "verify", *(str(folder / name) for name in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    for name in UNITS:
        shutil.copy(SYSTEMD / name, tmp_path / name)
    return tmp_path


@needs_systemd
def test_the_units_have_no_error_that_systemd_knows(units: Path) -> None:
    said = verified(units)
    assert not [name for name in UNITS if name in said], said


@needs_systemd
@pytest.mark.parametrize("lines", [block for block in shown("ini") if not block.startswith("[export]")])
def test_each_change_of_the_units_that_the_page_shows_is_taken(units: Path, lines: str) -> None:
    drop_in = units / f"{UNITS[0]}.d"
    drop_in.mkdir()
    (drop_in / "change.conf").write_text(lines)
    said = verified(units)
    assert "change.conf" not in said, said


def test_the_units_are_named_after_the_folder_that_they_mount_and_that_the_service_watches() -> None:
    (settings,) = shown("toml")
    folder = str(config.parse(config_of(settings), {}).watch.folder)
    assert {setting((SYSTEMD / name).read_text(), "Where") for name in UNITS} == {folder}
    assert UNITS[0] == folder.strip("/").replace("/", "-") + ".mount"
    wanted = (SYSTEMD / "share.conf").read_text()
    assert setting(wanted, "Wants") == setting(wanted, "After") == UNITS[1]


def config_of(text: str) -> dict[str, object]:
    try:
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib  # type: ignore[import-not-found,no-redef]
    return tomllib.loads(text)


@needs_systemd
def test_the_line_of_fstab_mounts_what_the_unit_mounts(tmp_path: Path) -> None:
    if not GENERATOR.exists():
        pytest.skip("systemd has no generator for fstab here")
    (line,) = shown("fstab")
    (tmp_path / "fstab").write_text(line)
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run([GENERATOR, made, made, made], check=True, env={"SYSTEMD_FSTAB": str(tmp_path / "fstab")}, timeout=60)
    generated, ours = (made / UNITS[0]).read_text(), (SYSTEMD / UNITS[0]).read_text()
    for key in ("What", "Where", "Type"):
        assert setting(generated, key) == setting(ours, key)
    own = {"noauto", "_netdev"}
    options = {one for one in setting(generated, "Options").split(",") if not one.startswith("x-systemd.")}
    assert options - own == set(setting(ours, "Options").split(","))
    assert setting(generated, "TimeoutSec") == setting(ours, "TimeoutSec") + "s"
    assert (made / "remote-fs.target.requires" / UNITS[1]).is_symlink()


def test_nobody_can_write_through_the_share_and_no_password_stands_in_the_unit() -> None:
    options = dict(part.partition("=")[::2] for part in setting((SYSTEMD / UNITS[0]).read_text(), "Options").split(","))
    assert {"ro", "nosuid", "nodev", "noexec", "soft"} <= options.keys()
    assert "password" not in options
    assert not int(options["file_mode"], 8) & 0o227
    assert not int(options["dir_mode"], 8) & 0o227


@pytest.mark.skipif(shutil.which("testparm") is None, reason="samba is not installed")
def test_the_share_of_this_machine_is_one_that_samba_takes(tmp_path: Path) -> None:
    (share,) = (block for block in shown("ini") if block.startswith("[export]"))
    (tmp_path / "smb.conf").write_text(share)
    command = ["testparm", "-s", str(tmp_path / "smb.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Unknown parameter" not in done.stderr
    assert "read only = No" in done.stdout
