"""Where a user's commands remember things."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cache import cache_folder


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
