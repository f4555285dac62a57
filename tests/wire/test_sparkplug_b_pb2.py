"""Generated code: from the .proto beside it, and the bytes that the specification's field numbers give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.wire.sparkplug_b_pb2 import Payload
from tests import ROOT

WIRE = ROOT / "edge" / "wire"


def test_it_is_what_the_compiler_makes_of_the_proto(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools 1.76.0 is not installed")
    out = [f"--proto_path={WIRE}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "sparkplug_b.proto"]
    assert protoc.main(["protoc", *out]) == 0
    for name in ("sparkplug_b_pb2.py", "sparkplug_b_pb2.pyi"):
        made, ours = (tmp_path / name).read_text(), (WIRE / name).read_text()
        if made.partition("# Protobuf Python Version")[2][:12] != ours.partition("# Protobuf Python Version")[2][:12]:
            pytest.skip("grpcio-tools 1.76.0 is not installed")
        assert made == ours


def test_fields_have_the_numbers_of_the_specification() -> None:
    payload = Payload(timestamp=1, seq=2)
    metric = payload.metrics.add(name="n", alias=3, timestamp=4, datatype=5, is_historical=True, is_null=True)
    metric.properties.keys.append("k")
    metric.properties.values.add(type=12, string_value="v")
    metric.double_value = 1.0
    value = b"\x08\x0c\x42\x01v"
    properties = b"\x0a\x01k\x12" + bytes([len(value)]) + value
    told = b"\x0a\x01n\x10\x03\x18\x04\x20\x05\x28\x01\x38\x01\x4a" + bytes([len(properties)]) + properties
    told += b"\x69\x00\x00\x00\x00\x00\x00\xf0\x3f"
    assert payload.SerializeToString() == b"\x08\x01\x12" + bytes([len(told)]) + told + b"\x18\x02"


def test_what_it_does_not_know_is_skipped() -> None:
    template = b"\x92\x01\x02\x28\x01"  # field 18 of a metric, as a host may send
    metric = b"\x0a\x01n" + template
    read = Payload.FromString(b"\x12" + bytes([len(metric)]) + metric)
    assert [one.name for one in read.metrics] == ["n"]


def test_it_runs_without_a_warning_with_the_library_that_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import edge.wire.sparkplug_b_pb2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
