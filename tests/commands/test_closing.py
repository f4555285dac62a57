"""The closing table of `edge-inspect` counts every row once."""

from __future__ import annotations

from edge.commands.closing import Closing
from edge.wire.flat import COLUMNS


def row(**said: object) -> dict[str, object]:
    return dict.fromkeys(COLUMNS) | {"severity_state": "judged"} | said


def test_every_row_is_counted_once_and_areas_are_averaged() -> None:
    closing = Closing()
    for one in (
        row(severity="low", area_fraction=0.1),
        row(severity="severe", area_fraction=0.3, needs_review=True),
        row(severity_state="abstained", area_fraction=0.2, needs_review=True),
        row(severity_state="failed"),
        row(severity_class="grade 7"),
    ):
        closing.add(one)
    lines = closing.lines(5, 5, 2.5)
    assert lines[0] == "5 files in 2.5 s"
    table = {line[:15].strip(): line[15:].strip() for line in lines[1:]}
    assert table == {
        "images": "5", "low": "1", "moderate": "0", "severe": "1", "grade 7": "1", "not judged": "1", "failed": "1",
        "to review": "2", "mean area": "20.00%", "an image": "0.50 s",
    }  # fmt: skip


def test_what_was_stopped_is_told_and_nothing_is_divided_by() -> None:
    lines = Closing().lines(0, 7, 0.0)
    assert lines[0] == "0 files in 0.0 s, stopped before the other 7"
    assert lines[-1].split() == ["an", "image", "-"]
