"""The FP16 graph: valid, near float32, float32 where it must be, and honest about weights that FP16 cannot hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.backends.onnx_session import OnnxSession
from edge.errors import ModelError
from edge.inspection.segment import Segmenter, views
from edge.models.card import BUILTIN_FOLDER, ModelCard, load_card
from edge.records import Grey
from edge.samples import sample_micrographs
from export import fp16

FLOAT, FLOAT16, UINT8, INT64 = 1, 10, 2, 7
SEGMENTER, CLASSIFIER = BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx"


def node_types(model: Any) -> Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Element types (onnx.TensorProto) of every node's inputs and outputs, by the node's name; 0 where there is none."""
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    graph = typed.graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    types |= {weight.name: weight.data_type for weight in graph.initializer}
    return {
        node.name: (tuple(types.get(n, 0) for n in node.input), tuple(types.get(n, 0) for n in node.output))
        for node in graph.node
    }


@pytest.fixture(scope="module")
def segmenter() -> fp16.HalfGraph:
    return fp16.convert(SEGMENTER)


@pytest.fixture(scope="module")
def classifier() -> fp16.HalfGraph:
    return fp16.convert(CLASSIFIER)


@pytest.fixture(scope="module")
def both(segmenter: fp16.HalfGraph, classifier: fp16.HalfGraph) -> dict[str, fp16.HalfGraph]:
    return {"segmenter": segmenter, "classifier": classifier}


@pytest.fixture(scope="module")
def grey() -> Grey:
    return sample_micrographs()[0].grey


def saved(half: fp16.HalfGraph, folder: Path) -> Path:
    path = folder / "half.onnx"
    onnx.save(half.model, path)
    return path


def computes_in(half: fp16.HalfGraph, name: str) -> set[int]:
    """Float types of the inputs and outputs of the node of this name."""
    given, taken = node_types(half.model)[name]
    return {kind for kind in (*given, *taken) if kind in (FLOAT, FLOAT16)}


# --- the shipped models ----------------------------------------------------------------------------------------------


def test_masks_and_boxes_of_the_fp16_graph_are_near_those_in_float32(
    segmenter: fp16.HalfGraph, grey: Grey, tmp_path: Path
) -> None:
    card = load_card(SEGMENTER, "segment")
    canvas = next(iter(views(grey, card))).canvas
    with OnnxSession(SEGMENTER) as reference, OnnxSession(saved(segmenter, tmp_path)) as candidate:
        ours, theirs = (network.run(canvas[None, None]) for network in (reference, candidate))
        sure = ours["scores"][0] >= 0.25
        assert sure.any()
        like = [np.hstack((side["boxes"][0], side["coefficients"][0])) for side in (ours, theirs)]
        match = [int(np.abs(like[1] - one).sum(axis=1).argmin()) for one in like[0][sure]]
        assert np.abs(ours["boxes"][0][sure] - theirs["boxes"][0][match]).max() < 1.0
        drawn = [union(network, card, grey) for network in (reference, candidate)]
    assert drawn[0].any()
    assert np.count_nonzero(drawn[0] & drawn[1]) / np.count_nonzero(drawn[0] | drawn[1]) > 0.98


def union(network: OnnxSession, card: ModelCard, grey: Grey) -> Any:
    regions, _ = Segmenter(network, card, confidence=0.25, iou=0.7).find(grey)
    canvas = np.zeros(grey.shape, np.bool_)
    for (x, y, width, height), mask in zip(regions.boxes_px.tolist(), regions.masks, strict=True):
        canvas[y : y + height, x : x + width] |= mask
    return canvas


