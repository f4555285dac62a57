"""Status and health: what ails the daemon, in texts that fit."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from edge.wire import documents
from edge.wire.schema import json_schema
from edge.wire.status import encode_health, encode_status
from tests.wire.examples import AT, DEVICE, EPOCH, strict


def status(**changed: Any) -> Any:
    values: dict[str, Any] = {"state": "online", "reasons": [], "connected_at": None, "epoch": EPOCH}
    values |= {"last_seq": 0, "dead_letters": 0, "device": DEVICE, "at": AT}
    return strict(encode_status(**values | changed))


def test_a_reason_is_cut_and_always_text() -> None:
    (reason,) = status(state="degraded", reasons=["\udcff" + "x" * 400])["reasons"]
    assert len(reason) == 300
    assert reason.startswith("\\xff")
    assert reason.endswith("…")


def test_before_the_first_connection_there_is_no_moment_of_it() -> None:
    assert status()["connected_at"] is None


def test_a_last_will_counts_nothing_and_says_so() -> None:
    will = status(state="offline", last_seq=None, dead_letters=None)
    assert (will["last_seq"], will["dead_letters"]) == (None, None)
    jsonschema.validate(will, json_schema("status"), jsonschema.Draft202012Validator)


def test_a_figure_that_is_no_number_is_refused_by_name() -> None:
    memory = documents.MemoryFields(process_mib=1, available_mib=1)
    disk = documents.DiskFields(state_mib=1, free_mib=1)
    queue = documents.QueueFields(images_waiting=0, images_suspect=0, unsent=0, oldest_unsent_s=None, dead_letters=0)
    with pytest.raises(ValueError, match="uptime_s"):
        encode_health(
            uptime_s=float("nan"),
            queue=queue,
            memory=memory,
            disk=disk,
            gpu=None,
            latency_ms=None,
            clock_synced=None,
            versions={},
            today=documents.TodayFields(date="2024-05-01", inspections=0, failures=0),
            last_image_at=None,
            newest_dead_letter=None,
            quarantine=documents.QuarantineFields(given_up=0, crashed=0, suspects=0),
            problems={},
            device=DEVICE,
            at=AT,
        )
