"""Which boot this is, and how long it has lasted, whatever the clock says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.journal import boot


def test_a_boot_has_one_name_and_its_time_rises() -> None:
    assert boot.boot_id() == boot.boot_id()
    before = boot.uptime_s()
    assert 0 <= boot.uptime_s() - before < 60


def test_where_the_kernel_tells_nothing_the_boot_is_unknown_and_time_still_rises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setattr(boot, "_UPTIME", tmp_path / "none")
    assert boot.boot_id() == boot.UNKNOWN
    assert boot.uptime_s() > 0


@pytest.mark.parametrize("text", ["", "?\n", "x" * 36, "\xff\xfe"])
def test_a_name_that_makes_no_sense_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot_id").write_text(text, encoding="latin-1")
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "boot_id")
    assert boot.boot_id() == boot.UNKNOWN


def test_the_clock_of_the_wall_does_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = boot.uptime_s()
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert boot.uptime_s() - before < 60
