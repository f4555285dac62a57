"""`edge-doctor` and `--check` tell whether the folder is the wanted one, and what of it cannot be looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge.commands.cli import daemon
from tests.commands.test_doctor import configured
from tests.fakes.brokers import free_port


def test_a_folder_that_is_not_the_wanted_one_is_told_and_one_that_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, free_port())
    text = config.read_text()
    config.write_text(text.replace("[state]", "marker = '.export'\n[state]"))
    assert daemon(["--config", str(config), "--check"]) == 1
    assert "'.export' is not in the watched folder" in capsys.readouterr().out
    (tmp_path / "export" / ".export").touch()
    daemon(["--config", str(config), "--check"])
    assert "watch.marker" not in capsys.readouterr().out
    config.write_text(text.replace("[state]", "must_be_mount = true\n[state]"))
    daemon(["--config", str(config), "--check"])
    assert "nothing is mounted on the watched folder" in capsys.readouterr().out


def test_subfolders_that_cannot_be_looked_at_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, free_port())
    (tmp_path / "export" / "closed").mkdir()
    real = os.scandir

    def refusing(path: str) -> Any:
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert daemon(["--config", str(config), "--check"]) == 1
    assert "1 path in the watched folder cannot be looked at: 'closed' (Permission denied)" in capsys.readouterr().out
