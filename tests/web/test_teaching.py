"""Teaching behind the page: stored reviews to a draft and how good it is, or a sentence."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge import config
from edge.config import Settings
from edge.errors import ReviewError
from edge.journal import Journal
from edge.web.source import Facts
from edge.web.teaching import COMMAND, Teaching
from tests.conftest import settings_for
from tests.service.running_daemon import ended
from tests.teach.making import brushed, brushed_away, decoys, review, spotted, write_image

PATIENCE_S = 300.0
LESSON: Facts = {"before": {}, "after": {}, "how": "by leaving images out", "told": [], "counts": None}
COUNTS = {"struck": 62, "struck_gone": 48, "accepted": 310, "accepted_lost": 2}


def saying(lesson: dict[str, Any], status: int = 0) -> tuple[str, ...]:
    """In the place of edge-teach: says this, and writes a draft where the status is 0."""
    program = f"""
import sys
if {status} == 0:
    open(sys.argv[sys.argv.index("--out") + 1], "w").write('{{"provisional": true}}')
print({json.dumps(lesson)!r})
sys.exit({status})
"""
    return (sys.executable, "-c", program)


def settings(tmp_path: Path, **sections: dict[str, Any]) -> Settings:
    (tmp_path / "watched").mkdir(exist_ok=True)
    return settings_for(tmp_path / "watched", **sections)


def store(folder: Path, *reviews: dict[str, Any]) -> None:
    with Journal.open(folder) as journal:
        for one in reviews:
            journal.reviews.add(one["review_id"], one["image"]["sha256"], json.dumps(one).encode(), lambda _seq: b"")


def reviewed_image(state: Path, name: str = "a.png", **content: Any) -> dict[str, Any]:
    """A review of an image whose copy is kept, with brushed pixels."""
    grey, spots = spotted(1, bright=10)
    marks = brushed(spots[:5]) + brushed_away(decoys(1, 14, 10)[:5])
    sha256 = write_image(state / "reviewed", name, grey)
    (state / "reviewed" / sha256).mkdir(exist_ok=True)
    (state / "reviewed" / name).rename(state / "reviewed" / sha256 / name)
    return review(name, sha256, **{"brushed": marks, **content})


def taught(teaching: Teaching) -> Facts:
    """What came of it."""
    teaching.start()
    facts: Facts = until(lambda: None if (facts := teaching.facts())["running"] else facts)
    return facts


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if (told := found()) is not None:
            return told
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_without_a_journal_or_reviews_it_says_so(tmp_path: Path) -> None:
    told = settings(tmp_path)
    teaching = Teaching(told)
    assert teaching.facts()["why_not"]
    store(told.state.folder)
    facts = teaching.facts()
    assert (facts["reviews"], facts["images"], facts["draft"], facts["running"]) == (0, 0, None, False)
    with pytest.raises(ReviewError, match="mark some regions first"):
        teaching.start()
    with pytest.raises(ReviewError, match="teach first"):
        teaching.draft()
    assert list((told.state.folder / "web" / "drafts").iterdir()) == []


def test_real_marks_teach_a_draft_that_outlives_the_page(tmp_path: Path) -> None:
    told = settings(tmp_path)
    store(told.state.folder, reviewed_image(told.state.folder))
    teaching = Teaching(told)
    facts = taught(teaching)
    assert facts["last_error"] is None
    draft = facts["draft"]
    assert draft["provisional"]
    assert "pixels" in draft["after"]
    assert draft["how"]
    assert json.loads(teaching.draft())["reviews"] == 1
    again = Teaching(told)
    assert again.facts()["draft"] == draft
    (told.state.folder / "web" / "drafts" / "draft.json").write_text("other")
    assert Teaching(told).facts()["draft"] is None


def test_the_counts_reach_the_page_and_a_later_failure_keeps_the_draft(tmp_path: Path) -> None:
    told = settings(tmp_path)
    store(told.state.folder, reviewed_image(told.state.folder))
    assert taught(Teaching(told, saying({**LESSON, "counts": COUNTS})))["draft"]["counts"] == COUNTS
    useless = taught(Teaching(told, saying({**LESSON, "told": ["regions: no better"]}, 1)))
    assert useless["last_error"] == "this does not help, so nothing was written; regions: no better"
    assert useless["draft"]["counts"] == COUNTS


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import sys; print('edge-teach: no', file=sys.stderr); sys.exit(2)", "edge-teach: no"),
        ("import sys; sys.exit(3)", "status 3"),
        ("print('{')", "cannot be used"),
        ("print('[]')", "cannot be used"),
        ("print('{\"told\": []}')", "cannot be used"),  # and no draft
    ],
)
def test_whatever_goes_wrong_is_a_sentence_and_leaves_nothing(tmp_path: Path, program: str, sentence: str) -> None:
    told = settings(tmp_path)
    store(told.state.folder, reviewed_image(told.state.folder))
    facts = taught(Teaching(told, (sys.executable, "-c", program)))
    assert sentence in facts["last_error"]
    assert facts["draft"] is None
    assert list((told.state.folder / "web" / "drafts").iterdir()) == []


def test_only_one_is_taught_at_a_time_and_it_ends_with_the_page(tmp_path: Path) -> None:
    told = settings(tmp_path)
    store(told.state.folder, reviewed_image(told.state.folder))
    teaching = Teaching(told, (sys.executable, "-c", "import time; time.sleep(600)"))
    teaching.start()
    with pytest.raises(ReviewError, match="already"):
        teaching.start()
    teaching.close()
    assert until(lambda: None if (facts := teaching.facts())["running"] else facts)["last_error"]


def test_a_page_that_is_killed_takes_it_along(tmp_path: Path) -> None:
    program = COMMAND[2].replace("from edge.commands.cli import teach", "import time; time.sleep(600)")
    body = f"""
