"""What the engine builder asks TensorRT for: TensorRT for RTX parses and builds without a GPU, where it is installed."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from edge.backends.tensorrt.passport import Gpu, Profile
from edge.errors import BackendError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from export import engine_build, fp16
from export.build_progress import Progress
from export.engine_build import BuildOptions
from export.to_tensorrt import Machine, profile_for
from tests import ROOT
from tests.export.engines import MODELS

API = ROOT / ".." / "shared" / "tensorrt"


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
    "create_runtime_cache",
    "create_runtime_config",
    "dynamic_shapes_kernel_specialization_strategy",
    "num_compute_capabilities",
    "set_compute_capability",
    "set_execution_context_allocation_strategy",
    "set_runtime_cache",
    "ComputeCapability",
    "REQUIRE_USER_ALLOCATION",
}
"""Of TensorRT for RTX, used behind a question whether it is there."""


SOURCES = ("export/engine_build.py", "edge/backends/tensorrt/engine.py")


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


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_a_shipped_model_parses_and_builds(machine: Machine, halves: dict[str, fp16.HalfGraph], name: str, task: Any) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / f"{name}.onnx", task))
    data = engine_build.build_engine(halves[name], profile, machine.trt, machine.library, BuildOptions(), gpu=machine.gpu)
    assert len(data) > len(halves[name].model.SerializeToString()) // 2


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_a_network_that_is_still_float32_is_refused_before_it_is_built(machine: Machine, name: str, task: Any) -> None:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    float32 = fp16.HalfGraph(onnx.load(path), half=(), islands=(), weights=())
    with pytest.raises(ModelError, match=r"not FP16: .*Conv"):
        engine_build.build_engine(float32, profile_for(load_card(path, task)), machine.trt, machine.library, BuildOptions())


def test_a_graph_that_tensorrt_cannot_parse_is_told_with_its_reason(machine: Machine) -> None:
    node = onnx.helper.make_node("Nonsense", ["image"], ["y"], name="/Nonsense", domain="ours")
    image, y = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in ("image", "y"))
    graph = onnx.helper.make_graph([node], "g", [image], [y])
    opset = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ours", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    profile = Profile(least=(1, 1, 1, 1), best=(1, 1, 1, 1), most=(1, 1, 1, 1))
    half = fp16.HalfGraph(model, (), (), ())
    with pytest.raises(BackendError, match=r"cannot parse the graph: .*Nonsense"):
        engine_build.build_engine(half, profile, machine.trt, machine.library, BuildOptions())


def test_a_build_tells_its_progress(
    machine: Machine, halves: dict[str, fp16.HalfGraph], capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    progress = Progress("classifier.onnx")
    engine_build.build_engine(
        halves["classifier"], profile, machine.trt, machine.library, BuildOptions(), progress, machine.gpu
    )
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert all(line.startswith("classifier.onnx: building, ") for line in lines)


def test_an_interrupted_build_ends_and_is_not_begun_for_another_target(
    machine: Machine, halves: dict[str, fp16.HalfGraph]
) -> None:
    class Interrupted(Progress):
        def step(self, phase: str, index: int) -> None:
            raise KeyboardInterrupt

    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    with pytest.raises(BackendError, match="cannot build"):
        engine_build.build_engine(
            halves["classifier"], profile, machine.trt, machine.library, BuildOptions(), Interrupted("x"), machine.gpu
        )


@pytest.mark.parametrize(("free", "mib"), [(None, 1024), (80_000, 1024), (1500, 750), (100, 64), (0, 64)])
def test_the_workspace_is_half_of_what_is_free_within_bounds(free: int | None, mib: int) -> None:
    assert engine_build.workspace(free) == mib


class Limits:
    """A builder's configuration, as far as it is about memory."""

    def __init__(self) -> None:
        self.pools: dict[str, int] = {}
        self.sources = 0b11000

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.pools[pool] = size >> 20

    def get_tactic_sources(self) -> int:
        return self.sources

    def set_tactic_sources(self, sources: int) -> None:
        self.sources = sources


@pytest.mark.parametrize(
    ("memory", "asked", "pools", "sources"),
    [
        (24080, None, {"workspace": 750}, 0b11000),
        (None, 200, {"workspace": 200}, 0b11000),
        (7620, None, {"workspace": 750, "dram": 750}, 0b10000),
        (8192, 300, {"workspace": 300, "dram": 300}, 0b10000),
    ],
)
def test_a_small_gpu_spends_no_memory_on_speed(
    memory: int | None, asked: int | None, pools: dict[str, int], sources: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = SimpleNamespace(
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace", TACTIC_DRAM="dram"),
        TacticSource=SimpleNamespace(EDGE_MASK_CONVOLUTIONS=3),
    )
    monkeypatch.setattr(engine_build, "free_mib", lambda: 1500)
    limits = Limits()
    engine_build._limit_memory(limits, trt, asked, Gpu(name="Orin", compute_capability="8.7", memory_mib=memory))
    assert (limits.pools, limits.sources) == (pools, sources)


def test_a_small_gpu_gets_a_real_engine(machine: Machine, halves: dict[str, fp16.HalfGraph]) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    gpu = machine.gpu.model_copy(update={"memory_mib": 4096})
    assert engine_build.build_engine(halves["classifier"], profile, machine.trt, machine.library, BuildOptions(), gpu=gpu)


def test_an_engine_that_does_not_load_is_told_with_its_reason(machine: Machine) -> None:
    profile = Profile(least=(1, 1, 32, 32), best=(1, 1, 32, 32), most=(1, 1, 32, 32))
    with pytest.raises(BackendError, match="does not load: "):
        engine_build.inspect_engine(b"no engine", profile, machine.trt)
