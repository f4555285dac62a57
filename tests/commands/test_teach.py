"""`edge-teach` as it is typed, and what `edge-inspect` then says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.commands.cli import inspect, teach
from edge.inspector import Inspector, label_image
from tests.service.running_daemon import valid
from tests.teach.making import brushed, brushed_away, decoys, review, spotted, truth_of, write_image, write_reviews


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def taught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *reviews: dict[str, Any], name: str = "plant.json"
) -> tuple[int, str, str]:
    (tmp_path / "images").mkdir(exist_ok=True)
    file = write_reviews(tmp_path / "reviews.jsonl", *reviews)
    words = ["--reviews", file, "--images", tmp_path / "images", "--out", tmp_path / name, "--json"]
    status = teach([str(word) for word in words])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def brushed_review(tmp_path: Path, seed: int) -> dict[str, Any]:
    """A review that brushes 5 of an image's dark spots, and as background the ground and 5 bright ones."""
    grey, spots = spotted(seed, bright=10)
    sha256 = write_image(tmp_path / "images", f"{seed}.png", grey)
    marks = brushed(spots[:5]) + brushed_away(decoys(seed, 14, 10)[:5])
    return review(f"{seed}.png", sha256, brushed=marks)


def test_a_few_strokes_on_one_image_find_more_on_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = taught(tmp_path, capsys, brushed_review(tmp_path, 1))
    document = json.loads(out)
    assert status == 0, document
    assert document["how"].startswith("same image, optimistic")
    assert document["after"]["pixels"]["iou"] > document["before"]["pixels"]["iou"]
    assert json.loads((tmp_path / "plant.json").read_text())["provisional"] is True
    brushed_review(tmp_path, 2)
    _, spots = spotted(2, bright=10)
    (tmp_path / "edge.toml").write_text(f'[models]\ntaught = "{tmp_path / "plant.json"}"\n')
    ious = []
    for config in (None, tmp_path / "edge.toml"):
        with Inspector(config, stages="segment") as inspector:
            labels = label_image(inspector.inspect(tmp_path / "images" / "2.png")) > 0
        truth = truth_of(spots)
        ious.append(float((labels & truth).sum() / (labels | truth).sum()))
    assert ious[1] > max(0.6, ious[0])


def test_an_inspection_names_the_adaptation_and_is_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert taught(tmp_path, capsys, brushed_review(tmp_path, 1))[0] == 0
    (tmp_path / "edge.toml").write_text(f'[models]\ntaught = "{tmp_path / "plant.json"}"\n')
    said = []
    for _ in range(2):
        assert inspect([str(tmp_path / "images"), "--json", "--config", str(tmp_path / "edge.toml")]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert valid(said[0])
    assert len(said[0]["model"]["taught"]["sha256"]) == 64
    assert all(0 <= region["score_network"] <= 1 for region in said[0]["regions"])
    for one in said:
        for passing in ("timing_ms", "ts", "ts_ms"):
            del one[passing]
    assert said[0] == said[1]


def test_an_earlier_adaptation_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = brushed_review(tmp_path, 1)
    assert taught(tmp_path, capsys, first)[0] == 0
    earlier = (tmp_path / "plant.json").read_bytes()
    assert taught(tmp_path, capsys, first)[0] == 0
    assert not (tmp_path / "plant.json.1").exists(), "the same again is no other one"
    assert taught(tmp_path, capsys, first, brushed_review(tmp_path, 2))[0] == 0
    assert (tmp_path / "plant.json.1").read_bytes() == earlier
    assert json.loads((tmp_path / "plant.json").read_text())["provisional"] is False


@pytest.mark.parametrize("kind", ["empty", "half", "other image", "other model", "one kind", "nothing", "thousand"])
def test_reviews_that_cannot_teach_are_a_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    good = brushed_review(tmp_path, 1)
    box = [5, 5, 9, 9]
    changed: dict[str, dict[str, Any]] = {
        "other image": {**good, "image": {**good["image"], "sha256": "3" * 64}},
        "other model": {
            **good,
            "model": {"segmenter": "4" * 64},
            "regions": [{"index": 0, "box_px": box, "verdict": "right"}],
        },
        "one kind": {**good, "brushed": [mark for mark in good["brushed"] if mark["class"] == "pit"]},
        "nothing": {**good, "brushed": []},
        "thousand": {**good, "missed": [{"point_px": [n % 300, n // 10]} for n in range(1000)]},
    }
    file = write_reviews(tmp_path / "reviews.jsonl", changed.get(kind, good))
    if kind in ("empty", "half"):
        file.write_bytes(b"" if kind == "empty" else file.read_bytes()[:100])
    status = teach(["--reviews", str(file), "--images", str(tmp_path / "images"), "--out", str(tmp_path / "plant.json")])
    told = capsys.readouterr().err.strip()
    assert status == 1
    assert told
    assert "Traceback" not in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "plant.json").exists()


def test_marked_regions_give_scores_of_their_own_and_leave_the_networks_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dark spots are right, bright ones are not corrosion, and the network finds both."""
    reviews = []
    for seed in (1, 2):
        grey, spots = spotted(seed, bright=14)
        sha256 = write_image(tmp_path / "images", f"{seed}.png", grey)
        assert inspect([str(tmp_path / "images" / f"{seed}.png"), "--json", "--stages", "segment"]) == 0
        found = json.loads(capsys.readouterr().out)["regions"]
        truth = truth_of(spots)
        marks = []
        for region in found:
            x, y, w, h = region["box_px"]
            said = "right" if truth[y + h // 2, x + w // 2] else "not_corrosion"
            marks.append({"index": region["index"], "box_px": region["box_px"], "verdict": said})
        reviews.append(review(f"{seed}.png", sha256, regions=marks))
    status, out, err = taught(tmp_path, capsys, *reviews)
    assert status == 0, err
    after = json.loads(out)["after"]["regions"]
    assert after["precision_at_recall_080"] > 0.9
    grey, spots = spotted(3, bright=14)
    write_image(tmp_path, "3.png", grey)
    (tmp_path / "edge.toml").write_text(f'[models]\ntaught = "{tmp_path / "plant.json"}"\n')
    assert inspect([str(tmp_path / "3.png"), "--json", "--stages", "segment", "--config", str(tmp_path / "edge.toml")]) == 0
    regions = json.loads(capsys.readouterr().out)["regions"]
    truth = truth_of(spots)
    right = [bool(truth[y + h // 2, x + w // 2]) for x, y, w, h in (region["box_px"] for region in regions)]
    assert sum(right) >= 10
    assert sum(right) > 0.8 * len(right)
    assert any(region["score"] != region["score_network"] for region in regions)
