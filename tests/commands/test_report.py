"""`edge-report`, from the images to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.commands.cli import inspect
from edge.commands.report import report
from edge.samples import sample_files
from tests.report.documents import inspection


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
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--since", "yesterday"), "--since: must be a day such as 2026-01-31 (got 'yesterday')"),
        (("--until", "2026-02-30"), "--until: must be a day such as 2026-01-31 (got '2026-02-30')"),
        (("--since", "2026-1-1"), "must be a day"),
        (("--since", "2026-03-01", "--until", "2026-02-01"), "--until 2026-02-01 must be later than --since 2026-03-01"),
        (("--since", "2026-03-01", "--until", "2026-03-01"), "must be later"),
        (
            ("--since", "2031-03-01"),
            "nothing was inspected from 2031-03-01 on; its 1 verdicts are from 2026-01-02 to 2026-01-02",
        ),
        (("--at", "soon"), "--at: must be a number (got 'soon')"),
        (("--at", "-3"), "--at must be a number above 0"),
        (("--regions", "2.5"), "--regions: must be a whole number (got '2.5')"),
        (("--picture-px", "10"), "--picture-px must be at least 64"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_our_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], word: str
) -> None:
    (tmp_path / "a.inspection.json").write_text(json.dumps(inspection()))
    try:
        status = report(["--from", str(tmp_path), "--out", str(tmp_path / "r.html"), *options])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr().err
    assert status == 2
    assert word in said
    assert said.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


def test_the_page_says_which_days_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "a.inspection.json").write_text(json.dumps(inspection()))
    out = tmp_path / "r.html"
    options = ["--since", "2026-01-02", "--until", "2026-01-03", "--pictures", "none"]
    assert report(["--from", str(tmp_path), "--out", str(out), *options]) == 0
    assert "inspected from 2026-01-02 on and before 2026-01-03" in out.read_text(encoding="utf-8")