def test_logits_maps_and_embedding_of_the_fp16_graph_are_near_those_in_float32(
    classifier: fp16.HalfGraph, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 1, 224, 224), dtype=np.uint8)
    with OnnxSession(CLASSIFIER) as reference, OnnxSession(saved(classifier, tmp_path)) as candidate:
        expected, found = reference.run(image), candidate.run(image)
    for name, values in expected.items():
        assert np.abs(values - found[name]).max() < 0.02 * np.abs(values).max(), name


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_inputs_and_outputs_keep_names_types_and_shapes(both: dict[str, fp16.HalfGraph], name: str) -> None:
    before = onnx.load(BUILTIN_FOLDER / f"{name}.onnx").graph
    after = both[name].model.graph
    assert [value.SerializeToString() for value in before.input] == [value.SerializeToString() for value in after.input]
    for old, new in zip(before.output, after.output, strict=True):
        assert (old.name, old.type.tensor_type.elem_type) == (new.name, new.type.tensor_type.elem_type)
        assert [d.dim_param or d.dim_value for d in old.type.tensor_type.shape.dim] == [
            d.dim_param or d.dim_value for d in new.type.tensor_type.shape.dim
        ]


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_every_convolution_computes_in_fp16(both: dict[str, fp16.HalfGraph], name: str) -> None:
    half = both[name]
    convolutions = [node.name for node in half.model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) > 50
    assert set(convolutions) <= set(half.half)
    assert all(computes_in(half, node) == {FLOAT16} for node in convolutions)


@pytest.mark.parametrize("node", ["/box_decode/Softmax", "/box_decode/ReduceSum", "/box_decode/Sub", "/Sigmoid", "/Div"])
def test_box_decoding_scores_and_the_scaling_of_the_image_stay_float32(segmenter: fp16.HalfGraph, node: str) -> None:
    assert node in segmenter.islands
    assert computes_in(segmenter, node) == {FLOAT}


def test_nothing_of_box_decoding_computes_in_fp16(segmenter: fp16.HalfGraph) -> None:
    assert not [name for name in segmenter.half if name.startswith("/box_decode/")]


def test_pooling_and_the_embeddings_mean_and_spread_stay_float32(classifier: fp16.HalfGraph) -> None:
    nodes = [node.name for node in classifier.model.graph.node if node.op_type in ("ReduceMean", "Sqrt")]
    assert len(nodes) == 29
    assert all(computes_in(classifier, node) == {FLOAT} for node in nodes)


def test_candidates_are_picked_in_fp16_before_the_few_that_are_left_become_float32(segmenter: fp16.HalfGraph) -> None:
    assert FLOAT16 in computes_in(segmenter, "/TopK")
    assert FLOAT not in computes_in(segmenter, "/TopK")


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_the_graph_is_about_half_the_size(both: dict[str, fp16.HalfGraph], name: str) -> None:
    before = (BUILTIN_FOLDER / f"{name}.onnx").stat().st_size
    assert len(both[name].model.SerializeToString()) < 0.6 * before


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_the_shipped_weights_fit_and_their_denormals_are_named(both: dict[str, fp16.HalfGraph], name: str) -> None:
    half = both[name]
    assert not half.kept_weights
    assert half.weights
    assert all(weight.subnormal and weight.name in str(weight) for weight in half.weights)


def test_constants_are_folded_first(segmenter: fp16.HalfGraph) -> None:
    assert not [node.name for node in segmenter.model.graph.node if node.op_type == "Constant"]


# --- small graphs ----------------------------------------------------------------------------------------------------


def graph(weight: Any, *, conv: str = "/body/conv/Conv") -> Any:
    """uint8 image → /scale/Cast, a 1 × 1 convolution of this weight, a sum over it → y float32, z float32."""
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("Cast", ["image"], ["x"], name="/Cast", to=FLOAT),
        make("Conv", ["x", "w"], ["y"], name=conv),
        make("ReduceMean", ["y"], ["z"], name="/body/ReduceMean", axes=[2, 3], keepdims=0),
    ]
    inputs = [tensor("image", UINT8, ["N", 1, "H", "W"])]
    outputs = [tensor("y", FLOAT, ["N", 2, "H", "W"]), tensor("z", FLOAT, ["N", 2])]
    weights = [onnx.numpy_helper.from_array(np.asarray(weight, np.float32).reshape(2, 1, 1, 1), "w")]
    opset = [onnx.helper.make_opsetid("", 17)]
    made = onnx.helper.make_graph(nodes, "small", inputs, outputs, weights)
    return onnx.helper.make_model(made, opset_imports=opset, ir_version=8)


