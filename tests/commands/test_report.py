"""`edge-report`, from the images to the page."""

from __future__ import annotations

import csv
import html
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge import config
from edge.commands.cli import inspect
from edge.commands.report import report
from edge.journal import Journal
from edge.samples import sample_files
from tests.journal import version_1
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


def test_without_a_source_the_usual_state_folder_is_reported_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(tmp_path / "state").close()
    monkeypatch.setattr(config, "StateSettings", lambda: SimpleNamespace(folder=tmp_path / "state"))
    assert report(["--out", str(tmp_path / "r.html")]) == 0


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


def page_of(folder: Path, documents: list[dict[str, Any]], samples: str = "", *options: str) -> str:
    """The page of documents, its summary as text."""
    results = folder / "results"
    results.mkdir()
    for number, said in enumerate(documents):
        (results / f"{number}.inspection.json").write_text(json.dumps(said))
    given = ["--samples", str(folder / "s.csv")] if samples else []
    (folder / "s.csv").write_text(samples)
    out = folder / "r.html"
    assert report(["--from", str(results), *given, "--out", str(out), "--at", "168", *options]) == 0
    return html.unescape(out.read_text(encoding="utf-8"))


def factorial(
    *, area: float | None = None, annealing: tuple[float, ...] = (60.0, 90.0), scale: bool = True
) -> tuple[list[Any], str]:
    """Documents of 3 exposures with 3 coupons each, and their samples file."""
    documents, lines = [], ["image,coupon,field_selection"]
    for minutes in annealing:
        for hours in (24.0, 168.0, 336.0):
            for coupon in range(3):
                number = len(documents)
                one = inspection(f"{number}.tif", number=number, scale=scale, annealing_min=minutes, exposure_h=hours)
                one["corrosion"]["area_fraction"] = (
                    area if area is not None else 0.001 * hours * (1 + 0.1 * coupon) * minutes / 60
                )
                documents.append(one)
                lines.append(f"{number}.tif,c{number},random")
    return documents, "\n".join(lines) + "\n"


def test_one_image_says_what_it_lacks(tmp_path: Path) -> None:
    text = page_of(tmp_path, [inspection()])
    for said in ("1 inspection on", "Corroded area: 5.00% of an image", "The column coupon is missing"):
        assert said in text


def test_without_a_scale_areas_are_analysed_and_sizes_are_not(tmp_path: Path) -> None:
    documents, samples = factorial(scale=False)
    text = page_of(tmp_path, documents, samples)
    assert "18 of 18 have no scale: no µm² and no density there." in text
    assert "Annealed 60 min, the corroded area grows" in text
    assert "No growth is fitted to the density of regions and the median diameter: No image has" in text
    assert "18 images have no scale: they count in no density and no size." in text


def test_without_fields_of_the_sample_nothing_is_compared(tmp_path: Path) -> None:
    text = page_of(tmp_path, [{**inspection(f"{n}.tif", number=n), "sample": None} for n in range(4)])
    assert "No image has an exposure, an annealing time and this measure." in text
    assert "Fields chosen by the operator: describes these images, not the surface." in text


def test_mixed_scales_are_not_pooled_and_the_head_says_so(tmp_path: Path) -> None:
    documents, samples = factorial()
    for one in documents[::2]:
        one["image"] |= {"pixel_size_nm": 250.0, "field_um2": 500.0}
    text = page_of(tmp_path, documents, samples)
    assert "The images fall into 2 series that are not comparable" in text
    assert "Here the pixel size is 250 nm; that of others differs by more than 10 %." in text


def test_an_adaptation_that_changed_splits_the_series(tmp_path: Path) -> None:
    documents, samples = factorial()
    for one in documents[9:]:
        one["model"] = {**one["model"], "taught": {"sha256": "f" * 64}}
    assert "nothing is joined across the change" in page_of(tmp_path, documents, samples)


