"""Training and export libraries find an environment in which they keep quiet; what a user has set stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from export.quiet import silence

NAMES = ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_CONFIG_DIR", "MPLCONFIGDIR", "ORT_DISABLE_TELEMETRY")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_every_switch_is_set_and_files_go_to_our_own_folder(tmp_path: Path) -> None:
    silence()
    assert all(os.environ[name] for name in NAMES)
    ours = str(tmp_path / "sem-corrosion-edge")
    assert os.environ["YOLO_CONFIG_DIR"] == ours
    assert os.environ["MPLCONFIGDIR"].startswith(ours)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_user_has_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "mine")
    silence()
    assert os.environ[name] == "mine"
