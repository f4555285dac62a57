"""Where a user's commands remember things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cache import cache_folder, private_cache


def test_the_cache_is_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/sem-corrosion-edge")


@pytest.mark.parametrize("said", ["", None])
def test_without_a_word_it_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", said)
    assert cache_folder() == Path("/home/someone/.cache/sem-corrosion-edge")


def test_what_is_run_as_it_was_read_lies_where_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    folder = private_cache()
    assert folder == cache_folder()
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    for open_to in (0o770, 0o707):
        folder.chmod(open_to)
        assert private_cache() is None
    folder.chmod(0o755)
    assert private_cache() == folder
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert private_cache() is None


def test_where_no_folder_can_be_made_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert private_cache() is None
