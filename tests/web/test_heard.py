from __future__ import annotations

import json
from typing import Any

from edge.web.heard import MOST_ROWS, SILENT_S, Heard

PREFIX = "plant/lab/sem/one"


def failure(seq: int, **more: Any) -> bytes:
    image, error = {"name": f"{seq}.tif", "path": f"{seq}.tif"}, {"code": "unreadable", "message": "cut short"}
    said = {"schema": "edge.failure/1", "epoch": "e", "seq": seq, "ts_ms": 1000 + seq, "failure_id": f"f{seq}"}
    return json.dumps({**said, "image": image, "error": error, **more}).encode()


def status(state: str, *reasons: str) -> bytes:
    return json.dumps({"schema": "edge.status/1", "ts_ms": 1, "state": state, "reasons": reasons, "version": "1"}).encode()


def test_a_verdict_is_taken_once_and_gaps_are_told() -> None:
    heard = Heard(PREFIX, 0.0)
    assert isinstance(heard.take("failure", failure(1), 1.0), dict)
    assert heard.take("failure", failure(1), 1.0) is None
    assert isinstance(heard.take("failure", failure(4), 1.0), dict)
    assert heard.problems(True, 1.0)["gaps"] == [{"epoch": "e", "first": 2, "last": 3}]


def test_a_tombstone_closes_its_gap_and_is_a_dead_letter() -> None:
    heard = Heard(PREFIX, 0.0)
    heard.take("failure", failure(1), 1.0)
    heard.take("failure", failure(3), 1.0)
    dead = {"schema": "edge.tombstone/1", "ts_ms": 5, "epoch": "e", "seq": 2, "kind": "inspection", "verdict_id": "x"}
    assert heard.take("failure", json.dumps({**dead, "reason": "too large"}).encode(), 1.0)
    problems = heard.problems(True, 1.0)
    assert problems["gaps"] == []
    assert [one["reason"] for one in problems["dead_letters"]] == ["too large"]


def test_states() -> None:
    heard = Heard(PREFIX, 100.0)
    assert heard.state(100.0, True) == "unknown"
    heard.take("status", status("online"), 100.0)
    assert heard.state(101.0, True) == "online"
    assert heard.state(101.0, False) == "unknown"
    assert heard.state(101.0 + SILENT_S, True) == "silent"
    heard.take("health", b'{"schema": "edge.health/1", "ts_ms": 1}', 200.0)
    assert heard.state(201.0, True) == "online"
    heard.take("status", status("offline", "the connection was lost"), 202.0)
    assert heard.state(900.0, True) == "offline"
    assert heard.tile(900.0, True, "")["reasons"] == [{"text": "the connection was lost", "cure": None}]


def test_the_oldest_verdicts_go_and_the_count_of_bytes_follows() -> None:
    heard = Heard(PREFIX, 0.0)
    for seq in range(MOST_ROWS + 50):
        heard.take("failure", failure(seq), 1.0)
    assert len(heard.rows) == MOST_ROWS
    assert heard.rows.get("f0") is None
    while heard.forget_oldest():
        pass
    assert len(heard.rows) == 1
    assert 0 < heard.bytes < 10_000


def test_the_retained_summary_shows_until_a_verdict_comes() -> None:
    heard = Heard(PREFIX, 0.0)
    said = {"schema": "edge.summary/2", "epoch": "e", "seq": 1, "ts_ms": 7, "inspection_id": "i", "image_name": "<b>"}
    assert heard.take("summary", json.dumps({**said, "severity_state": "judged", "severity": "low"}).encode(), 1.0)
    newest = heard.newest()
    assert newest is not None
    assert (newest["summary_only"], newest["label"], newest["name"]) == (True, "low", "<b>")


def test_wrong_types_within_facts_do_no_harm() -> None:
    heard = Heard(PREFIX, 0.0)
    odd = {"queue": [], "disk": "x", "today": 3, "quarantine": None, "problems": [1, {"text": []}]}
    heard.take("health", json.dumps({"schema": "edge.health/1", "ts_ms": 1, **odd}).encode(), 1.0)
    heard.take(
        "status", json.dumps({"schema": "edge.status/1", "ts_ms": 1, "state": "online", "reasons": {"a": 1}}).encode(), 1.0
    )
    json.dumps([heard.tile(2.0, True, ""), heard.now(2.0, True, ""), heard.problems(True, 2.0)], allow_nan=False)
