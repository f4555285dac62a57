"""Whose results a folder holds: the same ids for the same models and settings, and never a mixture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.archive import identity
from edge.config import change
from edge.errors import ConfigError
from tests.archive.making import claimed, settings


def test_a_folder_is_taken_up_again_by_the_same(tmp_path: Path) -> None:
    first = claimed(tmp_path, tmp_path / "out")
    assert identity.claim(tmp_path / "out", first)
    assert identity.read(tmp_path / "out") == first
    assert claimed(tmp_path, tmp_path / "elsewhere").epoch == first.epoch


@pytest.mark.parametrize("other", ["name", "settings"])
def test_other_results_are_never_mixed_in(other: str, tmp_path: Path) -> None:
    claimed(tmp_path, tmp_path / "out")
    wanted = change(settings(), {"inspect": {"confidence": 0.5}}) if other == "settings" else settings()
    with pytest.raises(ConfigError, match=r"another (setting|archive \(exports\))"):
        claimed(tmp_path, tmp_path / "out", "more" if other == "name" else "exports", wanted)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else"):
        claimed(tmp_path, tmp_path)
    (tmp_path / identity.FILE).write_text(json.dumps({"schema": "other/1"}))
    with pytest.raises(ConfigError, match="no description of an archive"):
        identity.read(tmp_path)
