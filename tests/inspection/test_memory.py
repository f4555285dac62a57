"""What is free: of the machine, and of the control groups that the process is in."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edge.config import InspectionSettings, InspectSettings
from edge.inspection import memory
from edge.inspection.pipeline import limits_of

MIB = 1 << 20
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def group(folder: Path, names: tuple[str, str, str], most: str, used: int, cache: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cache}\n")


def own_group(root: Path, line: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line + "\n")


def test_without_groups_it_is_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 4000 * MIB}))
    assert memory.spare_bytes(tmp_path) == 4000 * MIB
    assert memory.allowance(tmp_path) == 2000 * MIB


def test_the_service_or_its_slice_may_have_less(tmp_path: Path) -> None:
    own_group(tmp_path, "0::/system.slice/edge.service")
    top = tmp_path / "sys/fs/cgroup"
    group(top / "system.slice/edge.service", V2, "max", 900 * MIB)
    group(top / "system.slice", V2, str(1000 * MIB), 900 * MIB, cache=200 * MIB)
    assert memory.spare_bytes(tmp_path) == 300 * MIB
    assert memory.allowance(tmp_path) == memory.LEAST


def test_a_container_whose_path_is_that_of_the_machine_outside(tmp_path: Path) -> None:
    own_group(tmp_path, "0::/docker/0123abcd")
    group(tmp_path / "sys/fs/cgroup", V2, str(800 * MIB), 100 * MIB)
    assert memory.spare_bytes(tmp_path) == 700 * MIB


def test_groups_of_version_1(tmp_path: Path) -> None:
    own_group(tmp_path, "9:cpu,cpuacct:/\n4:memory:/edge")
    group(tmp_path / "sys/fs/cgroup/memory/edge", V1, str(600 * MIB), 100 * MIB)
    group(tmp_path / "sys/fs/cgroup/memory", V1, "9223372036854771712", 0)
    assert memory.spare_bytes(tmp_path) == 500 * MIB


def test_damaged_figures_are_no_limit(tmp_path: Path) -> None:
    own_group(tmp_path, "0::/a\nnonsense")
    group(tmp_path / "sys/fs/cgroup/a", V2, "many", 0)
    assert memory.spare_bytes(tmp_path) > 0


def test_a_setting_rules() -> None:
    assert limits_of(InspectionSettings(inspect=InspectSettings(max_memory_mib=100))).max_memory == 100 * MIB
    assert (limits_of(InspectionSettings()).max_memory or 0) >= memory.LEAST
