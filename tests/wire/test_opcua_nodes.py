"""What stands in each OPC UA node, and which event a verdict is, without any server."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from edge.wire.opcua_nodes import ALARM_ABOVE, EVENT_FIELDS, event, made_at, nodes, parsed, unit_id, values
from edge.wire.summary import encode_summary
from tests.wire.examples import DEVICE, EPOCH, ID, abstained, example, segmented_only


def summary(inspection: Any = None, **changed: Any) -> dict[str, Any]:
    body = encode_summary(inspection or example(), inspection_id=ID, epoch=EPOCH, seq=1, device=DEVICE)
    return {**parsed(body), **changed}


def test_each_key_of_a_summary_has_a_node_and_the_alarm_too() -> None:
    assert [node.name for node in nodes()] == [*summary(), "alarm"]
    assert all(node.description for node in nodes())


def test_types_follow_from_the_schema() -> None:
    types = {node.name: node.datatype for node in nodes()}
    assert {name for name, kind in types.items() if kind == "Boolean"} == {
        "abstained", "needs_review", "calibrated", "in_domain", "alarm",
    }  # fmt: skip
    assert (types["ts"], types["ts_ms"], types["seq"], types["area_fraction"]) == ("DateTime", "Int64", "Int64", "Double")
    assert types["epoch"] == "String"


def test_values_have_their_types_and_null_stays_null() -> None:
    known = values(summary(abstained()))
    kinds = {"Boolean": bool, "Int64": int, "Double": float, "String": str, "DateTime": datetime}
    for node in nodes():
        assert known[node.name] is None or type(known[node.name]) is kinds[node.datatype], node.name
    assert (known["severity"], known["severity_index"], known["abstained"], known["alarm"]) == (None, None, True, True)
    assert known["ts"] == made_at(summary(abstained()))


def test_a_whole_number_is_a_double_where_others_are() -> None:
    assert type(values(summary(area_um2=3))["area_um2"]) is float


@pytest.mark.parametrize(
    ("state", "index", "label", "severity"),
    [("judged", 0, "low", 100), ("judged", 1, "moderate", 500), ("judged", 2, "severe", 900), ("judged", None, None, 300)],
)
def test_severities_are_counted_as_opc_ua_counts_them(state: str, index: int | None, label: str | None, severity: int) -> None:
    told = event(summary(severity_state=state, severity_index=index, severity=label, abstained=0))
    assert told is not None
    assert told.severity == severity
    assert told.fields["alarm"] is (severity > ALARM_ABOVE)


def test_who_abstains_raises_the_alarm() -> None:
    told = event(summary(abstained()))
    assert told is not None
    assert told.severity > ALARM_ABOVE
    assert told.fields["alarm"] is True
    assert "not judged" in told.message
    assert set(told.fields) == set(EVENT_FIELDS)


def test_where_nothing_judged_there_is_no_event() -> None:
    assert event(summary(segmented_only())) is None


def test_units_have_the_numbers_of_their_common_codes() -> None:
    assert unit_id("ms") == 4403766  # "C26" as three bytes
    assert unit_id("µm²") == -1
    assert {node.unit for node in nodes()} == {"", "1", "ms", "min", "h", "nm", "µm", "µm²", "1/mm²"}


def test_what_is_no_summary_is_refused() -> None:
    with pytest.raises(ValueError):
        parsed(json.dumps([1]).encode())


def test_the_time_is_the_verdicts() -> None:
    assert made_at(summary()) == datetime(2024, 5, 1, 12, 0, 0, 123000, timezone.utc)
