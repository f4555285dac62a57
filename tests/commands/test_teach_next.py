"""`edge-teach next` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.commands.cli import teach
from tests.teach.making import spotted, write_image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_it_lists_clicks_on_regions_as_text_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sha256 = write_image(tmp_path / "in", "a.png", spotted(1)[0])
    assert teach(["next", str(tmp_path / "in"), "--clicks", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edge.next/1"
    assert len(document["clicks"]) == 3
    assert document["clicks"][0]["image"]["sha256"] == sha256
    assert len({click["index"] for click in document["clicks"]}) == 3
    assert teach(["next", str(tmp_path / "in"), "--clicks", "2"]) == 0
    assert capsys.readouterr().out.count("right or not?") == 2


def test_no_image_is_wrong_usage_and_an_unreadable_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert teach(["next", str(tmp_path / "in")]) == 2
    (tmp_path / "in" / "a.png").write_bytes(b"no image")
    assert teach(["next", str(tmp_path / "in")]) == 1
    assert "a.png" in capsys.readouterr().err
