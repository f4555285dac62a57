"""Reviews: what is read, which count, and the sentence for each thing that is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ReviewError
from edge.teach import reviews as rv

SHA = "a" * 64


def line(**changed: Any) -> dict[str, Any]:
    return {
        "schema": "edge.review/1",
        "review_id": "r1",
        "ts": "2026-11-25T12:00:00.000Z",
        "ts_ms": 1_000,
        "device": None,
        "reviewer": "anna",
        "inspection_id": None,
        "image": {"name": "a.png", "path": "a.png", "sha256": SHA, "page": 0, "revision": 1},
        "model": {"segmenter": {"name": "s", "version": "1", "sha256": "b" * 64}, "classifier": None, "taught": None},
        "regions": [{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "right"}],
        "missed": [{"point_px": [5, 6.5], "class": "pit"}],
        "brushed": [{"class": "background", "points_px": [[1, 1], [2, 2]], "radius_px": 3}],
        "complete": False,
        "severity": None,
        "supersedes": None,
        "withdrawn": False,
        "note": "",
        **changed,
    }


def written(tmp_path: Path, *lines: dict[str, Any] | str) -> Path:
    path = tmp_path / "reviews.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines), encoding="utf-8")
    return path


def parsed(**changed: Any) -> rv.Review:
    return rv.parse_review(json.dumps(line(**changed)).encode(), "here")


def test_a_review_is_read_as_it_was_written(tmp_path: Path) -> None:
    (review,) = rv.read_reviews(written(tmp_path, line(complete={"box_px": [0, 0, 9, 9]}, further="field")))
    assert review.regions == (rv.RegionVerdict(0, (1, 2, 3, 4), "right"),)
    assert review.missed == (rv.Missed(point_px=(5, 6.5), class_name="pit"),)
    assert review.brushed[0].class_name == "background"
    assert review.complete == rv.CompleteBox((0, 0, 9, 9))
    assert review.model is not None
    assert review.model.segmenter == "b" * 64
    assert review.clicks == 3


def test_a_line_that_stands_twice_is_one_review_and_empty_lines_are_none(tmp_path: Path) -> None:
    assert len(rv.read_reviews(written(tmp_path, line(), "", line()))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (json.dumps(line()) + "\n" + json.dumps(line(review_id="r2"))[:-40], "half written"),
        ("{nonsense}\n", "not JSON"),
        ("[]\n", "no object"),
        ("\x00\x01\n", "not JSON"),
        (json.dumps(line(schema="edge.review/2")) + "\n", "'edge.review/2'"),
        (json.dumps(line()) + "\n" + json.dumps(line(note="other")) + "\n", "twice"),
        ("[" * 100_000 + "\n", "not JSON"),
    ],
)
def test_a_file_that_holds_no_reviews_is_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReviewError, match=said) as caught:
        rv.read_reviews(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b'{"schema": "\xff\xfe"}\n')
    with pytest.raises(ReviewError, match="not JSON"):
        rv.read_reviews(tmp_path / "r")
    with pytest.raises(ReviewError, match="cannot be read"):
        rv.read_reviews(tmp_path / "none")
    with pytest.raises(ReviewError, match="cannot be read"):
        rv.read_reviews(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"reviewer": 3},
        {"reviewer": ""},
        {"reviewer": None},
        {"ts_ms": "1"},
        {"ts_ms": True},
        {"ts_ms": 10**400},
        {"image": None},
        {"image": {"sha256": "A" * 64}},
        {"image": {"name": "a.png"}},
        {"regions": {}},
        {"regions": [{"index": -1, "box_px": [1, 2, 3, 4], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3, float("nan")], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, float("inf"), 3, 4], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, -3, 4], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 1e300, 4], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": ["1", 2, 3, 4], "verdict": "right"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "maybe"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "wrong_class"}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "wrong_outline", "outline_px": [[1, 1], [2, 2], [3, 3]]}]},
        {"missed": [{}]},
        {"missed": [{"point_px": [1, 1], "box_px": [1, 1, 2, 2]}]},
        {"brushed": [{"class": "pit", "points_px": [], "radius_px": 3}]},
        {"brushed": [{"class": "pit", "points_px": [[1, 1]], "radius_px": 0}]},
        {"complete": "yes"},
        {"severity": {"verdict": 2}},
        {"withdrawn": 1},
        {"model": {"segmenter": {"sha256": "no"}}},
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence_that_names_it(changed: dict[str, Any]) -> None:
    with pytest.raises(ReviewError) as caught:
        parsed(**changed)
    text = str(caught.value)
    assert next(iter(changed)) in text
    assert len(text) < 300
    assert "\n" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {
            "regions": [
                {"index": 0, "box_px": [1, 2, 3, 4], "verdict": "right"},
                {"index": 0, "box_px": [1, 2, 3, 4], "verdict": "not_corrosion"},
            ]
        },
        {"severity": {"verdict": "uncorroded"}},
        {"supersedes": "r1"},
    ],
)
def test_a_review_that_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ReviewError, match="contradictory"):
        parsed(**changed)


def test_the_latest_of_a_reviewer_counts_and_what_is_withdrawn_does_not() -> None:
    first, second = parsed(review_id="1", ts_ms=1), parsed(review_id="2", ts_ms=2)
    other = parsed(review_id="3", ts_ms=1, reviewer="ben")
    gone = parsed(review_id="4", ts_ms=3, withdrawn=True, supersedes="2")
    assert rv.latest([second, first, other]) == [other, second]
    assert rv.latest([first, second, other, gone]) == [other]


def test_what_was_superseded_does_not_count_whatever_its_time_and_nobody_supersedes_another() -> None:
    clock_behind = parsed(review_id="2", ts_ms=1, supersedes="1")
    first = parsed(review_id="1", ts_ms=5)
    assert rv.latest([first, clock_behind]) == [clock_behind]
    ben = parsed(review_id="9", ts_ms=9, reviewer="ben", supersedes="1")
    assert rv.latest([first, ben]) == [first, ben]


def test_two_reviewers_who_disagree_are_shown() -> None:
    anna = parsed(severity={"verdict": "severe"})
    ben = parsed(
        review_id="2",
        reviewer="ben",
        regions=[{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "not_corrosion"}],
        severity={"verdict": "cannot_tell"},
    )
    (found,) = rv.disagreements([anna, ben])
    assert found.what == "region 0"
    assert found.said == (("anna", "right"), ("ben", "not_corrosion"))


def test_a_thousand_clicks_on_one_image_are_refused(tmp_path: Path) -> None:
    many = [{"point_px": [number, 1]} for number in range(1000)]
    with pytest.raises(ReviewError, match="1001 clicks"):
        rv.read_reviews(written(tmp_path, line(missed=many, brushed=[])))
    with pytest.raises(ReviewError, match="every region that was reviewed is right"):
        rv.check_kinds([parsed()])
    rv.check_kinds([parsed(regions=[])])


def test_a_review_of_another_image_or_model_is_refused_with_both_hashes() -> None:
    review = parsed()
    rv.check_image(review, SHA)
    with pytest.raises(ReviewError, match=r"another a.png.*cccc"):
        rv.check_image(review, "c" * 64)
    rv.check_model(review, segmenter="b" * 64)
    with pytest.raises(ReviewError, match="another segmenter"):
        rv.check_model(review, segmenter="c" * 64)
    rv.check_model(parsed(regions=[]), segmenter="c" * 64)
    with pytest.raises(ReviewError, match="another adaptation"):
        rv.check_model(parsed(model={"taught": "d" * 64}), segmenter=None, taught="e" * 64)


def test_a_verdict_whose_index_and_box_do_not_match_is_refused() -> None:
    rv.check_regions(parsed(), [[1, 2, 3, 4.4]])
    with pytest.raises(ReviewError, match="judges region 0"):
        rv.check_regions(parsed(), [])
    with pytest.raises(ReviewError, match=r"at \[1, 2, 3, 4\], where the inspection has it at \[10, 2, 3, 4\]"):
        rv.check_regions(parsed(), [[10, 2, 3, 4]])


@pytest.mark.parametrize(
    ("written", "name"),
    [(" Severe", "severe"), ("UNCORRODED", "uncorroded"), ("Coarse  pits\n", "Coarse pits"), ("cannot_tell", "cannot_tell")],
)
def test_a_severity_of_ours_is_one_however_it_is_written_and_others_keep_their_capitals(written: str, name: str) -> None:
    review = parsed(regions=[], missed=[], severity={"verdict": written})
    assert review.severity == rv.FieldVerdict(name)


def test_background_is_background_however_it_is_written() -> None:
    stroke = {"class": "Background ", "points_px": [[1, 1]], "radius_px": 3}
    assert parsed(brushed=[stroke]).brushed[0].class_name == rv.BACKGROUND


@pytest.mark.parametrize(
    "changed",
    [
        {"severity": {"verdict": " \t"}},
        {"missed": [{"point_px": [1, 1], "class": " "}]},
        {"brushed": [{"class": "\n", "points_px": [[1, 1]], "radius_px": 3}]},
        {"regions": [{"index": 0, "box_px": [1, 2, 3, 4], "verdict": "wrong_class", "class": "  "}]},
    ],
)
def test_a_class_of_blanks_alone_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ReviewError, match="a class needs a name"):
        parsed(**changed)


def test_uncorroded_with_capitals_contradicts_what_is_right_as_well() -> None:
    with pytest.raises(ReviewError, match="contradictory"):
        parsed(severity={"verdict": "Uncorroded"})


def test_reviewers_who_write_one_class_differently_agree(tmp_path: Path) -> None:
    said = {"anna": "Coarse", "bert": "coarse "}
    reviews = [parsed(review_id=who, reviewer=who, severity={"verdict": name}) for who, name in said.items()]
    assert rv.disagreements(reviews) == []
    other = parsed(review_id="c", reviewer="cay", severity={"verdict": "fine"})
    assert [one.what for one in rv.disagreements([*reviews, other])] == ["severity"]
