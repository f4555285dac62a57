"""Columns of a plot: one point an image, and where adaptation or models changed."""

from __future__ import annotations

from typing import Any

from edge.web.rows import Row
from edge.web.timeline import columns, sample_of


def row(number: int, path: str, **changed: Any) -> Row:
    nothing = dict.fromkeys(
        (
            "label",
            "own_class",
            "area_fraction",
            "area_lo",
            "area_hi",
            "density_per_mm2",
            "density_lo",
            "density_hi",
            "largest_um",
        )
    )
    more: dict[str, Any] = {
        "annealing_min": None,
        "exposure_h": None,
        "sample": {},
        "taught": None,
        "segmenter": "s",
        "classifier": "c",
        "settings_sha256": "s",
        "forgotten": False,
    }
    row = {"kind": "inspection", "id": f"i{number}", "ts_ms": number * 1000, "path": path, "place": path, "state": "judged"}
    return {**nothing, **more, **row, "needs_review": False, **changed}


def test_of_an_image_that_was_inspected_again_only_the_newest_verdict_is_a_point() -> None:
    told = columns([row(1, "a"), row(2, "b"), row(3, "a"), row(4, "c", kind="failure")], {"i3": 1})
    assert told["ids"] == ["i2", "i3"]
    assert told["reviewed"] == [0, 1]
    assert {len(column) for name, column in told.items() if name not in ("names", "switches", "forgotten")} == {2}


def test_nothing_gives_empty_columns() -> None:
    told = columns([], {})
    assert told["ids"] == told["switches"] == []
    assert told["names"] == {"taught": [], "models": [], "settings": []}


def test_a_switch_and_the_way_back_are_told_with_who_asked() -> None:
    asked = [
        {"fields": {"sha256": "t" * 64}, "at": 1.5, "who": "ann"},
        {"fields": "damaged", "at": 2.0, "who": "eve"},
        {"fields": {"sha256": None}, "at": 2.5, "who": None},
    ]
    told = columns([row(1, "a"), row(2, "b", taught="t" * 64), row(3, "c")], {}, asked)
    assert [(one["kind"], one["from"], one["to"], one["who"]) for one in told["switches"]] == [
        ("taught", None, "t" * 64, "ann"),
        ("taught", "t" * 64, None, None),
    ]
    assert told["taught"] == [0, 1, 0]
    assert told["names"]["taught"] == [None, "t" * 64]


def test_other_models_are_a_switch_too() -> None:
    told = columns([row(1, "a"), row(2, "b", segmenter="other")], {})
    assert [one["kind"] for one in told["switches"]] == ["models"]


def test_other_settings_are_a_switch_and_what_is_no_longer_kept_is_none() -> None:
    forgotten = row(2, "b", forgotten=True, segmenter=None, settings_sha256=None)
    told = columns([row(1, "a"), forgotten, row(3, "c"), row(4, "d", settings_sha256="other")], {})
    assert [(one["kind"], one["ts_ms"]) for one in told["switches"]] == [("settings", 4000)]
    assert told["forgotten"] == 1


def test_a_sample_is_called_by_all_that_its_path_says() -> None:
    assert sample_of(row(1, "a", annealing_min=60.0, sample={"field": "2", "coupon": "3"})) == "AN 60 min, coupon 3, field 2"
    assert sample_of(row(1, "a")) == ""