import sys, time
from edge.web.teaching import _started
process, alive = _started([sys.executable, "-c", {program!r}])
print(process.pid, flush=True)
time.sleep(600)
"""
    with psutil.Popen([sys.executable, "-c", body], stdout=-1) as page:
        child = psutil.Process(int(page.stdout.readline()))
        page.kill()
    until(lambda: ended(child) or None)


def test_reviews_that_cannot_teach_are_left_out_and_told(tmp_path: Path) -> None:
    told = settings(tmp_path)
    state = told.state.folder
    good = reviewed_image(state)
    region = {"index": 0, "box_px": [1, 2, 3, 4], "verdict": "right"}
    other = {**good, "review_id": "other", "reviewer": "bea", "regions": [region], "model": {"segmenter": "b" * 64}}
    gone = review("b.png", "c" * 64, severity={"verdict": "low"})
    back = {**good, "review_id": "w", "reviewer": "cay", "withdrawn": True}
    store(state, good, other, gone, back, {**good, "review_id": "new", "schema": "edge.review/9"})
    facts = Teaching(told).facts()
    assert (facts["reviews"], facts["images"]) == (1, 1)
    assert [text.split(":")[0] for text in facts["left_out"]] == ["1 left out"] * 3


def test_the_settings_that_it_teaches_with_are_those_of_the_page(tmp_path: Path) -> None:
    told = settings(
        tmp_path,
        sample={"patterns": [r"(?P<coupon>\d+)[\"'𝜇]\\", "x\x7f"]},
        device={"site": "wörk \U0001f52c"},
        severity={"rule": "limits", "severe": {"area_fraction": 0.2, "class": "pit"}},
        inspect={"confidence": 0.4, "pixel_size_nm": 12.5},
        mqtt={"response_topics": ["a/+", "b/#"]},
    )
    assert config.load(Teaching(told)._toml(tmp_path)) == told


def test_what_a_killed_page_left_is_removed_and_what_is_under_way_is_not(tmp_path: Path) -> None:
    told = settings(tmp_path)
    drafts = told.state.folder / "web" / "drafts"
    for name in ("old", "new"):
        (drafts / name).mkdir(parents=True)
    os.utime(drafts / "old", (0, 0))
    Teaching(told)
    assert [place.name for place in drafts.iterdir()] == ["new"]


def test_the_page_is_told_what_the_plant_calls_its_fields_and_regions_and_teaches_in_the_order_given(tmp_path: Path) -> None:
    told = settings(tmp_path)
    missed = [{"point_px": [1, 1], "class": "rust"}]
    said = reviewed_image(told.state.folder, severity={"verdict": "Coarse"}, missed=missed)
    store(told.state.folder, said)
    program = f"import json, sys; print(json.dumps({LESSON!r} | {{'told': sys.argv}})); sys.exit(1)"
    teaching = Teaching(told, (sys.executable, "-c", program))
    facts = teaching.facts()
    assert facts["severities"] == [{"name": "Coarse", "label": None, "images": 1}]
    assert facts["classes"] == ["pit", "product", "attack", "rust"]
    teaching.start("fine=low,Coarse")
    until(lambda: None if (facts := teaching.facts())["running"] else facts)
    assert "--classes=fine=low,Coarse" in teaching.facts()["last_error"]