def test_a_value_that_is_both_an_output_and_used_further_on_is_float32_for_both() -> None:
    half = fp16.convert_folded(graph([0.5, -2.0]))
    assert half.half == ("/body/conv/Conv",)
    assert computes_in(half, "/body/ReduceMean") == {FLOAT}
    assert [value.name for value in half.model.graph.output] == ["y", "z"]


@pytest.mark.parametrize("value", [1e5, -7e4, float("inf"), float("nan")])
def test_an_overflowing_weight_is_named_and_stays_float32(value: float) -> None:
    with pytest.raises(ModelError, match="no layer"):  # it is the only one
        fp16.convert_folded(graph([value, 1.0]))
    rounded = fp16.round_weight("w", np.array([value, 1.0], np.float32))
    assert rounded is not None
    assert not rounded.fits
    assert str(rounded).startswith("w: 1 of 2 values are beyond")


def test_the_layer_of_a_weight_that_does_not_fit_stays_float32_and_the_others_do_not() -> None:
    model = graph([1e5, 1.0])
    nodes = model.graph.node
    nodes[2].input[0] = "u"
    nodes.insert(2, onnx.helper.make_node("Conv", ["y", "v"], ["u"], name="/body/second/Conv"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "v"))
    half = fp16.convert_folded(model)
    assert [weight.name for weight in half.kept_weights] == ["w"]
    assert (half.half, "/body/conv/Conv" in half.islands) == (("/body/second/Conv",), True)
    assert computes_in(half, "/body/conv/Conv") == {FLOAT}


def test_a_value_that_would_overflow_on_an_image_stays_float32_with_the_nodes_around_it() -> None:
    model = graph([300.0, 1.0])  # times 255 is beyond 65504
    nodes = model.graph.node
    nodes[2].input[0] = "s"
    add = onnx.helper.make_node
    nodes.insert(2, add("Mul", ["y", "v"], ["u"], name="/body/second/Mul"))
    nodes.insert(3, add("Mul", ["u", "v"], ["s"], name="/body/third/Mul"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full(1, 1e-3, np.float32), "v"))
    dark, bright = (np.full((1, 1, 4, 4), level, np.uint8) for level in (1, 255))
    assert not fp16.wide_values(model, [dark])
    wide = fp16.wide_values(model, [dark, bright])
    assert wide == {"y": 300.0 * 255}
    half = fp16.convert_folded(model, wide)
    assert half.half == ("/body/third/Mul",)
    assert {"/body/conv/Conv", "/body/second/Mul"} <= set(half.islands)


def test_a_weight_of_denormals_alone_does_not_fit_and_a_few_of_them_do() -> None:
    tiny = fp16.round_weight("w", np.full(8, 3.3e-7, np.float32))
    assert tiny is not None
    assert (tiny.fits, tiny.subnormal, tiny.flushed) == (False, 8, 0)
    few = fp16.round_weight("w", np.array([1.0, 1e-9, 1e-6], np.float32))
    assert few is not None
    assert (few.fits, few.subnormal, few.flushed) == (True, 2, 1)


def test_a_weight_of_normal_numbers_has_nothing_to_report() -> None:
    assert fp16.round_weight("w", np.array([0.0, 1.0, -0.25], np.float32)) is None


def test_a_graph_whose_nodes_are_not_named_after_modules_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="Conv_1"):
        fp16.convert_folded(graph([0.5, -2.0], conv="Conv_1"))


def test_the_model_given_is_left_as_it_is() -> None:
    model = graph([0.5, -2.0])
    before = model.SerializeToString()
    fp16.convert_folded(model)
    assert model.SerializeToString() == before


def test_a_graph_with_branches_is_refused() -> None:
    model = graph([0.5, -2.0])
    branch = onnx.helper.make_graph([], "branch", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], [], name="/If", then_branch=branch, else_branch=branch))
    with pytest.raises(ModelError, match="branches"):
        fp16.convert_folded(model)


def test_without_onnx_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match="pip install"):
        fp16.convert(SEGMENTER)


def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "letter.onnx"
    path.write_bytes(b"dear all")
    with pytest.raises(ModelError, match=r"letter\.onnx"):
        fp16.convert(path)
