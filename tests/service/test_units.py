"""The unit and its companions, by systemd's own checks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT

SYSTEMD = ROOT / "systemd"
UNIT = SYSTEMD / "sem-corrosion-edge.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
@pytest.mark.parametrize("name", ["sem-corrosion-edge.service", "sem-corrosion-dashboard.service"])
def test_the_unit_has_no_error_that_systemd_knows(name: str, tmp_path: Path) -> None:
    program = tmp_path / "edge-daemon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / name
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={program}", (SYSTEMD / name).read_text()))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr


def exposure(folder: Path, unit: str, drop_in: str | None, threshold: int) -> str | None:
    """What `systemd-analyze security` says of a unit above the threshold (13 is 1.3), None below it."""
    shutil.copy(SYSTEMD / unit, folder / unit)
    if drop_in:
        (folder / f"{unit}.d").mkdir()
        shutil.copy(SYSTEMD / drop_in, folder / f"{unit}.d" / "gpu.conf")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", str(folder / unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else done.stdout[-400:] + done.stderr


@needs_systemd
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    assert exposure(tmp_path, UNIT.name, None, 13) is None
    assert exposure(tmp_path, "sem-corrosion-dashboard.service", None, 12) is None


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, "gpu-pc.conf", "gpu-jetson.conf"])
@pytest.mark.parametrize("unit", ["sem-corrosion-edge.service", "sem-corrosion-engine.service"])
def test_a_unit_with_a_gpu_is_hardened_too(unit: str, drop_in: str | None, tmp_path: Path) -> None:
    assert exposure(tmp_path, unit, drop_in, 18) is None


def test_no_unit_protects_the_clock_which_would_shut_the_gpu_out() -> None:
    """systemd.exec(5): ProtectClock= implies DeviceAllow=, and thereby that no other device may be opened."""
    files = [*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.conf")]
    assert not [path.name for path in files if re.search(r"^ProtectClock=", path.read_text(), re.MULTILINE)]


@needs_systemd
@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (tool, f"{account}.{kind}")
        for account in ("sem-corrosion-edge", "sem-corrosion-dashboard")
        for tool, kind in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles"))
    ],
)
def test_the_companions_parse(tool: str, name: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "etc").mkdir()
    create = ["--create"] if tool == "systemd-tmpfiles" else []
    account, _, _ = name.partition(".")
    users = (SYSTEMD / f"{account}.sysusers").read_text()
    if create:
        (tmp_path / "etc" / "group").write_text(f"root:x:0:\n{account}:x:990:\n")
        (tmp_path / "etc" / "passwd").write_text(f"root:x:0:0::/:/bin/sh\n{account}:x:990:990::/:/bin/sh\n")
    assert account in users
    done = subprocess.run(
        [tool, f"--root={tmp_path}", *create, str(SYSTEMD / name)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_unit_gives_the_daemon_more_time_to_stop_than_it_needs() -> None:
    from edge.service.daemon import STOP_S

    stop = re.search(r"TimeoutStopSec=(\d+)", UNIT.read_text())
    assert stop is not None
    assert int(stop[1]) > STOP_S
