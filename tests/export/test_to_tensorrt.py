"""The engine builder: what it asks TensorRT for, what it refuses, and that only what passed is installed.

TensorRT for RTX parses and builds without a GPU, so these tests really do where it is installed. Loading an engine needs
the GPU: those tests are marked so.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt import cuda
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt.passport import EngineParity, Gpu, Library, Profile, engine_folders, passport_path, this_gpu
from edge.config import Settings
from edge.errors import BackendError, ConfigError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.records import Micrograph
from edge.samples import sample_micrographs
from tests import ROOT
from tests.conftest import micrograph, settings_for
from tests.export.test_fatbin import compiler

onnx: Any = pytest.importorskip("onnx")

from export import fp16, tensorrt_cli, to_tensorrt  # noqa: E402 (needs onnx)
from export.to_tensorrt import BuildOptions, Machine, NoTensorRtError, Progress, profile_for, read_layers, require_half  # noqa: E402

API = ROOT / ".." / "shared" / "tensorrt"
LIBRARY = Library(name="tensorrt", version="10.3.0")
GPU = Gpu(name="Orin", compute_capability="8.7")
MODELS = [("segmenter", "segment"), ("classifier", "classify")]


@pytest.fixture(scope="module")
def halves() -> dict[str, fp16.HalfGraph]:
    return {name: fp16.convert(BUILTIN_FOLDER / f"{name}.onnx") for name, _ in MODELS}


@pytest.fixture(scope="module")
def images() -> list[Micrograph]:
    """A corner of a real micrograph, so that float32 is quick."""
    return [micrograph(np.ascontiguousarray(sample_micrographs()[0].grey[:256, :256]))]


# --- names -----------------------------------------------------------------------------------------------------------

OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "shapes": "IOptimizationProfile",
    "inspector": "EngineInspector",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "layer": "ILayer",
    "problem": "ParserError",
}
"""What our variables and fields of these names are, in files that talk to TensorRT."""
OURS = {("engine", name) for name in ("path", "data", "passport", "parent", "name", "exists", "with_name")}
"""A path or an `Engine` of ours is called so, too."""
ONLY_FOR_RTX = {
    "create_runtime_config",
    "dynamic_shapes_kernel_specialization_strategy",
    "set_execution_context_allocation_strategy",
}
"""Of TensorRT for RTX, used behind a question whether it is there."""
SOURCES = ("export/to_tensorrt.py", "edge/backends/tensorrt/engine.py")


def tensorrt_names(source: Path) -> Iterator[tuple[str, str]]:
    """(class or module, member) of TensorRT that a file uses: `trt.X.Y`, and members of what `OBJECTS` names."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        called = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        called = called.lstrip("_")
        if called == "trt":
            yield "_top", node.attr
        elif isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name | ast.Attribute):
            module = owner.value.id if isinstance(owner.value, ast.Name) else owner.value.attr
            if module.lstrip("_") == "trt":
                yield owner.attr, node.attr
        if called in OBJECTS and (called, node.attr) not in OURS | {("context", "detach"), ("context", "push")}:
            yield OBJECTS[called], node.attr


@pytest.mark.parametrize("source", SOURCES)
def test_every_name_of_tensorrt_that_we_use_is_in_all_its_versions(source: str) -> None:
    lists = sorted(API.glob("api_*.json"))
    if not lists or not (ROOT / source).exists():
        pytest.skip("the lists of TensorRT's names are not beside this checkout")
    used = sorted(set(tensorrt_names(ROOT / source)))
    assert len(used) > 15, "the search found next to nothing: variables were renamed"
    for path in lists:
        known = json.loads(path.read_text(encoding="utf-8"))
        missing = [
            f"{owner}.{name}"
            for owner, name in used
            if name not in known.get(owner, ()) and name not in ONLY_FOR_RTX and not name.startswith("__")
        ]
        assert not missing, path.name


# --- really building, without a GPU ----------------------------------------------------------------------------------


