"""`edge-report`, from the images to the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edge import config
from edge.commands.cli import inspect
from edge.commands.report import report
from edge.journal import Journal
from edge.samples import sample_files


def test_what_edge_inspect_wrote_becomes_a_page_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    assert inspect([str(sample_files()[0]), "--out", str(results)]) == 0
    (tmp_path / "s.csv").write_text(f"image,coupon\n{sample_files()[0].name},c1\n")
    out = tmp_path / "r.html"
    capsys.readouterr()
    assert report(["--from", str(results), "--samples", str(tmp_path / "s.csv"), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert text.count("data:image/webp") == 2
    assert sample_files()[0].name in text
    assert "c1" in (tmp_path / "r.csv").read_text()


def test_wrong_usage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "r.html")
    assert report(["--out", out]) == 2
    assert "--journal FILE" in capsys.readouterr().err
    assert report(["--from", str(tmp_path), "--out", out]) == 2
    assert report(["--from", str(tmp_path), "--out", out, "--surface-mm2", "-1"]) == 2
    assert report(["--journal", str(tmp_path / "none"), "--out", out]) != 0
    with pytest.raises(SystemExit):
        report(["--from", str(tmp_path), "--out", out, "--since", "2026-13-01"])
    assert "a day such as 2026-01-31" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_without_a_source_the_usual_state_folder_is_reported_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(tmp_path / "state").close()
    monkeypatch.setattr(config, "StateSettings", lambda: SimpleNamespace(folder=tmp_path / "state"))
    assert report(["--out", str(tmp_path / "r.html")]) == 0
