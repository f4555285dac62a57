"""What the page for Ignition says of nulls: exactly those keys are never null, and the first images can lack all others."""

from __future__ import annotations

import re

from edge.wire import schema
from tests import ROOT
from tests.wire.examples import abstained, classified_only, summarised, uncalibrated

PAGE = (ROOT / "docs" / "use" / "ignition.md").read_text(encoding="utf-8")


def never_null() -> set[str]:
    found = set()
    for name, told in schema.json_schema("summary")["properties"].items():
        if {"type": "null"} not in told.get("anyOf", ()):
            found.add(name)
    return found


def test_the_page_names_the_keys_that_are_never_null() -> None:
    said = PAGE.split("are never null", 1)[1].split("All others", 1)[0]
    assert set(re.findall(r"`(\w+)`", said)) == never_null()


def test_first_images_leave_tags_without_a_type_as_the_page_says() -> None:
    missing = {name for one in (abstained(), uncalibrated()) for name, value in summarised(one).items() if value is None}
    assert {"severity", "severity_index", "severity_confidence", "area_um2", "pixel_size_nm"} <= missing
    assert not missing & never_null()
    assert not {name for name, value in summarised(classified_only()).items() if value is None} & never_null()


def test_the_alarm_reads_both_keys_and_says_what_a_missing_number_is() -> None:
    (alarm,) = re.findall(r"^coalesce.*$", PAGE, re.MULTILINE)
    asked = re.findall(r'"(\w+)"\), (-?\d)\) (\S+) (\d)', alarm)
    assert asked == [("abstained", "0", "=", "1"), ("severity_index", "-1", ">=", "2")]