@pytest.fixture
def machine() -> Machine:
    """TensorRT as installed; the GPU is only named."""
    try:
        trt, library = to_tensorrt.load_tensorrt()
    except NoTensorRtError as error:
        pytest.skip(str(error))
    if library.name == "tensorrt" and this_gpu() is None:
        pytest.skip("only TensorRT for RTX builds without a GPU")
    return Machine(trt, library, GPU)


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_a_shipped_model_parses_and_builds(machine: Machine, halves: dict[str, fp16.HalfGraph], name: str, task: Any) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / f"{name}.onnx", task))
    data = to_tensorrt.build_engine(halves[name], profile, machine.trt, machine.library, BuildOptions())
    assert len(data) > len(halves[name].model.SerializeToString()) // 2


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_a_network_that_is_still_float32_is_refused_before_it_is_built(machine: Machine, name: str, task: Any) -> None:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    float32 = fp16.HalfGraph(onnx.load(path), half=(), islands=(), weights=())
    with pytest.raises(ModelError, match=r"not FP16: .*Conv"):
        to_tensorrt.build_engine(float32, profile_for(load_card(path, task)), machine.trt, machine.library, BuildOptions())


def test_a_graph_that_tensorrt_cannot_parse_is_told_with_its_reason(machine: Machine) -> None:
    node = onnx.helper.make_node("Nonsense", ["image"], ["y"], name="/Nonsense", domain="ours")
    image, y = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in ("image", "y"))
    graph = onnx.helper.make_graph([node], "g", [image], [y])
    opset = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ours", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    profile = Profile(least=(1, 1, 1, 1), best=(1, 1, 1, 1), most=(1, 1, 1, 1))
    half = fp16.HalfGraph(model, (), (), ())
    with pytest.raises(BackendError, match=r"cannot parse the graph: .*Nonsense"):
        to_tensorrt.build_engine(half, profile, machine.trt, machine.library, BuildOptions())


