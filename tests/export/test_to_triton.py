"""A model repository for Triton: read as protobuf reads it, and found by a box that asks for its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from edge.backends import kserve
from edge.backends.answer import OUTPUTS
from edge.errors import ConfigError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from export.cli import main
from export.to_triton import configuration, write

SEGMENTER, CLASSIFIER = BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx"


def parsed(text: str) -> Any:
    pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse(text, pb2.ModelConfig())


@pytest.mark.parametrize(("model", "task"), [(SEGMENTER, "segment"), (CLASSIFIER, "classify")])
def test_a_folder_is_what_triton_reads(model: Path, task: Literal["segment", "classify"], tmp_path: Path) -> None:
    folder = write(model, task, tmp_path / "models")
    card = load_card(model, task)
    config = parsed((folder / "config.pbtxt").read_text(encoding="utf-8"))
    assert folder.name == config.name == kserve.served_name(model.stem, card.sha256)
    assert (folder / "1" / "model.onnx").read_bytes() == model.read_bytes()
    assert config.parameters["sha256"].string_value == card.sha256
    assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert {output.name for output in config.output} == OUTPUTS[task].keys()


@pytest.mark.parametrize(("model", "task"), [(SEGMENTER, "segment"), (CLASSIFIER, "classify")])
def test_its_shapes_and_types_are_those_of_the_file(model: Path, task: Literal["segment", "classify"]) -> None:
    onnx = pytest.importorskip("onnx")
    config = parsed(configuration("a", task, load_card(model, task)))
    graph = onnx.load(str(model)).graph
    kinds = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT64: "TYPE_INT64", onnx.TensorProto.UINT8: "TYPE_UINT8"}
    for declared, real in zip([*config.input, *sorted(config.output, key=lambda one: one.name)],
                              [*graph.input, *sorted(graph.output, key=lambda one: one.name)], strict=True):  # fmt: skip
        tensor = real.type.tensor_type
        sides = [dimension.dim_value for dimension in tensor.shape.dim][1:]
        assert declared.name == real.name
        assert (
            config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number[declared.data_type].name
            == kinds[tensor.elem_type]
        )
        assert len(declared.dims) == len(sides)
        assert all(side == 0 or said in (-1, side) for said, side in zip(declared.dims, sides, strict=True))


def test_two_versions_stand_side_by_side_and_one_is_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "segmenter-older").mkdir()
    for _ in range(2):
        assert main(["triton", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert len(sorted(tmp_path.iterdir())) == 3


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(SEGMENTER, "segment", tmp_path / "file")
    with pytest.raises(ModelError):
        write(SEGMENTER, "classify", tmp_path / "models")
    assert main(["triton", "--segmenter", str(tmp_path / "none.onnx"), "--out", str(tmp_path)]) != 0
