"""Metrics: the summary's keys with a fixed type each, null where unknown, and what is new or history of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge.records import Inspection
from edge.wire import sparkplug_metrics as metrics
from edge.wire.channel import Numbered
from edge.wire.inspection_documents import SummaryDocument
from edge.wire.sparkplug_b_pb2 import Payload
from edge.wire.sparkplug_metrics import DEVICE_METRICS, NOTHING_TOLD, DataType, Told
from edge.wire.summary import encode_summary
from tests.wire.examples import (
    AT,
    DEVICE,
    EPOCH,
    ID,
    abstained,
    classified_only,
    example,
    failure,
    segmented_only,
    uncalibrated,
)

ALL = [example(), abstained(), classified_only(), segmented_only(), uncalibrated()]
FIELDS = {3: "int_value", 4: "long_value", 10: "double_value", 11: "boolean_value", 12: "string_value", 13: "long_value"}


def told(verdict: Inspection, seq: int = 1) -> Told:
    return metrics.told_by_verdict(Numbered(verdict, ID, EPOCH, seq), DEVICE)


def by_name(payload: Payload) -> dict[str, Payload.Metric]:
    return {one.name: one for one in payload.metrics}


def test_every_key_of_the_summary_is_a_metric() -> None:
    keys = {field.serialization_alias or name for name, field in SummaryDocument.model_fields.items()}
    in_the_topic = {"site", "area", "device_id", "schema", "ts_ms"}
    assert {name for name in DEVICE_METRICS if "/" not in name} == keys - in_the_topic | {"alarm"}


def test_an_alias_belongs_to_one_metric_for_ever() -> None:
    """A host that was away may have kept the births of an older version: new metrics stand at the end."""
    aliases = [metric.alias for metric in (*DEVICE_METRICS.values(), metrics.BDSEQ, metrics.SOFTWARE, metrics.VERSION)]
    assert len(set(aliases)) == len(aliases)
    known = {"epoch": 101, "ts": 103, "alarm": 108, "severity_index": 112, "area_fraction": 117, "backend": 137}
    assert {name: DEVICE_METRICS[name].alias for name in known} == known
    assert DEVICE_METRICS["failure/message"].alias == 142


@pytest.mark.parametrize("inspection", ALL)
def test_values_are_those_of_the_summary(inspection: Inspection) -> None:
    summary = json.loads(encode_summary(inspection, inspection_id=ID, epoch=EPOCH, seq=1, device=DEVICE))
    born = by_name(metrics.device_birth(told(inspection), 9))
    for name, metric in DEVICE_METRICS.items():
        if "/" in name or name in ("alarm", "ts"):
            continue
        assert born[name].is_null == (summary[name] is None), name
        assert born[name].datatype == metric.datatype
        if summary[name] is not None:
            assert getattr(born[name], FIELDS[metric.datatype]) == summary[name], name
    assert born["ts"].long_value == summary["ts_ms"]
    assert born["area_fraction"].timestamp == summary["ts_ms"]


def test_an_empty_text_is_a_value_and_not_unknown() -> None:
    born = by_name(metrics.device_birth(told(segmented_only()), 9))
    assert not born["severity_reason"].is_null
    assert born["severity_reason"].WhichOneof("value") == "string_value"


@pytest.mark.parametrize(("inspection", "alarm"), [(abstained(), True), (segmented_only(), False), (example(), False)])
def test_the_alarm_is_never_null(inspection: Inspection, alarm: bool) -> None:
    born = by_name(metrics.device_birth(told(inspection), 9))
    assert born["alarm"].boolean_value is alarm
    assert not born["alarm"].is_null


def test_severe_is_an_alarm() -> None:
    severity = example().severity
    assert severity is not None
    severe = replace(example(), severity=replace(severity, label="severe"))
    assert by_name(metrics.device_birth(told(severe), 9))["alarm"].boolean_value


def test_before_the_first_verdict_all_is_declared_and_null() -> None:
    born = metrics.device_birth(NOTHING_TOLD, 9)
    assert [one.name for one in born.metrics] == list(DEVICE_METRICS)
    assert all(one.is_null and one.datatype and one.timestamp == 9 for one in born.metrics)
    assert not any(one.WhichOneof("value") for one in born.metrics)


def test_units_are_properties_of_the_births() -> None:
    (unit,) = by_name(metrics.device_birth(NOTHING_TOLD, 9))["area_um2"].properties.values
    assert (unit.type, unit.string_value) == (DataType.STRING, "µm²")


@pytest.mark.parametrize("verdict", [*ALL, failure()])
def test_what_the_journal_keeps_is_read_back(verdict: Inspection) -> None:
    said = told(verdict, 7)
    payload = Payload.FromString(metrics.device_data(said).SerializeToString())
    assert metrics.said_by_data(payload) == said
    assert said.place == (EPOCH, 7)
    assert not any(one.name or one.datatype for one in payload.metrics)


def test_a_failure_changes_no_measure() -> None:
    said = metrics.told_by_verdict(Numbered(failure(), ID, EPOCH, 2), DEVICE)
    assert {"failure/code", "failure/message", "failure/id", "failure/ts", "failure/image_name"} < said.readings.keys()
    assert said.readings.keys() - {"epoch", "seq"} == {name for name in said.readings if name.startswith("failure/")}


def test_data_say_what_has_changed_and_nothing_else() -> None:
    before, now = told(example(), 1), told(abstained(), 2)
    payload = metrics.device_data(now)
    metrics.keep_changed(payload, before)
    names = metrics.said_by_data(payload).readings.keys()
    assert {"seq", "alarm", "severity", "abstained"} <= names
    assert not {"epoch", "area_fraction", "image_name", "backend"} & names
    assert all(before.readings[name].value != now.readings[name].value for name in names)


def test_a_value_of_a_later_version_is_passed_over() -> None:
    payload = metrics.device_data(told(example()))
    payload.metrics.add(alias=9_999, timestamp=1, double_value=1.0)
    assert metrics.said_by_data(payload) == told(example())


def test_the_death_has_its_number_alone() -> None:
    (one,) = metrics.death(255, 9).metrics
    assert (one.name, one.datatype, one.long_value, one.HasField("alias")) == ("bdSeq", DataType.INT64, 255, False)
    assert not metrics.death(0, 9).HasField("seq")


def test_times_are_the_verdicts() -> None:
    assert {reading.at_ms for reading in told(example()).readings.values()} == {int(AT.timestamp() * 1000)}


def test_what_asks_for_a_rebirth() -> None:
    def command(name: str, value: bool) -> bytes:
        payload = Payload(timestamp=1)
        payload.metrics.add(name=name, boolean_value=value)
        return bytes(payload.SerializeToString())

    assert metrics.asks_for_rebirth(command("Node Control/Rebirth", True))
    assert not metrics.asks_for_rebirth(command("Node Control/Rebirth", False))
    assert not metrics.asks_for_rebirth(command("Node Control/Reboot", True))
    assert not metrics.asks_for_rebirth(b"")
    with pytest.raises(ValueError, match="no Sparkplug B payload"):
        metrics.asks_for_rebirth(b'{"rebirth":true}')
