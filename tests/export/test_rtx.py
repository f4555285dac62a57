"""What TensorRT for RTX is told: made up, and the real one where it is installed, which builds without a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.backends.tensorrt.passport import Gpu, Library
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER, load_card
from export import engine_build, fp16, rtx
from export.engine_build import BuildOptions
from export.to_tensorrt import Machine, profile_for

RTX, TENSORRT = Library(name="tensorrt_rtx", version="1.7.1"), Library(name="tensorrt", version="10.16")
TRT = SimpleNamespace(
    ComputeCapability=SimpleNamespace(CURRENT="now", SM75="75", SM89="89", SM120="120"),
    BuilderFlag=SimpleNamespace(REQUIRE_USER_ALLOCATION="user"),
)


def of(capability: str) -> Gpu:
    return Gpu(name="a GPU", compute_capability=capability)


class Config:
    """A builder's configuration that keeps what it is told."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.flags: list[str] = []
        self.set: list[tuple[str, int]] = []
        self.num_compute_capabilities = 0

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def set_compute_capability(self, which: str, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self.set.append((which, index))
        return which != self.refused


@pytest.mark.parametrize(
    ("capability", "wanted"),
    [
        ("8.9", ["CURRENT", "SM89"]),
        ("12.0", ["CURRENT", "SM120"]),
        ("7.5", ["CURRENT", "SM75"]),
        ("9.0", ["CURRENT"]),
        (None, ["CURRENT"]),
    ],
)
def test_it_builds_for_the_gpu_that_it_sees_else_for_the_named_one(capability: str | None, wanted: list[str]) -> None:
    assert rtx.targets(TRT, RTX, capability) == wanted


def test_tensorrt_itself_is_told_nothing() -> None:
    config = Config()
    assert rtx.targets(TRT, TENSORRT, "8.9") == [None]
    assert rtx.aim(config, TRT, None)
    assert (config.flags, config.set) == ([], [])
    assert rtx.unlisted(TRT, TENSORRT, "9.0") == ""


@pytest.mark.parametrize(("refused", "taken"), [("", True), ("now", False)])
def test_memory_comes_from_the_user_so_that_a_graph_can_be_recorded(refused: str, taken: bool) -> None:
    config = Config(refused)
    assert rtx.aim(config, TRT, "CURRENT") is taken
    assert (config.flags, config.set) == (["user"], [("now", 0)])


def test_a_gpu_that_it_does_not_list_is_told_with_the_cure() -> None:
    told = rtx.unlisted(TRT, RTX, "9.0")
    assert "lists 7.5, 8.9, 12.0, not 9.0" in told
    assert "NVIDIA's tensorrt" in told
    assert rtx.unlisted(TRT, RTX, "8.9") == ""


@pytest.fixture
def real(machine: Machine) -> Machine:
    if machine.library.name != "tensorrt_rtx":
        pytest.skip("this is TensorRT itself")
    return machine


@pytest.mark.parametrize("capability", ["7.5", "8.9", "12.0"])
def test_the_real_one_builds_for_a_named_gpu_where_it_sees_none(
    real: Machine, halves: dict[str, fp16.HalfGraph], capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    aimed: list[Any] = []
    aim = rtx.aim

    def watched(config: Any, trt: Any, target: str | None) -> bool:
        done = aim(config, trt, target)
        aimed.append((config.get_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION), config.get_compute_capability(0).name))
        return done

    monkeypatch.setattr(rtx, "aim", watched)
    data = engine_build.build_engine(halves["classifier"], profile, real.trt, real.library, BuildOptions(), gpu=of(capability))
    assert len(data) > 1 << 20
    named = (True, f"SM{capability.replace('.', '')}")
    assert aimed in ([(True, "CURRENT"), named], [(True, "CURRENT")])  # the latter where there is a GPU


def test_the_real_one_says_which_gpus_it_lists(real: Machine, halves: dict[str, fp16.HalfGraph]) -> None:
    profile = profile_for(load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"))
    assert "8.9" in rtx.unlisted(real.trt, real.library, "1.0")
    if real.gpu.driver != "unknown":
        pytest.skip("it sees a GPU, and builds for it")
    with pytest.raises(BackendError, match=r"cannot build the engine: .*lists .*, not 1\.0"):
        engine_build.build_engine(halves["classifier"], profile, real.trt, real.library, BuildOptions(), gpu=of("1.0"))