def test_one_annealing_time_is_not_ranked(tmp_path: Path) -> None:
    documents, samples = factorial(annealing=(60.0,))
    text = page_of(tmp_path, documents, samples)
    assert "No annealing times are ranked after 168 h: 2 annealing times at least; there is one." in text
    assert "There is one annealing time: a one-way analysis." in text


def test_areas_that_are_all_zero_are_said(tmp_path: Path) -> None:
    documents, samples = factorial(area=0.0)
    text = page_of(tmp_path, documents, samples)
    for said in (
        "All values are zero",
        "All areas are zero: there is nothing to compare",
        "All areas are zero: there is nothing to rank",
    ):
        assert said in text


def test_without_stage_1_there_is_no_area_and_no_analysis(tmp_path: Path) -> None:
    documents, samples = factorial()
    documents[0] |= {"corrosion": None, "regions": []}
    text = page_of(tmp_path, documents, samples)
    assert "1 of 18 have no area, for stage 1 was not asked: they are in no analysis." in text
    for number, one in enumerate(documents):
        (tmp_path / "results" / f"{number}.inspection.json").write_text(json.dumps({**one, "corrosion": None}))
    assert report(["--from", str(tmp_path / "results"), "--out", str(tmp_path / "r.html")]) == 0
    assert "Stage 1 was not asked: no area is known." in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_garbage_in_the_folder_is_named_and_the_rest_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.inspection.json").write_text(json.dumps(inspection()))
    (tmp_path / "b.inspection.json").write_bytes(b"\x89PNG")
    (tmp_path / "c.inspection.json").write_text(json.dumps({**inspection(), "corrosion": {"area_fraction": "much"}}))
    (tmp_path / "d.jsonl").write_text("{}\n[" + "\n")
    (tmp_path / "e.inspection.json").mkdir()
    out = tmp_path / "r.html"
    assert report(["--from", str(tmp_path), "--out", str(out)]) == 0
    said, text = capsys.readouterr().err, html.unescape(out.read_text(encoding="utf-8"))
    for word in (
        "b.inspection.json is left out: not JSON",
        "c.inspection.json is left out: corrosion.area_fraction: must be a number (got 'much')",
        "d.jsonl, line 1 is left out: neither an inspection nor a failure",
        "d.jsonl, line 2 is left out: not JSON",
        "e.inspection.json is left out",
    ):
        assert word in said
        assert word in text


def test_a_folder_of_garbage_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.inspection.json").write_text("{}")
    out = tmp_path / "r.html"
    assert report(["--from", str(tmp_path), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "No image was inspected: there is nothing to report on." in text
    assert "a.inspection.json is left out" in text


def test_names_with_html_commas_and_lines_stay_what_they_are(tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>.tif", 'a,b"c.tif', "line\nbreak.tif", "=1+1.tif", "'quote.tif"]
    page_of(tmp_path, [inspection(name, number=n) for n, name in enumerate(names)])
    assert "<img src=x" not in (tmp_path / "r.html").read_text(encoding="utf-8")
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as stream:
        paths = [row["path"] for row in csv.DictReader(stream)]
    assert sorted(path.removeprefix("'") for path in paths) == sorted(name.removeprefix("'") for name in names)


def test_an_empty_journal_gives_a_page_that_says_so(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "state"):
        pass
    out = tmp_path / "r.html"
    assert report(["--journal", str(tmp_path / "state"), "--out", str(out)]) == 0
    assert "No image was inspected: there is nothing to report on." in out.read_text(encoding="utf-8")


def test_a_journal_of_a_newer_version_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(tmp_path / "state"):
        pass
    database = sqlite3.connect(tmp_path / "state" / "journal.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert report(["--journal", str(tmp_path / "state"), "--out", str(tmp_path / "r.html")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "version 99" in said
    assert not (tmp_path / "r.html").exists()


def test_a_journal_of_the_first_version_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    version_1.write(folder)
    assert report(["--journal", str(folder), "--out", str(tmp_path / "r.html")]) == 0
    database = sqlite3.connect(folder / "journal.sqlite3")
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.close()
