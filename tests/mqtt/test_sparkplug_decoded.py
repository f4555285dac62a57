"""What the node said, read by a decoder that others wrote: the names, types and values are those that we meant.

It is pysparkplug, in an environment of its own, because it pins an old protobuf. SPARKPLUG_PYTHON names that python.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.wire.sparkplug_metrics import DEVICE_METRICS
from tests.fakes.brokers import needs_mosquitto
from tests.mqtt.sparkplug_life import Life, whole_life

PYTHON = os.environ.get("SPARKPLUG_PYTHON", "")
DECODER = """
import datetime, json, sys
import pysparkplug as spb
kinds = {"NBIRTH": spb.NBirth, "DBIRTH": spb.DBirth, "DDATA": spb.DData, "NDEATH": spb.NDeath, "DDEATH": spb.DDeath}
birth = None
for line in sys.stdin:
    kind, data = line.split()
    payload = kinds[kind].decode(bytes.fromhex(data), birth=birth)
    if kind == "DBIRTH":
        birth = payload
    metrics = [payload.bd_seq_metric] if kind == "NDEATH" else getattr(payload, "metrics", [])
    told = {}
    for one in metrics:
        value = one.value
        if isinstance(value, datetime.datetime):
            value = round(value.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)
        told[one.name] = [one.datatype.name, value, one.is_null, one.is_historical, one.timestamp]
    print(json.dumps({"kind": kind, "seq": getattr(payload, "seq", None), "metrics": told}))
"""

pytestmark = [
    needs_mosquitto,
    pytest.mark.skipif(not PYTHON, reason="no python with pysparkplug: set SPARKPLUG_PYTHON"),
]


def decoded(life: Life) -> list[dict[str, Any]]:
    lines = "\n".join(f"{said.kind} {said.publication.payload.hex()}" for said in life.said)
    command = [PYTHON, "-I", "-c", DECODER]
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC"}
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_another_decoder_reads_what_we_meant(tmp_path: Path) -> None:
    life = whole_life(tmp_path, 5)
    read = decoded(life)
    assert [one["kind"] for one in read] == [said.kind for said in life.said]
    for one, said in zip(read, life.said, strict=True):
        assert (one["seq"] or 0) == said.payload.seq
        assert one["metrics"].keys() == said.metrics.keys()
        for name, (datatype, value, is_null, is_historical, at_ms) in one["metrics"].items():
            ours = said.metrics[name]
            assert (value, is_null, is_historical, at_ms) == (
                said.values[name],
                ours.is_null,
                ours.is_historical,
                ours.timestamp,
            ), name
            if name in DEVICE_METRICS:
                assert datatype == DEVICE_METRICS[name].datatype.name
