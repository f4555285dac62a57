"""The page says what it shows and what it lacks, whatever it is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.report.page import Chapter, Plot, pieces, render, write
from edge.report.reading import Document, Source
from tests.report.documents import failure, inspection, picture, source
from tests.teach.making import review


def test_html_in_names_and_reviews_stays_text(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>.tif"
    review = {"ts": "2026-01-03", "reviewer": "<b>anna</b>", "severity": {"verdict": "low"}, "regions": [{"verdict": "right"}]}
    chapter = Chapter("<i>s</i>", ("why",), (Plot("<u>p</u>", "<svg></svg>", ("n",), (("<a>",), ("1",))),), ())
    text = render(source(inspection(bad), picture=picture(tmp_path), reviews=(review,)), [chapter], [bad], title=bad)
    assert not [mark for mark in ("<script", "<b>", "<i>", "<u>", "<a>") if mark in text]
    assert "&lt;b&gt;anna" in text
    assert "1 region right, severity low" in text
    assert text.count("data:image/webp") == 2
    assert "http" not in text  # self-contained


def test_an_empty_report_says_so() -> None:
    text = render(Source("nothing", (), ()), [], [], title="t")
    assert "No image was inspected" in text


def test_without_scale_sample_or_severity_it_says_what_is_not_known() -> None:
    said = {**inspection(scale=False), "sample": None, "severity": None}
    text = render(Source("x", (Document(said),), (Document(failure()),)), [], [], title="t", pictures="none")
    for words in ("have no scale", "unknown: no µm² is given", "not known", "no verdict", "the file ends early"):
        assert words in text


def test_what_the_analysis_says_stands_at_the_head_series_by_series() -> None:
    chapters = [Chapter(f"series {n}", (f"why {n}",), (), (), (f"finding {n}",)) for n in (1, 2)]
    text = render(source(inspection()), chapters, [], title="t")
    assert (
        text.index("2 series that are not comparable") < text.index("finding 1") < text.index("why 2") < text.index("finding 2")
    )
    assert text.index("finding 2") < text.index("What is doubtful")


def test_the_card_of_an_image_names_its_coupon() -> None:
    one = source(inspection())
    assert "coupon K7" in render(one, [], [], title="t", joined={"AN_60_7days_001.tif": {"coupon": "K7"}})


def test_pictures_are_chosen(tmp_path: Path) -> None:
    sure = inspection(number=2)
    sure["severity"] |= {"reasons": [], "needs_review": False}
    both = source(inspection(), sure, picture=picture(tmp_path))
    counts = [render(both, [], [], title="t", pictures=which).count("data:image") for which in ("all", "doubtful", "none")]
    assert counts == [4, 2, 0]


def test_printed_tables_repeat_their_heads_and_are_told_to_readers_of_screens() -> None:
    chapter = Chapter("s", (), (Plot("p", None, ("n",), (("a", "b"), ("1", "2"))),), ())
    text = render(source(inspection()), [chapter], [], title="t")
    assert text.count("<thead>") == 2  # of the plot and of the regions
    assert text.count("<section") == text.count("</section>") == 2
    assert "<th>" not in text  # each says of what it is the head


def test_a_page_is_written_piece_by_piece_and_whole_or_not_at_all(tmp_path: Path) -> None:
    seen = list[str]()
    images = source(*(inspection(f"{n}.tif", number=n) for n in range(30)), picture=picture(tmp_path))
    parts = pieces(images, [], [], title="t", width_px=64, begun=lambda done, name: seen.append(f"{done} {name}"))
    first = next(parts)
    assert "<!doctype html>" in first
    assert not seen
    write(tmp_path / "r.html", parts)
    assert seen == [f"{n} {n}.tif" for n in range(30)]

    def broken() -> Iterator[str]:
        yield "begun"
        raise OSError(28, "No space left on device")

    before = (tmp_path / "r.html").read_bytes()
    with pytest.raises(ConfigError, match="No space left"):
        write(tmp_path / "r.html", broken())
    assert (tmp_path / "r.html").read_bytes() == before


def test_an_image_says_how_it_was_acquired_and_what_was_noted() -> None:
    said = inspection()
    said["image"] |= {"instrument": {"vendor": "Zeiss", "model": "SUPRA"}, "acceleration_kv": 15.0, "tilt_deg": 3.0}
    said["quality"] = {"warnings": ["a data bar was cut"]}
    text = render(source(said), [], [], title="t")
    assert "Zeiss SUPRA, 15 kV, tilted by 3°" in text
    assert "Note: a data bar was cut" in text


def test_a_reviewed_verdict_is_shown_as_such() -> None:
    given = {**review("a.tif", "0" * 64, severity={"verdict": "cannot_tell"}), "reviewer": "anna"}
    other = {**review("a.tif", "0" * 64, severity={"verdict": "severe"}), "reviewer": "ben", "review_id": "2"}
    text = render(source(inspection(), reviews=(given,)), [], [], title="t")
    assert "anna says\ncannot tell" in text
    assert "gives another severity" not in text
    assert "In 1 of the reviewed a reviewer gives another severity" in render(
        source(inspection(), reviews=(other,)), [], [], title="t"
    )


def test_a_thousand_images_are_one_page() -> None:
    text = render(source(*(inspection(f"{n}.tif", number=n) for n in range(1000))), [], [], title="t")
    assert text.count('class="image"') == 1000


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--out"):
        write(tmp_path / "not" / "r.html", "")
