"""Boxes that share a server for their models lose no image and confuse none, whoever dies; two stand for twenty."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.models.card import BUILTIN_FOLDER
from tests.fakes.brokers import needs_mosquitto
from tests.fakes.v2_server import V2Server
from tests.service import twenty_boxes

pytestmark = [pytest.mark.broker, needs_mosquitto]


def test_each_image_of_each_box_has_one_verdict_of_its_own(tmp_path: Path) -> None:
    server = V2Server(*sorted(BUILTIN_FOLDER.glob("*.onnx")))
    counted = twenty_boxes.told(twenty_boxes.run(tmp_path, 2, 2, server))
    assert counted["wrong"] == []
    assert (counted["lost"], counted["failures"], counted["epochs"]) == (0, 0, 2)
    assert counted["images"] == counted["verdicts"] == counted["ids"] >= 12