def test_a_build_tells_its_progress(
    machine: Machine, halves: dict[str, fp16.HalfGraph], capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    progress = Progress("classifier.onnx")
    to_tensorrt.build_engine(halves["classifier"], profile, machine.trt, machine.library, BuildOptions(), progress)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert all(line.startswith("classifier.onnx: building, ") for line in lines)


def test_an_engine_that_does_not_load_is_told_with_its_reason(machine: Machine) -> None:
    profile = Profile(least=(1, 1, 32, 32), best=(1, 1, 32, 32), most=(1, 1, 32, 32))
    with pytest.raises(BackendError, match="does not load: "):
        to_tensorrt.inspect_engine(b"no engine", profile, machine.trt)


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_the_profile_takes_every_batch_that_the_segmenter_gives(images: list[Micrograph]) -> None:
    from edge.inspection.segment import VIEWS_A_BATCH, views

    card = load_card(BUILTIN_FOLDER / "segmenter.onnx", "segment")
    profile = profile_for(card)
    tiled = np.tile(images[0].grey, (4, 3))
    for grey in (images[0].grey, tiled, tiled.T.copy(), tiled[:40, :40]):
        shapes = {view.canvas.shape for view in views(grey, card)}
        assert all(profile.takes((count, 1, *shape)) for shape in shapes for count in range(1, VIEWS_A_BATCH + 1))


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_the_values_of_a_shipped_model_on_a_real_image_are_far_from_the_end_of_fp16(
    name: str, task: Any, images: list[Micrograph]
) -> None:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    shown = list(to_tensorrt.examples(load_card(path, task), images))
    assert not fp16.wide_values(fp16.fold_constants(path), shown)


def test_the_profile_of_the_classifier_takes_one_to_eight_crops() -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    assert (profile.least, profile.best, profile.most) == ((1, 1, 224, 224), (8, 1, 224, 224), (8, 1, 224, 224))


def test_a_side_that_is_no_multiple_of_32_is_rounded_up() -> None:
    card = load_card(BUILTIN_FOLDER / "segmenter.onnx", "segment").model_copy(update={"input_px": 650})
    assert profile_for(card).most == (4, 1, 672, 672)


# --- what the engine inspector tells ---------------------------------------------------------------------------------


def tensor(kind: str) -> dict[str, Any]:
    return {"Name": "t", "Location": "Device", "Dimensions": [1, 16, 240, 320], "Format/Datatype": kind}


def layer(name: str, kind: str, given: str, taken: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": [tensor(given)], "Outputs": [tensor(taken)], **more}


FP32, FP16 = "Row major linear FP32", "Channel major FP16 format where channel % 8 == 0"
CONVOLUTION = "/body.0/conv/Conv + PWN(/body.0/act/Sigmoid, /body.0/act/Mul)"


def report(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["image", "boxes"]})


@pytest.mark.parametrize(("wide", "narrow"), [(FP32, FP16), ("Float", "Half")])
def test_an_engine_in_fp16_with_islands_passes(wide: str, narrow: str) -> None:
    layers = read_layers(
        report(
            layer("/Div", "PointWiseV2", "Row major linear UInt8 format", wide),
            layer(CONVOLUTION, "CaskConvolution", narrow, narrow),
            layer("__myl_Fc", "gemm", wide, wide, Metadata="[ONNX Layer: /box_decode/Softmax]"),
        )
    )
    assert [one.precision for one in layers] == ["float32", "float16", "float32"]
    require_half(layers, ["/Div", "/box_decode/Softmax"])


def test_an_engine_that_turned_out_float32_is_refused() -> None:
    with pytest.raises(ModelError, match="no layer of it runs in FP16"):
        require_half(read_layers(report(layer(CONVOLUTION, "CaskConvolution", FP32, FP32))), [])


def test_one_convolution_in_float32_is_refused_by_its_name() -> None:
    layers = read_layers(
        report(
            layer("/body.1/conv/Conv", "CaskConvolution", FP16, FP16),
            layer(CONVOLUTION, "CaskConvolution", FP32, FP32),
            layer("__myl_1", "kgen", FP32, FP32, Metadata="[ONNX Layer: /head/cv2.0/Conv]\x1e[ONNX Layer: /Mul]"),
        )
    )
    with pytest.raises(ModelError, match=r"in 2 convolutions: /body\.0/conv/Conv, /head/cv2\.0/Conv"):
        require_half(layers, ["/Mul", "/Conv"])


def test_a_convolution_that_was_left_in_float32_on_purpose_passes() -> None:
    layers = read_layers(
        report(layer("/a/Conv", "CaskConvolution", FP16, FP16), layer("/b/Conv", "CaskConvolution", FP32, FP32))
    )
    require_half(layers, ["/b/Conv"])


def test_a_kernel_that_computes_in_fp16_counts_whatever_it_gives_out() -> None:
    tactic = "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc"
    layers = read_layers(report(layer("/a/Conv", "CaskConvolution", FP32, FP32, TacticName=tactic)))
    require_half(layers, [])
    assert [one.precision for one in layers] == ["float32"]


def test_a_reformat_that_carries_a_convolutions_name_does_not_speak_for_it() -> None:
    layers = read_layers(
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
        require_half(read_layers(report(entry, other)), [])


@pytest.mark.parametrize("key", ["Format/Datatype", "DataType", "Datatype", "Format"])
def test_types_are_read_from_the_fields_of_each_version(key: str) -> None:
    def typed(name: str, text: str) -> dict[str, Any]:
        tensors = [{"Name": "t", "Dimensions": [1, 3, 8, 8], "Format": "N/A", key: text}]
        return {"Name": name, "LayerType": "CaskConvolution", "Inputs": tensors, "Outputs": tensors}

    wide, narrow = ("Float", "Half") if key != "Format" else (f"{FP32} format (kLINEAR)", FP16)
    layers = read_layers(json.dumps({"Layers": [typed("/a/Conv", narrow), typed("/b/Conv", wide)], "I/O Tensors": []}))
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
    assert read_layers(report(known, layer("x", "kgen", text, text)))[1].precision == precision


def test_weights_in_fp16_count_where_tensors_are_not_told() -> None:
    weights = {"Type": "Half", "Count": 432}
    (told, _) = read_layers(
        report(layer("/a/Conv", "CaskConvolution", "N/A", "N/A", Weights=weights), layer("/b", "kgen", "Float", "Float"))
    )
    assert told.half


@pytest.mark.parametrize("told", [["/body.0/conv/Conv"], [], [layer("/a/Conv", "CaskConvolution", "N/A", "N/A")]])
def test_an_engine_whose_precision_is_not_told_is_refused_with_what_is_told(told: list[Any]) -> None:
    with pytest.raises(ModelError, match="tells no layer's precision") as raised:
        read_layers(report(*told))
    assert not told or "/Conv" in str(raised.value)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"Layers": [1]}', '{"Layers": null}'])
def test_a_report_of_an_unknown_form_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="cannot be understood"):
        read_layers(text)


# --- parity ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "export")


class Spoilt:
    """A model on ONNX Runtime whose outputs are changed."""

    name, precision = "tensorrt", "float16"

    def __init__(self, model: Path, output: str, change: Any) -> None:
        self._inner, self._output, self._change = OnnxSession(model), output, change

    def run(self, image: Any) -> Any:
        outputs = dict(self._inner.run(image))
        outputs[self._output] = self._change(outputs[self._output])
        return outputs

    def close(self) -> None: ...


