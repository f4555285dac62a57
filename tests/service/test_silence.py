"""A microscope that falls silent is told, in the time in which images are expected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge import config
from edge.config import WatchSettings
from edge.journal import Journal
from edge.records import Fingerprint
from edge.service.silence import expected_s, silence
from tests.journal.examples import failure

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


def watch(**keys: Any) -> WatchSettings:
    return config.parse({"watch": {"folder": "/a", **keys}}, {}).watch


MONDAY = "2024-03-25"


@pytest.mark.parametrize(
    ("since", "until", "during", "hours"),
    [
        (f"{MONDAY} 08:00", f"{MONDAY} 20:00", [], 12),
        (f"{MONDAY} 08:00", f"{MONDAY} 20:00", ["mon-fri 06:00-18:00"], 10),
        (f"{MONDAY} 04:00", f"{MONDAY} 05:00", ["mon-fri 06:00-18:00"], 0),
        ("2024-03-22 17:00", f"{MONDAY} 07:00", ["mon-fri 06:00-18:00"], 2),  # over a weekend
        ("2024-03-22 17:00", f"{MONDAY} 07:00", ["fri-mon 06:00-18:00"], 26),  # a stretch over the week's end
        (f"{MONDAY} 00:00", "2024-03-26 00:00", ["mon 00:00-24:00"], 24),
        (f"{MONDAY} 20:00", "2024-03-26 08:00", ["mon 22:00-06:00"], 8),  # a night shift
        ("2024-03-26 01:00", "2024-03-26 08:00", ["mon 22:00-06:00"], 5),
        (f"{MONDAY} 00:00", "2024-03-26 00:00", ["mon 06:00-14:00", "mon 12:00-20:00"], 14),  # shifts overlap
        ("2024-03-30 12:00", "2024-03-31 12:00", ["sat-sun 00:00-24:00"], 23),  # the clocks go forward
        ("2024-01-31 12:00", "2024-02-01 12:00", ["wed-thu 00:00-24:00"], 24),  # a month ends
        (f"{MONDAY} 20:00", f"{MONDAY} 08:00", [], 0),  # a clock that went back
        (f"{MONDAY} 20:00", f"{MONDAY} 08:00", ["mon 00:00-24:00"], 0),
    ],
)
def test_hours_in_which_images_are_expected(since: str, until: str, during: list[str], hours: float) -> None:
    assert expected_s(local(since), local(until), during) == hours * HOUR_S


def test_decades_are_added_up_at_once() -> None:
    assert expected_s(0.0, 2e9, ["mon-sun 00:00-24:00"]) == pytest.approx(400 * 86400, rel=0.01)


def at_monday(journal: Journal, name: str, hour: int) -> None:
    journal._database.write(
        lambda: journal._database.execute("UPDATE meta SET value = ?", str(local(f"{MONDAY} {hour:02}:00")))
    )
    journal.ledger.admit(name, Fingerprint(1, 1))
    journal.ledger._clock = lambda: local(f"{MONDAY} {hour:02}:00")
    journal.ledger.conclude(name, failure(name))


def test_silence_is_told_with_the_last_image_and_ends_with_the_next(journal: Journal) -> None:
    keys = watch(expect_every_h=4)
    at_monday(journal, "a.tif", 8)
    assert silence(keys, journal, local(f"{MONDAY} 12:00")) is None
    text = silence(keys, journal, local(f"{MONDAY} 12:01"))
    assert text is not None
    assert "no new image for 4 h (the last at 2024-03-25 08:00)" in text
    assert text == silence(keys, journal, local(f"{MONDAY} 19:00"))  # else the status would change all the time
    at_monday(journal, "b.tif", 13)
    assert silence(keys, journal, local(f"{MONDAY} 14:00")) is None


def test_by_default_and_outside_of_shifts_nothing_is_told(journal: Journal) -> None:
    at_monday(journal, "a.tif", 8)
    assert silence(watch(), journal, local("2024-06-01 00:00")) is None
    keys = watch(expect_every_h=4, expect_during=["mon-fri 06:00-09:00"])
    assert silence(keys, journal, local("2024-03-26 08:59")) is None
    assert silence(keys, journal, local("2024-03-26 09:00")) is None  # 1 h + 3 h
    assert silence(keys, journal, local("2024-03-27 06:01")) is not None


def test_an_image_that_waits_has_come_and_a_suspect_is_none(journal: Journal) -> None:
    keys = watch(expect_every_h=4)
    at_monday(journal, "a.tif", 8)
    journal.ledger.admit("b.tif", Fingerprint(1, 1))
    assert silence(keys, journal, local(f"{MONDAY} 19:00")) is None
    journal.ledger.begin("b.tif")
    assert silence(keys, journal, local(f"{MONDAY} 19:00")) is None
    journal.ledger.recover()
    assert silence(keys, journal, local(f"{MONDAY} 19:00")) is not None


def test_before_the_first_image_time_counts_from_the_first_look(journal: Journal) -> None:
    keys = watch(expect_every_h=4)
    assert silence(keys, journal, local(f"{MONDAY} 08:00")) is None
    journal.ledger._clock = lambda: local(f"{MONDAY} 08:00")
    journal.ledger.admit_many([])
    assert silence(keys, journal, local(f"{MONDAY} 11:00")) is None
    assert "none ever" in (silence(keys, journal, local(f"{MONDAY} 13:00")) or "")


def test_a_repeat_that_was_asked_for_is_no_new_image(journal: Journal) -> None:
    at_monday(journal, "a.tif", 8)
    journal.ledger.again("a.tif-1")
    journal.ledger._clock = lambda: local(f"{MONDAY} 18:00")
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", failure("a.tif"))
    assert silence(watch(expect_every_h=4), journal, local(f"{MONDAY} 19:00")) is not None
