"""edge-review add, reviews, export: nothing is handed over when something is wrong, and what was stored comes out again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge.commands import cli
from edge.journal import Journal, requests
from tests.teach.test_reviews import line, written


def test_reviews_are_handed_over_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    Journal.open(state).close()
    wrong = written(tmp_path, line(), line(review_id="r2", reviewer=3))
    assert cli.review(["add", str(wrong), "--state", str(state)]) == 1
    assert requests.reviews_waiting(state) == []
    assert "line 2: reviewer" in capsys.readouterr().err
    right = written(tmp_path, line(), line(review_id="r2", reviewer="ben", severity={"verdict": "low"}))
    assert cli.review(["add", str(right), "--state", str(state)]) == 0
    assert len(requests.reviews_waiting(state)) == 2


def test_what_is_stored_is_listed_and_exported_with_its_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, data = tmp_path / "state", b"an image"
    sha256 = hashlib.sha256(data).hexdigest()
    said = json.dumps(line(image={"path": "a.png", "name": "a.png", "sha256": sha256})).encode()
    with Journal.open(state) as journal:
        journal.reviews.add("r1", sha256, said, lambda _: b"{}")
        journal.reviews.add("r2", "a" * 64, json.dumps(line(review_id="r2")).encode(), lambda _: b"{}")
    place = state / "reviewed" / sha256
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(data)
    assert cli.review(["reviews", "--state", str(state), "--json"]) == 0
    listed = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(one["review_seq"], one["image"]["kept"]) for one in listed] == [(1, True), (2, False)]
    out = tmp_path / "out"
    assert cli.review(["export", "--out", str(out), "--state", str(state)]) == 1  # the other image is not there
    assert (out / "images" / "a.png").read_bytes() == data
    assert (out / "reviews.jsonl").read_bytes().splitlines()[0] == said
    assert cli.review(["export", "--out", str(out), "--state", str(state)]) == 1
    assert "not empty" in capsys.readouterr().err