def parity_of(name: str, task: Any, settings: Settings, images: list[Micrograph], network: Any) -> EngineParity:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    return to_tensorrt.measure_parity(path, load_card(path, task), network, settings, images)


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_the_fp16_graph_agrees_with_float32(
    halves: dict[str, fp16.HalfGraph], settings: Settings, images: list[Micrograph], tmp_path: Path, name: str, task: Any
) -> None:
    onnx.save(halves[name].model, tmp_path / "half.onnx")
    with OnnxSession(tmp_path / "half.onnx") as network:
        parity = parity_of(name, task, settings, images, network)
        assert network.run(np.zeros((1, 1, 224, 224), np.uint8))  # still open
    assert to_tensorrt.refusal(parity) is None
    assert (parity.box_error_px is None) == (task == "classify")
    assert (parity.flips is None) == (task == "segment")


def test_an_engine_whose_masks_differ_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", "coefficients", lambda values: -values)
    refused = to_tensorrt.refusal(parity_of("segmenter", "segment", settings, images, network))
    assert refused is not None
    assert refused.startswith("mean mask IoU")


def test_an_engine_whose_boxes_differ_is_refused_even_where_masks_are_like_each_other(
    settings: Settings, images: list[Micrograph]
) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", "boxes", lambda values: values + np.float32(1.5))
    parity = parity_of("segmenter", "segment", settings, images, network).model_copy(update={"mean_mask_iou": 1.0})
    refused = to_tensorrt.refusal(parity)
    assert refused is not None
    assert refused.startswith("a box is off by")


@pytest.mark.parametrize(("output", "value"), [("boxes", "nan"), ("scores", "nan"), ("prototypes", "inf")])
def test_an_engine_that_overflows_is_refused_by_the_output_where_it_shows(
    settings: Settings, images: list[Micrograph], output: str, value: str
) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", output, lambda values: values + np.float32(value))
    with pytest.raises(ModelError, match=f"not numbers in {output}"):
        parity_of("segmenter", "segment", settings, images, network)


def test_an_engine_whose_severity_differs_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "classifier.onnx", "logits", lambda values: values[:, ::-1] * np.float32(3))
    refused = to_tensorrt.refusal(parity_of("classifier", "classify", settings, images, network))
    assert refused is not None
    assert "surer than 0.05" in refused


def test_an_engine_that_takes_images_out_of_the_domain_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "classifier.onnx", "embedding", lambda values: values * np.float32(20))
    refused = to_tensorrt.refusal(parity_of("classifier", "classify", settings, images, network))
    assert refused is not None
    assert refused.startswith("1 of 1 images entered or left the domain")


@pytest.mark.parametrize("parity", [EngineParity(images=1, mean_mask_iou=float("nan")), EngineParity(images=1, flips=0)])
def test_figures_that_are_no_numbers_do_not_pass(parity: EngineParity) -> None:
    parity = parity.model_copy(update={"largest_probability_difference": float("nan")})
    assert to_tensorrt.refusal(parity) is not None


# --- the whole, with a TensorRT that is made up ----------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped classifier in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    folder.mkdir()
    for suffix in (".onnx", ".json"):
        (folder / f"classifier{suffix}").write_bytes((BUILTIN_FOLDER / f"classifier{suffix}").read_bytes())
    return folder / "classifier.onnx"


@pytest.fixture
def bench(
    model: Path, halves: dict[str, fp16.HalfGraph], monkeypatch: pytest.MonkeyPatch, images: list[Micrograph]
) -> SimpleNamespace:
    """A machine whose TensorRT builds `data`, says `report` of it, and computes as `network`; counts the builds."""
    plan = SimpleNamespace(
        data=b"machine code",
        report=report(layer("/conv_stem/Conv", "CaskConvolution", FP16, FP16)),
        network=lambda: OnnxSession(model),
        machine=Machine(None, LIBRARY, GPU),
        builds=0,
    )

    def build(*_: object, **__: object) -> bytes:
        plan.builds += 1
        return bytes(plan.data)

    monkeypatch.setattr(to_tensorrt, "this_machine", lambda: plan.machine)
    monkeypatch.setattr(to_tensorrt, "cuda_here", nullcontext)
    monkeypatch.setattr(to_tensorrt.fp16, "convert", lambda path, images: halves["classifier"])
    monkeypatch.setattr(to_tensorrt, "build_engine", build)
    monkeypatch.setattr(to_tensorrt, "inspect_engine", lambda *_: plan.report)
    monkeypatch.setattr(to_tensorrt, "open_on_tensorrt", lambda *_: plan.network())
    monkeypatch.setattr(to_tensorrt, "sample_micrographs", lambda: images)
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: None)
    sources = (model.with_name("kernels.cu"), model.with_name("kernels.h"))
    for source in sources:
        source.write_text("kernels that were never compiled here")
    monkeypatch.setattr(cuda, "SOURCES", sources)
    return plan


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    tensorrt_cli.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["tensorrt", *arguments])
    return int(parsed.run(parsed))


