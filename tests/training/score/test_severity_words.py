"""A simulated reviewer of severities: what it says, and what its words are worth on fields that it did not judge."""

from __future__ import annotations

from edge.config import CommandSettings
from edge.records import SEVERITIES
from tests.teach.fields_said import seen, spread
from training.score.severity_words import Field, score, summary, verdicts

SETTINGS = CommandSettings()


def fields(count: int, *, specimens: int = 0) -> list[Field]:
    levels = spread(count, 2)
    return [
        Field(f"{index % specimens if specimens else index}", seen(level, index), area=level / 5, largest=level)
        for index, level in enumerate(levels)
    ]


def test_the_reviewer_follows_one_rule() -> None:
    some = fields(40)
    for rule, names in (("area", set(SEVERITIES)), ("largest", set(SEVERITIES)), ("size", {"fine", "coarse"})):
        assert set(verdicts(some, rule)) == names
    by_area = verdicts(some, "area")
    assert all((word == "severe") == (one.area >= 0.08) for one, word in zip(some, by_area, strict=True))


def test_words_that_help_are_worth_something_on_other_fields() -> None:
    some = fields(50)
    row = score(some, verdicts(some, "largest"), 14, 0, SETTINGS)
    assert row is not None
    assert row["written"]
    assert row["after"] > row["before"]
    assert "1 written, 0 of them worse" in summary([row])


def test_too_few_words_and_no_other_specimen_give_no_row() -> None:
    some = fields(20)
    assert score(some, verdicts(some, "size"), 3, 0, SETTINGS) is None
    alike = fields(20, specimens=1)
    assert score(alike, verdicts(alike, "size"), 10, 0, SETTINGS) is None
    assert "too few" in summary([None])
