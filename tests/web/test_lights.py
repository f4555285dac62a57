"""A light tells what is wrong where it is wrong, and nothing is called fine that is not known."""

from __future__ import annotations

from typing import Any

import pytest

from edge.journal.problems import Told
from edge.service.cures import CURES
from edge.web.lights import LOW_DISK_BYTES, lights

FINE: dict[str, Any] = {"unsent": 0, "oldest_unsent": None}


def states(told: Told | None, info: dict[str, Any] | None = FINE, free: int | None = 1 << 40) -> dict[str, str]:
    return {light["name"]: light["state"] for light in lights(told, info, free, 1000.0, None)}


def running(*problems: str, connected: bool = True) -> Told:
    return Told(1, True, dict.fromkeys(problems, "do this"), {"connected": connected})


def test_all_is_fine() -> None:
    assert set(states(running()).values()) == {"good"}


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        ("cannot list the watched folder /a: gone", "folder"),
        ("no new image for 5 h", "folder"),
        ("the disk that holds /var is full", "disk"),
        ("the models are being loaded", "models"),
        ("the chosen adaptation is not used: damaged", "models"),
        ("gpu_lost: CUDA error 999", "models"),
        ("another client may use the MQTT client id x", "broker"),
        ("csv.folder /mnt/historian: does not answer; does the share or network behind it hang?", "unsent"),
        ("webhook.url lims: HTTP 503; 2 verdicts wait", "unsent"),
    ],
)
def test_a_reason_lights_the_light_that_it_belongs_to(problem: str, name: str) -> None:
    found = states(running(problem))
    assert found.pop(name) in ("warn", "bad")
    assert set(found.values()) == {"good"}


def test_a_service_that_does_not_run_is_not_known_to_be_fine() -> None:
    for told in (None, Told(1, False, {}, {})):
        found = states(told)
        assert {found[name] for name in ("folder", "models", "broker")} == {"unknown"}


def test_a_broker_that_is_away_is_red_and_what_waits_long_is_told() -> None:
    found = states(running(connected=False), {"unsent": 3, "oldest_unsent": 900.0})
    assert (found["broker"], found["unsent"]) == ("bad", "warn")
    assert states(running(), {"unsent": 3, "oldest_unsent": 999.0})["unsent"] == "good"


def test_little_space_and_a_journal_that_cannot_be_read_are_told() -> None:
    assert states(running(), free=LOW_DISK_BYTES - 1)["disk"] == "warn"
    assert states(running(), free=None)["disk"] == "unknown"
    assert states(running(), info=None)["unsent"] == "unknown"


def test_the_cure_comes_with_the_reason() -> None:
    (light,) = [one for one in lights(running("gpu_lost: x"), FINE, 1 << 40, 0.0, None) if one["name"] == "models"]
    assert light["cure"] == "do this"
    assert CURES


def test_what_waits_for_a_sink_says_why() -> None:
    reason = "webhook.url lims: HTTP 503; 2 verdicts wait"
    light = lights(running(reason), {"unsent": 2, "oldest_unsent": 999.0}, 1 << 40, 1000.0, None)[4]
    assert (light["state"], light["text"]) == ("warn", reason)