@pytest.fixture
def config(model: Path, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[watch]\nfolder = "{tmp_path / "export"}"\n[models]\nclassifier = "{model}"\n[inspect]\nstages = "classify"\n'
    )
    return str(path)


def engines(model: Path) -> list[Path]:
    return sorted(path for folder in engine_folders(model) if folder.exists() for path in folder.glob("*.engine*"))


def test_an_engine_is_built_checked_and_installed_with_its_passport(bench: Any, model: Path, config: str) -> None:
    assert command("--config", config) == 0
    engine, passport = engines(model)
    assert (engine.read_bytes(), engine.parent, passport) == (b"machine code", model.parent, passport_path(engine))
    facts = json.loads(passport.read_text())
    assert facts["onnx_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert facts["layers"] == {"float16": 1}
    assert facts["parity"]["flips"] == 0
    assert facts["profile"]["most"] == [8, 1, 224, 224]


def test_the_kernels_are_compiled_beside_the_engine_before_it_is_compared(
    bench: Any, model: Path, config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there: list[Path | None] = []
    network = bench.network
    bench.network = lambda: there.append(tensorrt_engine.kernels_for(model)) or network()
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: compiler(tmp_path))
    assert command("--config", config) == 0
    assert there == [model.parent / cuda.kernels_name()]
    assert f"the kernels are built: {there[0]}" in capsys.readouterr().err


def test_kernels_of_this_version_are_not_compiled_again_and_others_are(
    bench: Any, model: Path, config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: compiler(tmp_path))
    command("--config", config)
    (tmp_path / "log").unlink()
    assert command("--config", config) == 0
    assert not (tmp_path / "log").exists()
    assert "the kernels are there already" in capsys.readouterr().err
    cuda.SOURCES[0].write_text("of the next version")
    assert command("--config", config) == 0
    assert (tmp_path / "log").exists()
    assert bench.builds == 1


def test_kernels_go_to_the_cache_where_the_models_folder_cannot_be_written(
    bench: Any, model: Path, config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(to_tensorrt.os, "access", lambda path, mode: Path(path) != model.parent)
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: compiler(tmp_path))
    assert command("--config", config) == 0
    assert tensorrt_engine.kernels_for(model) == engine_folders(model)[1] / cuda.kernels_name()


@pytest.mark.parametrize(
    ("compiles", "told"),
    [
        (None, "there is no nvcc"),
        ("echo 'error: a\nsemicolon' >&2; exit 1", "error: a semicolon"),
        ("/none/nvcc", "cannot be run"),
    ],
)
def test_what_keeps_the_kernels_from_being_compiled_is_one_line_and_no_failure(
    bench: Any,
    model: Path,
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compiles: str | None,
    told: str,
) -> None:
    nvcc = compiler(tmp_path, then=compiles) if compiles and compiles.startswith("echo") else compiles
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: nvcc)
    assert command("--config", config) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "kernels" in line]
    assert line.startswith("the kernels are left out")
    assert told in line
    assert len(engines(model)) == 2


