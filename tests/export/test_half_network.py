"""The imitation of FP16 gives ONNX Runtime's numbers where the graph is float32, and rounds where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.backends.onnx_session import OnnxSession
from edge.errors import ModelError
from edge.models.card import BUILTIN_FOLDER
from export import fp16
from tests.conftest import pitted
from tests.export.engines import MODELS

half_network = pytest.importorskip("export.half_network", reason="there is no torch", exc_type=ImportError)


def images(name: str) -> Any:
    return (
        pitted(320, 256)[None, None] if name == "segmenter" else np.stack([pitted(224, 224, one) for one in range(2)])[:, None]
    )


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_a_shipped_graph_in_float32_gives_what_onnx_runtime_gives(name: str) -> None:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    with OnnxSession(path) as session, half_network.HalfNetwork.load(path) as network:
        wanted, found = session.run(images(name)), network.run(images(name))
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        if key in ("boxes", "coefficients", "classes"):  # nearly equal scores may change places
            value, other = np.sort(value, axis=1), np.sort(wanted[key], axis=1)
        else:
            other = wanted[key]
        assert value.dtype == other.dtype
        assert np.abs(value.astype(float) - other).max() < 5e-3 * max(1.0, np.abs(other).max()), key


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_a_shipped_graph_in_fp16_differs_and_not_by_much(name: str) -> None:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    key = "logits" if name == "classifier" else "prototypes"
    network = half_network.HalfNetwork(fp16.convert(path).model)
    with OnnxSession(path) as session:
        wanted = session.run(images(name))[key]
    difference = np.abs(network.run(images(name))[key] - wanted).max() / np.abs(wanted).max()
    assert 1e-6 < difference < 0.05
    assert not network.overflows


def graph(nodes: list[Any], kind: int, constants: dict[str, Any], sides: tuple[int, ...]) -> Any:
    taken, given = (helper.make_tensor_value_info(name, kind, sides) for name in ("x", "y"))
    values = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [taken], [given], values))


def test_each_node_reads_what_the_one_before_it_rounded() -> None:
    nodes = [helper.make_node("Add", ["x", "one"], ["sum"]), helper.make_node("Sub", ["sum", "one"], ["y"])]
    x, one = np.array([1e-4, 3e-3], np.float16), np.array([1], np.float16)
    found = half_network.HalfNetwork(graph(nodes, TensorProto.FLOAT16, {"one": one}, (2,))).run(x)["y"]
    assert found.dtype == np.float16
    assert found.tolist() == ((x + one) - one).tolist()
    assert found[0] == 0


def test_a_sum_of_many_products_is_rounded_once() -> None:
    random = np.random.default_rng(0)
    x, weight = (random.normal(size=sides).astype(np.float16) for sides in ((1, 512, 1, 1), (1, 512, 1, 1)))
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    found = half_network.HalfNetwork(graph([node], TensorProto.FLOAT16, {"w": weight}, x.shape)).run(x)["y"]
    assert found.item() == np.float16((x.astype(np.float32) * weight.astype(np.float32)).sum(dtype=np.float64))


def test_an_overflow_is_told_by_its_node() -> None:
    node = helper.make_node("Mul", ["x", "x"], ["y"], name="/square")
    network = half_network.HalfNetwork(graph([node], TensorProto.FLOAT16, {}, (1,)))
    assert np.isinf(network.run(np.array([300], np.float16))["y"]).all()
    assert network.overflows == {"/square"}


def test_an_operator_that_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(ModelError, match="not imitated: Nonsense"):
        half_network.HalfNetwork(graph([helper.make_node("Nonsense", ["x"], ["y"])], TensorProto.FLOAT16, {}, (1,)))


CASES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[int, ...]]] = [
    ("Conv", {"pads": [1, 0, 2, 1], "strides": [2, 1], "group": 2}, {"w": np.ones((4, 1, 3, 3))}, (1, 2, 8, 9)),
    ("ConvTranspose", {"strides": [2, 2], "kernel_shape": [2, 2]}, {"w": np.arange(24).reshape(2, 3, 2, 2)}, (1, 2, 4, 5)),
    ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, {}, (1, 2, 7, 8)),
    ("Slice", {}, {"s": [-1], "e": [-1000], "a": [1], "t": [-2]}, (2, 7)),
    ("Slice", {}, {"s": [1, 0], "e": [1000, -1]}, (5, 6)),
    ("Reshape", {}, {"s": [0, -1]}, (2, 3, 4)),
    ("Gather", {"axis": 1}, {"i": [[-1, 0], [2, 1]]}, (2, 3)),
    ("Clip", {}, {"low": np.float32(-0.5), "high": np.float32(0.25)}, (9,)),
    ("ReduceMean", {"axes": [1], "keepdims": 0}, {}, (3, 4)),
    ("Softmax", {"axis": 1}, {}, (2, 5)),
    ("Transpose", {"perm": [2, 0, 1]}, {}, (2, 3, 4)),
    ("Flatten", {"axis": 2}, {}, (2, 3, 4)),
    ("HardSigmoid", {"alpha": 0.1, "beta": 0.4}, {}, (7,)),
    ("Gemm", {"transB": 1, "alpha": 0.5}, {"w": np.arange(12).reshape(3, 4), "b": np.ones(3)}, (2, 4)),
    ("Expand", {}, {"s": [3, 2, 4]}, (2, 1)),
    ("Unsqueeze", {}, {"a": [0, -1]}, (2, 3)),
]


@pytest.mark.parametrize(
    ("kind", "attributes", "constants", "sides"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_operator_does_what_onnx_runtime_does(
    kind: str, attributes: dict[str, Any], constants: dict[str, Any], sides: tuple[int, ...]
) -> None:
    import onnxruntime

    typed = {name: np.asarray(value, np.int64 if isinstance(value, list) else np.float32) for name, value in constants.items()}
    made = graph([helper.make_node(kind, ["x", *typed], ["y"], **attributes)], TensorProto.FLOAT, typed, sides)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.opset_import[0].version, made.ir_version = 17, 8
    x = np.random.default_rng(0).normal(size=sides).astype(np.float32)
    wanted = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    found = half_network.HalfNetwork(made).run(x)["y"]
    assert found.shape == wanted.shape
    assert np.allclose(found, wanted, atol=1e-5)
