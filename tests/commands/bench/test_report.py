"""What is printed and drawn says what the JSON says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from edge.commands.bench import report


def test_a_stage_is_named_in_the_picture_with_its_time_and_share(document: dict[str, Any]) -> None:
    drawn = ElementTree.fromstring(report.plot(document))
    tips = [element.text for element in drawn.iter() if element.tag.endswith("title")]
    classify = document["scenarios"][0]["stages"]["classify"]
    assert f"classify: {classify['mean']:.2f} ms, {classify['share']:.1%}" in tips


def test_warnings_and_a_missing_measurement_over_mqtt_are_told_in_the_table(document: dict[str, Any]) -> None:
    table = report.table({**document, "mqtt": {"reason": "no broker is there"}, "warnings": ["the clock was slow"]})
    assert "mqtt: not measured: no broker is there" in table
    assert table.endswith("warning: the clock was slow")


def test_the_picture_shows_every_scenario(measured: Path) -> None:
    drawn = ElementTree.fromstring(measured.with_suffix(".svg").read_text())
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert {"single-stream", "multi-stream", "offline", "classify"} <= set(texts)
    assert any(text and text.startswith("Latency, single-stream, onnxruntime") for text in texts)


def test_the_table_says_what_the_json_says(document: dict[str, Any]) -> None:
    table = report.table(document)
    assert f"single-stream, onnxruntime float32: {document['scenarios'][0]['throughput']:.2f} images/s" in table
    assert f"{document['stages']['classify']['mean']:.2f}" in table
    assert "h2d" not in table
