"""What a candidate said, shown on the box."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.commands import models_compare
from edge.commands.models import models
from edge.journal.shadowed import Compared, Seen, Shadowed
from tests.compare.making import PICTURE, row, written

RELEASE = "4079f8a565441083" + "0" * 48


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a box on which a release said one severity of three otherwise."""
    state, file = tmp_path / "state", tmp_path / "config.toml"
    state.mkdir()
    file.write_text(f"[state]\nfolder = '{state}'\n")
    with Shadowed.open(state, RELEASE) as rows:
        rows.begin(Compared({"segmenter": "1" * 64}, "3" * 64), Compared({"segmenter": "2" * 64}, "3" * 64))
        for name, severity in (("a.png", "low"), ("b.png", "severe"), ("c.png", "low")):
            after, agrees = row(name, severity, 0.2), severity == "low"
            identity = after["inspection_id"]
            rows.add(Seen(identity, row(name), after, 0.0 if agrees else 2.1, agrees, 0.1, None if agrees else PICTURE))
    return file


def test_the_table_the_page_and_the_list_say_what_changes(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, csv = tmp_path / "changes.html", tmp_path / "changes.csv"
    assert models(["compare", "--config", str(config), "--out", str(page), "--csv", str(csv)]) == 0
    told = capsys.readouterr().out
    assert "3 images in both; 3 of them are said otherwise" in told
    assert "segmenter: 111111111111 → 222222222222" in told
    assert "the settings differ" not in told
    text = written(page)
    assert "What changes from the models in use to release 4079f8a565441083" in text
    assert text.index("b.png: low → severe") < text.index("a.png: low → low")
    assert text.count("<img ") == 1
    assert len(written(csv).splitlines()) == 4


def test_a_release_is_named_by_how_its_id_begins(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models(["compare", "--config", str(config), "--release", "4079"]) == 0
    assert models(["compare", "--config", str(config), "--release", "5"]) == 2
    assert "no release begins with '5'; there are: 4079f8a565441083" in capsys.readouterr().err


def test_where_nothing_was_compared_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text(f"[state]\nfolder = '{tmp_path}'\n")
    assert models(["compare", "--config", str(tmp_path / "config.toml")]) == 2
    assert "fleet.shadow has to be true" in capsys.readouterr().err
    with Shadowed.open(tmp_path, RELEASE):
        pass
    assert models(["compare", "--config", str(tmp_path / "config.toml")]) == 2
    assert "has not judged an image yet" in capsys.readouterr().err


def test_a_summary_is_one_line_of_words(config: Path, tmp_path: Path) -> None:
    summary = models_compare.summary_of(tmp_path / "state", RELEASE)
    assert summary is not None
    assert models_compare.words(summary) == (
        "beside the models in use: 3 images, the same severity in 66.7%, area fraction +0.1000 (median); 0 skipped, 0 failed"
    )
    assert models_compare.summary_of(tmp_path / "state", "f" * 64) is None
    assert json.dumps(summary.agreement)