def test_the_real_compiler_gives_kernels_that_the_runtime_finds(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if to_tensorrt.fatbin.find_nvcc() is None:
        pytest.skip(to_tensorrt.fatbin.MISSING)
    monkeypatch.setattr(tensorrt_engine, "__file__", str(model.parent / "package" / "engine.py"))
    said = to_tensorrt.provide_kernels([model])
    assert said == f"the kernels are built: {model.parent / cuda.kernels_name()}"
    assert tensorrt_engine.kernels_for(model) == model.parent / cuda.kernels_name()


def test_a_second_run_finds_nothing_to_do(bench: Any, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    command("--config", config)
    assert command("--config", config) == 0
    assert bench.builds == 1
    assert "is there already" in capsys.readouterr().out


def test_a_build_can_be_asked_for_again(bench: Any, config: str) -> None:
    command("--config", config)
    command("--config", config, "--again")
    assert bench.builds == 2


@pytest.mark.parametrize("changed", ["library", "gpu", "bytes", "sizes"])
def test_an_upgrade_another_gpu_damage_or_other_sizes_are_built_afresh(
    bench: Any, model: Path, config: str, changed: str
) -> None:
    command("--config", config)
    if changed == "library":
        bench.machine = replace(bench.machine, library=Library(name="tensorrt", version="10.16.1"))
    elif changed == "gpu":
        bench.machine = replace(bench.machine, gpu=Gpu(name="Thor", compute_capability="11.0"))
    elif changed == "bytes":
        engines(model)[0].write_bytes(b"damaged")
    else:
        passport = passport_path(engines(model)[0])
        facts = json.loads(passport.read_text())
        facts["profile"]["most"][0] = 4
        passport.write_text(json.dumps(facts))
    assert command("--config", config) == 0
    assert bench.builds == 2
    assert engines(model)[0].read_bytes() == b"machine code"


def test_a_float32_engine_is_refused_and_nothing_is_left(
    bench: Any, model: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.report = report(layer("/conv_stem/Conv", "CaskConvolution", FP32, FP32))
    assert command("--config", config) == 1
    assert "turned out float32" in capsys.readouterr().err
    assert not engines(model)


def test_an_engine_that_disagrees_is_refused_and_the_older_one_stays(
    bench: Any, model: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command("--config", config)
    before = [path.read_bytes() for path in engines(model)]

    class Wrong(Spoilt):
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None: ...

    bench.network = lambda: Wrong(model, "logits", lambda values: values[:, ::-1] * np.float32(3))
    bench.data = b"wrong"
    assert command("--config", config, "--again") == 1
    assert "does not agree with float32" in capsys.readouterr().err
    assert [path.read_bytes() for path in engines(model)] == before


def test_a_model_that_is_missing_fails_by_its_name(bench: Any, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--config", config, "--classifier", "none.onnx") == 1
    assert "none.onnx" in capsys.readouterr().err


def test_without_a_gpu_or_tensorrt_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(to_tensorrt, "this_gpu", lambda: None)
    assert command("--config", config) == 0
    assert capsys.readouterr().err.startswith("nothing to build: ")


def test_a_configuration_that_asks_for_another_backend_has_nothing_to_build(
    bench: Any, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(config)
    path.write_text(path.read_text().replace("[models]", '[models]\nbackend = "openvino"'))
    assert command("--config", config) == 0
    assert bench.builds == 0
    assert "asks for openvino" in capsys.readouterr().err


def test_a_wrong_configuration_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        command("--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("value", ["0", "-1", "much"])
def test_a_wrong_workspace_is_wrong_usage(value: str) -> None:
    with pytest.raises(SystemExit) as raised:
        command("--workspace", value)
    assert raised.value.code == 2


def test_engines_go_to_the_cache_where_the_models_folder_cannot_be_written(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_tensorrt.os, "access", lambda path, mode: Path(path) != model.parent)
    assert to_tensorrt.writable_folder(model) == engine_folders(model)[1]


def test_progress_is_a_part_of_a_part() -> None:
    progress = Progress("x")
    progress.begin("all", None, 4)
    progress.step("all", 0)
    progress.begin("inner", "all", 2)
    progress.step("inner", 0)
    assert progress.done == pytest.approx(0.25 + 0.25 / 2)
    progress.end("inner")
    assert progress.done == pytest.approx(0.25)


# --- the unit --------------------------------------------------------------------------------------------------------


def test_the_unit_runs_before_the_daemon_and_writes_where_the_daemon_looks() -> None:
    unit, daemon = ((ROOT / "systemd" / f"sem-corrosion-{name}.service").read_text() for name in ("engine", "edge"))
    assert "Before=sem-corrosion-edge.service" in unit
    assert "WantedBy=sem-corrosion-edge.service" in unit
    for setting in ("User", "CacheDirectory", "Environment"):
        line = next(line for line in daemon.splitlines() if line.startswith(f"{setting}="))
        assert line in unit.splitlines()


def test_the_unit_has_no_error_that_systemd_knows_and_is_hardened(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "systemd" / "sem-corrosion-engine.service").read_text()
    unit = tmp_path / "sem-corrosion-engine.service"
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    assert unit.name not in verified.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)]
    secure = subprocess.run(command, capture_output=True, text=True, check=False)
    assert secure.returncode == 0, secure.stdout[-600:]
