"""A verdict in, Sparkplug B payloads out: every metric with its name, alias and fixed datatype, null where unknown.

The metrics of the device are the keys of `edge.summary/2`, flags as Boolean and `ts` as DateTime, and the last failure below
`failure/`. Section numbers are those of the Sparkplug specification 3.0.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from edge import __version__
from edge.config import DeviceSettings
from edge.records import Inspection
from edge.wire.channel import Numbered
from edge.wire.encode import milliseconds, shorten
from edge.wire.sparkplug_b_pb2 import Payload
from edge.wire.summary import encode_summary

Value = int | float | bool | str | None
Place = tuple[str, int]
"""Epoch and seq of a verdict."""

LONGEST_MESSAGE: Final = 500
"""Characters of a failure's message; the rest is in the contract's `…/failure`."""


class DataType(IntEnum):
    """Of a metric or a property (6.4.16), as far as they are used here."""

    INT32 = 3
    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13


_FIELDS: Final[Mapping[DataType, str]] = {
    DataType.INT32: "int_value",
    DataType.INT64: "long_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATETIME: "long_value",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is declared once, in a birth. unit: as people write it; empty for none.  alias: None where none may be given."""

    name: str
    datatype: DataType
    alias: int | None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's value and when it was taken, ms since 1970."""

    value: Value
    at_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the device. place: of the newest verdict in it, None before the first."""

    place: Place | None
    readings: Mapping[str, Reading]


BDSEQ: Final = Metric("bdSeq", DataType.INT64, 1)
REBIRTH: Final = Metric("Node Control/Rebirth", DataType.BOOLEAN, None)
SOFTWARE: Final = Metric("Properties/Software", DataType.STRING, 2)
VERSION: Final = Metric("Properties/Version", DataType.STRING, 3)

_DEVICE: Final[tuple[tuple[str, DataType, str], ...]] = (
    ("epoch", DataType.STRING, ""),
    ("seq", DataType.INT64, ""),
    ("ts", DataType.DATETIME, ""),
    ("inspection_id", DataType.STRING, ""),
    ("image_name", DataType.STRING, ""),
    ("image_revision", DataType.INT64, ""),
    ("image_run", DataType.INT64, ""),
    ("alarm", DataType.BOOLEAN, ""),
    ("severity_state", DataType.STRING, ""),
    ("abstained", DataType.BOOLEAN, ""),
    ("severity", DataType.STRING, ""),
    ("severity_index", DataType.INT32, ""),
    ("severity_confidence", DataType.DOUBLE, ""),
    ("severity_reason", DataType.STRING, ""),
    ("severity_source", DataType.STRING, ""),
    ("needs_review", DataType.BOOLEAN, ""),
    ("area_fraction", DataType.DOUBLE, ""),
    ("area_fraction_lo", DataType.DOUBLE, ""),
    ("area_fraction_hi", DataType.DOUBLE, ""),
    ("region_count", DataType.INT64, ""),
    ("area_um2", DataType.DOUBLE, "µm²"),
    ("density_per_mm2", DataType.DOUBLE, "1/mm²"),
    ("largest_um2", DataType.DOUBLE, "µm²"),
    ("equivalent_diameter_mean_um", DataType.DOUBLE, "µm"),
    ("equivalent_diameter_p50_um", DataType.DOUBLE, "µm"),
    ("equivalent_diameter_p95_um", DataType.DOUBLE, "µm"),
    ("equivalent_diameter_max_um", DataType.DOUBLE, "µm"),
    ("annealing_min", DataType.DOUBLE, "min"),
    ("exposure_h", DataType.DOUBLE, "h"),
    ("pixel_size_nm", DataType.DOUBLE, "nm"),
    ("field_um2", DataType.DOUBLE, "µm²"),
    ("calibrated", DataType.BOOLEAN, ""),
    ("in_domain", DataType.BOOLEAN, ""),
    ("sharpness", DataType.DOUBLE, ""),
    ("total_ms", DataType.DOUBLE, "ms"),
    ("warnings_count", DataType.INT64, ""),
    ("backend", DataType.STRING, ""),
    ("failure/ts", DataType.DATETIME, ""),
    ("failure/id", DataType.STRING, ""),
    ("failure/image_name", DataType.STRING, ""),
    ("failure/code", DataType.STRING, ""),
    ("failure/message", DataType.STRING, ""),
)
DEVICE_METRICS: Final[Mapping[str, Metric]] = {
    name: Metric(name, datatype, alias, unit) for alias, (name, datatype, unit) in enumerate(_DEVICE, 101)
}
"""By name. An alias never changes: a new metric stands at the end."""

_BY_ALIAS: Final = {metric.alias: metric for metric in DEVICE_METRICS.values()}
NOTHING_TOLD: Final = Told(None, {})


def told_by_summary(summary: Mapping[str, Any]) -> Told:
    """What an `edge.summary/2` says, parsed: all metrics of an inspection."""
    at_ms, index = int(summary["ts_ms"]), summary.get("severity_index")
    alarm = (index is not None and index >= 2) or summary.get("abstained") == 1
    said = {**summary, "ts": at_ms, "alarm": alarm}
    values = {name: _converted(metric, said.get(name)) for name, metric in DEVICE_METRICS.items() if "/" not in name}
    epoch, seq = summary.get("epoch"), summary.get("seq")
    place = None if epoch is None or seq is None else (str(epoch), int(seq))
    return Told(place, {name: Reading(value, at_ms) for name, value in values.items()})


def told_by_verdict(numbered: Numbered, device: DeviceSettings) -> Told:
    """What one verdict says: all metrics of an inspection, or those of a failure."""
    verdict, place = numbered.verdict, (numbered.epoch, numbered.seq)
    if isinstance(verdict, Inspection):
        epoch, seq = place
        summary = encode_summary(verdict, inspection_id=numbered.verdict_id, epoch=epoch, seq=seq, device=device)
        return told_by_summary(json.loads(summary))
    at_ms = milliseconds(verdict.made_at)
    values: dict[str, Value] = {
        "epoch": numbered.epoch,
        "seq": numbered.seq,
        "failure/ts": at_ms,
        "failure/id": numbered.verdict_id,
        "failure/image_name": shorten(verdict.source.name, 120),
        "failure/code": verdict.code,
        "failure/message": shorten(verdict.message, LONGEST_MESSAGE),
    }
    return Told(place, {name: Reading(value, at_ms) for name, value in values.items()})


def _converted(metric: Metric, value: Any) -> Value:
    """A value of the summary as its datatype has it."""
    if value is None:
        return None
    kinds: Mapping[DataType, Callable[[Any], Value]] = {
        DataType.BOOLEAN: bool,
        DataType.DOUBLE: float,
        DataType.STRING: str,
    }
    return kinds.get(metric.datatype, int)(value)


# Payloads


def death(bdseq: int, at_ms: int) -> Payload:
    """NDEATH (6.4.25): bdSeq alone, without a sequence number."""
    payload = Payload(timestamp=at_ms)
    _put(payload, BDSEQ, Reading(bdseq, at_ms), declared=True).ClearField("alias")
    return payload


def node_birth(bdseq: int, at_ms: int) -> Payload:
    """NBIRTH (6.4.19): all that is said of the node."""
    payload = Payload(timestamp=at_ms)
    for metric, value in ((BDSEQ, bdseq), (REBIRTH, False), (SOFTWARE, "sem-corrosion-edge"), (VERSION, __version__)):
        _put(payload, metric, Reading(value, at_ms), declared=True)
    return payload


def device_birth(told: Told, at_ms: int) -> Payload:
    """DBIRTH (6.4.20): every metric with its present value, null where none is known."""
    payload = Payload(timestamp=at_ms)
    for name, metric in DEVICE_METRICS.items():
        _put(payload, metric, told.readings.get(name, Reading(None, at_ms)), declared=True)
    return payload


def device_death(at_ms: int) -> Payload:
    """DDEATH (6.4.26): no metric; its number comes when it is sent."""
    return Payload(timestamp=at_ms)


def device_data(told: Told) -> Payload:
    """DDATA (6.4.22) with every metric of one verdict, as the journal keeps it; see `as_sent`."""
    newest_ms = max(reading.at_ms for reading in told.readings.values())
    payload = Payload(timestamp=newest_ms)
    for name, reading in told.readings.items():
        _put(payload, DEVICE_METRICS[name], reading, declared=False)
    return payload


def said_by_data(payload: Payload) -> Told:
    """Back from `device_data`. What a later version declared, and this one does not know, is passed over."""
    readings: dict[str, Reading] = {}
    for one in payload.metrics:
        metric = _BY_ALIAS.get(one.alias)
        if metric is not None:
            value = None if one.is_null else getattr(one, _FIELDS[metric.datatype])
            readings[metric.name] = Reading(value, one.timestamp)
    epoch, seq = (readings.get(name) for name in ("epoch", "seq"))
    place = (str(epoch.value), int(seq.value or 0)) if epoch and seq else None
    return Told(place, readings)


def keep_changed(payload: Payload, told: Told) -> None:
    """Leave out of a DDATA what `told` says already: only changes may be sent (5.16)."""
    said = said_by_data(payload).readings
    known = {DEVICE_METRICS[name].alias for name, reading in said.items() if _same(told.readings.get(name), reading)}
    _keep(payload, (one for one in payload.metrics if one.alias not in known))


def mark_historical(payload: Payload) -> None:
    """Have a host take a DDATA for its history alone (6.4.6)."""
    for one in payload.metrics:
        one.is_historical = True


def _same(known: Reading | None, said: Reading) -> bool:
    return (None if known is None else known.value) == said.value  # what is not known was born null


def _keep(payload: Payload, metrics: Iterable[Any]) -> None:
    kept = [Payload.Metric.FromString(one.SerializeToString()) for one in metrics]
    payload.ClearField("metrics")
    payload.metrics.extend(kept)


def _put(payload: Payload, metric: Metric, reading: Reading, *, declared: bool) -> Any:
    """Add a metric. declared: with its name, datatype and unit, as births have it; else its alias stands for them."""
    one = payload.metrics.add(timestamp=reading.at_ms)
    if metric.alias is not None:
        one.alias = metric.alias
    if declared:
        one.name, one.datatype = metric.name, int(metric.datatype)
        if metric.unit:
            one.properties.keys.append("engUnit")
            one.properties.values.add(type=int(DataType.STRING), string_value=metric.unit)
    if reading.value is None:
        one.is_null = True
    else:
        setattr(one, _FIELDS[metric.datatype], reading.value)
    return one


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether an NCMD asks for births (5.17). Raises ValueError for what is no payload."""
    try:
        said: Sequence[Any] = Payload.FromString(payload).metrics
    except Exception as error:  # protobuf's DecodeError, which is no ValueError in every one of its implementations
        raise ValueError(f"no Sparkplug B payload: {error}") from error
    return any(one.name == REBIRTH.name and one.boolean_value for one in said)
