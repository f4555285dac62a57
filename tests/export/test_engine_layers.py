"""An engine that is not FP16, or that does not tell, is refused, in each form of TensorRT's reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.errors import ModelError
from export.engine_layers import InspectedLayer, read_layers, require_half
from tests.export.engines import CONVOLUTION, FP16, FP32, layer, report


def told(text: str) -> tuple[InspectedLayer, ...]:
    return read_layers(text).layers


@pytest.mark.parametrize(("wide", "narrow"), [(FP32, FP16), ("Float", "Half")])
def test_an_engine_in_fp16_with_islands_passes(wide: str, narrow: str) -> None:
    layers = told(
        report(
            layer("/Div", "PointWiseV2", "Row major linear UInt8 format", wide),
            layer(CONVOLUTION, "CaskConvolution", narrow, narrow),
            layer("__myl_Fc", "gemm", wide, wide, Metadata="[ONNX Layer: /box_decode/Softmax]"),
        )
    )
    assert [one.precision for one in layers] == ["float32", "float16", "float32"]
    require_half(layers, ["/Div", "/box_decode/Softmax"])


def test_an_engine_that_turned_out_float32_is_refused() -> None:
    with pytest.raises(ModelError, match=r"turned out float32 in 1 convolutions: /body\.0/conv/Conv"):
        require_half(told(report(layer(CONVOLUTION, "CaskConvolution", FP32, FP32))), [])


def test_one_convolution_in_float32_is_refused_by_its_name() -> None:
    layers = told(
        report(
            layer("/body.1/conv/Conv", "CaskConvolution", FP16, FP16),
            layer(CONVOLUTION, "CaskConvolution", FP32, FP32),
            layer("__myl_1", "kgen", FP32, FP32, Metadata="[ONNX Layer: /head/cv2.0/Conv]\x1e[ONNX Layer: /Mul]"),
        )
    )
    with pytest.raises(ModelError, match=r"in 2 convolutions: /body\.0/conv/Conv, /head/cv2\.0/Conv"):
        require_half(layers, ["/Mul", "/Conv"])


def test_a_convolution_that_was_left_in_float32_on_purpose_passes() -> None:
    layers = told(report(layer("/a/Conv", "CaskConvolution", FP16, FP16), layer("/b/Conv", "CaskConvolution", FP32, FP32)))
    require_half(layers, ["/b/Conv"])


def test_a_kernel_that_computes_in_fp16_counts_whatever_it_gives_out() -> None:
    tactic = "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc"
    layers = told(report(layer("/a/Conv", "CaskConvolution", FP32, FP32, TacticName=tactic)))
    require_half(layers, [])
    assert [one.precision for one in layers] == ["float32"]


def test_a_reformat_that_carries_a_convolutions_name_does_not_speak_for_it() -> None:
    layers = told(
        report(
            layer("__myl_Move_myl0_1", "kgen", "Float", "Float", Metadata="[ONNX Layer: /a/Conv]\x1f[ONNX Layer: /a/Mul]"),
            layer("/a/Conv_myl0_2", "correlation", "Half", "Half", Metadata="[ONNX Layer: /a/Conv]"),
        )
    )
    require_half(layers, [])


@pytest.mark.parametrize(
    "entry",
    [
        layer("/a/Conv_myl0_2", "correlation", "Float", "Float"),
        layer("/a/Conv_myl0_2", "gemm", "Float", "Float", Metadata=""),
        layer("__myl_Corr_1", "correlation", "Float", "Float", Metadata="[ONNX Layer: /a/Conv][ONNX Layer: /a/Relu]"),
        layer("w + /a/Conv", "CaskConvolution", FP32, FP32, Weights={"Type": "Float", "Count": 432}, Precision="FP16"),
    ],
)
def test_a_convolution_is_known_by_its_name_in_each_form_that_tensorrt_gives_it(entry: dict[str, Any]) -> None:
    other = layer("/b/Conv", "CaskConvolution", "Half", "Half")
    with pytest.raises(ModelError, match=r"in 1 convolutions: /a/Conv$"):
        require_half(told(report(entry, other)), [])


@pytest.mark.parametrize("key", ["Format/Datatype", "DataType", "Datatype", "Format"])
def test_types_are_read_from_the_fields_of_each_version(key: str) -> None:
    def typed(name: str, text: str) -> dict[str, Any]:
        tensors = [{"Name": "t", "Dimensions": [1, 3, 8, 8], "Format": "N/A", key: text}]
        return {"Name": name, "LayerType": "CaskConvolution", "Inputs": tensors, "Outputs": tensors}

    wide, narrow = ("Float", "Half") if key != "Format" else (f"{FP32} format (kLINEAR)", FP16)
    layers = told(json.dumps({"Layers": [typed("/a/Conv", narrow), typed("/b/Conv", wide)], "I/O Tensors": []}))
    assert [one.precision for one in layers] == ["float16", "float32"]
    with pytest.raises(ModelError, match="in 1 convolutions: /b/Conv"):
        require_half(layers, [])


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("Half", "float16"),
        ("Row major linear FP16 format", "float16"),
        ("Two wide channel vectorized row major FP16 format", "float16"),
        ("Channel major FP16 format where channel % 8 == 0 with 3 spatial dimensions", "float16"),
        ("Float", "float32"),
        ("Row major linear FP32", "float32"),
        ("Channel major FP32 format where channel % 4 == 0", "float32"),
        ("Row major linear BFloat16 format", "bfloat16"),
        ("Row major linear UInt8 format", "uint8"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("Int64", "int64"),
        ("Bool", "bool"),
        ("N/A due to dynamic shapes", "unknown"),
        ("None", "unknown"),
    ],
)
def test_every_spelling_of_a_type_is_understood(text: str, precision: str) -> None:
    known = layer("/a/Conv", "CaskConvolution", "Half", "Half")
    assert told(report(known, layer("x", "kgen", text, text)))[1].precision == precision


def test_weights_in_fp16_count_where_tensors_are_not_told() -> None:
    weights = {"Type": "Half", "Count": 432}
    (first, _) = told(
        report(layer("/a/Conv", "CaskConvolution", "N/A", "N/A", Weights=weights), layer("/b", "kgen", "Float", "Float"))
    )
    assert first.half


@pytest.mark.parametrize("entries", [["/body.0/conv/Conv"], [], [layer("/a/Conv", "CaskConvolution", "N/A", "N/A")]])
def test_an_engine_whose_precision_is_not_told_is_a_doubt_with_what_is_told(entries: list[Any]) -> None:
    inspected = read_layers(report(*entries))
    (doubt,) = inspected.doubts
    assert "tells no layer's precision" in doubt
    assert not entries or "/Conv" in doubt
    require_half(inspected.layers, [])


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"Layers": [1]}', '{"Layers": null}', "null", "[" * 100_000])
def test_a_report_of_an_unknown_form_is_a_doubt(text: str) -> None:
    inspected = read_layers(text)
    (doubt,) = inspected.doubts
    assert "cannot be understood" in doubt
    require_half(inspected.layers, [])


def test_one_convolution_that_is_not_told_among_others_is_a_doubt_with_its_name() -> None:
    inspected = read_layers(
        report(layer("/a/Conv", "CaskConvolution", FP16, FP16), layer("/b/Conv", "CaskConvolution", "new", "new"))
    )
    assert inspected.doubts == ("TensorRT's engine inspector does not tell the precision of 1 convolutions: /b/Conv",)
    require_half(inspected.layers, [])


def test_an_engine_that_tells_everything_leaves_no_doubt() -> None:
    inspected = read_layers(report(layer("/a/Conv", "CaskConvolution", FP16, FP16), layer("/b/Softmax", "SoftMax", FP32, FP32)))
    assert not inspected.doubts


def test_a_report_without_convolutions_is_a_doubt() -> None:
    (doubt,) = read_layers(report(layer("__myl_1", "kgen", FP16, FP16))).doubts
    assert "names no convolution" in doubt


def test_a_reformat_alone_proves_nothing_of_the_convolution_whose_name_it_carries() -> None:
    inspected = read_layers(
        report(
            layer("Reformatting CopyNode for Input Tensor 0 to /a/Conv", "Reformat", FP32, FP32),
            layer("/b/Conv", "CaskConvolution", FP16, FP16),
        )
    )
    require_half(inspected.layers, [])
    assert "/a/Conv" in inspected.doubts[0]


def test_a_layer_of_an_untold_precision_speaks_for_its_convolution_as_well() -> None:
    inspected = read_layers(
        report(
            layer("/a/Conv", "kgen", FP32, FP32),
            layer("/a/Conv_myl0_2", "correlation", "new", "new"),
            layer("/b", "x", FP16, FP16),
        )
    )
    require_half(inspected.layers, [])
    assert "/a/Conv" in inspected.doubts[0]
