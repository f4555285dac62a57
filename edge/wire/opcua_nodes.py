"""An `edge.summary/2` in, what an OPC UA server shows of it out: nodes with datatype and unit, values, and one event.

The library stays out of here: a datatype is its name, a value what Python has for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import Any, Final, Literal

from edge.wire.inspection_documents import SummaryDocument

DataType = Literal["Boolean", "Int64", "Double", "String", "DateTime"]
Value = bool | int | float | str | datetime | None

SEVERITY_BY_INDEX: Final[Mapping[int, int]] = {0: 100, 1: 500, 2: 900}
"""The OPC UA Severity (Part 5, 6.4.2: 1 to 1000) of low, moderate and severe."""
SEVERITY_ABSTAINED: Final = 700
SEVERITY_OF_OWN_CLASS: Final = 300
"""For a class of the plant's own that stands for none of the three."""
ALARM_ABOVE: Final = 600
"""Whoever filters events by Severity has the alarm rule with what lies above this."""

UNECE: Final[Mapping[str, str]] = {"1": "C62", "µm": "4H", "nm": "C45", "min": "MIN", "h": "HUR", "ms": "C26"}
"""Common codes (UN/CEFACT Recommendation 20) of the units that have one."""


@dataclass(frozen=True, slots=True)
class Node:
    """One variable. name: its browse name and, as a string, its id.  unit: its symbol; empty for none."""

    name: str
    datatype: DataType
    description: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One verdict of severity. severity: as OPC UA counts it.  fields: of our own event type, by name."""

    severity: int
    message: str
    fields: Mapping[str, Value]


ALARM: Final = Node("alarm", "Boolean", "severity_index >= 2 or abstained: what an alarm should follow")
EVENT_FIELDS: Final[Mapping[str, DataType]] = {
    "severity": "String",
    "severity_index": "Int64",
    "abstained": "Boolean",
    "alarm": "Boolean",
    "area_fraction": "Double",
    "image_name": "String",
    "inspection_id": "String",
}
"""Of the event type. Its own Severity, Time and Message stand beside them, as each event has them."""


@cache
def nodes() -> tuple[Node, ...]:
    """The summary's keys in their order, flags as Boolean and `ts` as DateTime, then `alarm`."""
    properties = SummaryDocument.model_json_schema(mode="serialization", by_alias=True)["properties"]
    return (*(_node(name, properties[name]) for name in properties), ALARM)


def values(summary: Mapping[str, Any]) -> dict[str, Value]:
    """Of all nodes, by name; None where it is not known. summary: parsed."""
    said = {**summary, "alarm": alarm(summary)}
    return {node.name: _converted(node.datatype, said.get(node.name)) for node in nodes()}


def made_at(summary: Mapping[str, Any]) -> datetime:
    """When the verdict was made, in UTC."""
    return datetime.fromtimestamp(int(summary["ts_ms"]) / 1000, timezone.utc)


def alarm(summary: Mapping[str, Any]) -> bool:
    """The rule of every example: what is not known must not leave an older "severe" standing."""
    index = summary.get("severity_index")
    return (index is not None and index >= 2) or summary.get("abstained") == 1


def event(summary: Mapping[str, Any]) -> Event | None:
    """What an inspection's severity is told as; None where nothing judged."""
    if summary.get("severity_state") == "not_run":
        return None
    known = values(summary)
    index = summary.get("severity_index")
    if summary.get("abstained") == 1:
        severity, said = SEVERITY_ABSTAINED, f"not judged ({summary.get('severity_reason') or 'no reason'})"
    else:
        severity = SEVERITY_OF_OWN_CLASS if index is None else SEVERITY_BY_INDEX[index]
        said = str(summary.get("severity") or "a class of its own")
    fields = {name: known[name] for name in EVENT_FIELDS}
    return Event(severity, f"{summary.get('image_name')}: {said}", fields)


def parsed(summary: bytes) -> Mapping[str, Any]:
    """A stored `…/summary`. Raises ValueError for what is none."""
    found = json.loads(summary)
    if not isinstance(found, dict) or "ts_ms" not in found:
        raise ValueError("no summary of an inspection")
    return found


def unit_id(unit: str) -> int:
    """Of an EUInformation (Part 8, 5.6.4.3): the letters of the common code as one number, -1 where there is none."""
    code = UNECE.get(unit, "")
    return int.from_bytes(code.encode("ascii"), "big") if code else -1


def _node(name: str, schema: Mapping[str, Any]) -> Node:
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    return Node(name, _datatype(name, kinds[0]), str(schema.get("description", "")), str(schema.get("x-unit", "")))


def _datatype(name: str, schema: Mapping[str, Any]) -> DataType:
    if name == "ts":
        return "DateTime"
    if schema.get("enum") == [0, 1]:
        return "Boolean"
    by_type: Mapping[str, DataType] = {"integer": "Int64", "number": "Double"}
    return by_type.get(str(schema.get("type")), "String")


def _converted(datatype: DataType, value: Any) -> Value:
    if value is None:
        return None
    match datatype:
        case "Boolean":
            return bool(value)
        case "Int64":
            return int(value)
        case "Double":
            return float(value)
        case "DateTime":
            return datetime.fromisoformat(str(value).replace("Z", "+00:00"))  # 3.10 does not read the Z
        case "String":
            return str(value)
