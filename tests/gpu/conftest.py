"""The GPU, the kernels and engines of the shipped models built for it, and the answers that `make gpu-check` ends with.

Environment: EDGE_GPU_REQUIRED=1 runs these tests and counts what is lacking as a failure; without it they are skipped.
EDGE_GPU_RUNS (10000) and EDGE_GPU_IMAGES (200) are how often the long ones repeat. EDGE_GPU_REHEARSAL=1 notes numbers and
asks nothing of them: so the checks themselves are checked where there is no GPU (tests/test_gpu_check.py). EDGE_GPU_OUT names a
folder for `gpu-check.json`: the GPU, each answer, each time. EDGE_GPU_NETWORKS says what stands in for engines.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from edge import __version__
from edge.backends.tensorrt import passport
from edge.backends.tensorrt.cuda import Cuda, find_kernels
from edge.backends.tensorrt.engine import TensorRtEngine, find_engine
from edge.config import Settings
from edge.errors import EdgeError
from edge.models.card import BUILTIN_FOLDER
from tests.conftest import settings_for

RUNS = int(os.environ.get("EDGE_GPU_RUNS", "10000"))
IMAGES = int(os.environ.get("EDGE_GPU_IMAGES", "200"))
REHEARSAL = "EDGE_GPU_REHEARSAL" in os.environ


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked of this machine, and what it said."""

    question: str
    wanted: str
    found: str
    kept: bool


ANSWERS: list[Answer] = []
FIGURES: dict[str, float] = {}
"""What was measured, its unit in its name."""


def answer(question: str, found: str, wanted: str, kept: bool) -> None:
    """Note a number for the summary, and fail where it is not what is wanted."""
    ANSWERS.append(Answer(question, wanted, found, kept))
    assert kept or REHEARSAL, f"{question}: {found}, wanted {wanted}"


def measured(**figures: float) -> None:
    """Note numbers that nothing is asked of."""
    for name, value in figures.items():
        FIGURES[name] = round(float(value), 4)
        print(f"{name}: {value:.4g}")


def gpu_ms(cuda: Cuda, work: Callable[[], object], repeats: int = min(RUNS, 200)) -> float:
    """Median of the GPU's own time for what `work` puts on the stream, each time alone."""
    import pycuda.driver

    took = []
    for _ in range(repeats + 3):
        begun, done = pycuda.driver.Event(), pycuda.driver.Event()
        begun.record(cuda._queue)
        work()
        done.record(cuda._queue)
        done.synchronize()
        took.append(done.time_since(begun))
    return float(np.median(took[3:]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was asked of this GPU, what it said, and what was not asked and why, also where tests failed."""
    if "EDGE_GPU_REQUIRED" not in os.environ:
        return
    terminalreporter.section("this GPU")
    if gpu := passport.this_gpu():
        terminalreporter.line(f"{gpu}, driver {gpu.driver}")
    for one in ANSWERS:
        terminalreporter.line(f"{'kept  ' if one.kept else 'MISSED'}  {one.question}: {one.found} (wanted {one.wanted})")
    ours = {kind: [one for one in reports if _is_ours(one)] for kind, reports in terminalreporter.stats.items() if kind}
    terminalreporter.line(f"passed      {len(ours.get('passed', ()))} tests")
    for one in ours.get("failed", ()):
        terminalreporter.line(f"FAILED      {_name(one)}: {_last_line(one)}")
    reasons: dict[str, list[str]] = {}
    for one in (*ours.get("error", ()), *ours.get("skipped", ())):
        reasons.setdefault(_last_line(one), []).append(_name(one))
    for reason, names in reasons.items():
        terminalreporter.line(f"NOT TESTED  {len(names)} for this reason: {reason}")
        for name in names:
            terminalreporter.line(f"            {name}")
    for figure, value in FIGURES.items():
        terminalreporter.line(f"measured    {figure}: {value:g}")
    if "EDGE_GPU_OUT" in os.environ:
        path = Path(os.environ["EDGE_GPU_OUT"]) / "gpu-check.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_document(gpu, ours, reasons), indent=1) + "\n", encoding="utf-8")
        terminalreporter.line(f"written     {path}")


def _document(gpu: passport.Gpu | None, ours: dict[str, list[Any]], reasons: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "schema": "edge.gpu-check/1",
        "version": __version__,
        "gpu": gpu.model_dump() if gpu else None,
        "networks": os.environ.get("EDGE_GPU_NETWORKS", "engines of TensorRT"),
        "runs": RUNS,
        "images": IMAGES,
        "figures": FIGURES,
        "answers": [asdict(one) for one in ANSWERS],
        "passed": [_name(one) for one in ours.get("passed", ())],
        "failed": {_name(one): _last_line(one) for one in ours.get("failed", ())},
        "not_tested": reasons,
    }


def _is_ours(report: Any) -> bool:
    return str(getattr(report, "nodeid", "")).startswith("tests/gpu/") and getattr(report, "when", "") != "teardown"


def _name(report: Any) -> str:
    return str(report.nodeid).rpartition("::")[2].removeprefix("test_").replace("_", " ")


def _last_line(report: Any) -> str:
    """Why a test failed or was skipped."""
    found = report.longrepr
    crash = getattr(found, "reprcrash", None)
    text = crash.message if crash else str(found[2] if isinstance(found, tuple) else found)
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason is told")


def lacking(what: str) -> NoReturn:
    """Fail: the tests were started for it."""
    pytest.fail(what)


@pytest.fixture(scope="session")
def gpu() -> passport.Gpu:
    if "EDGE_GPU_REQUIRED" not in os.environ:
        pytest.skip("takes long and needs an NVIDIA GPU: make gpu-check")
    found = passport.this_gpu()
    if found is None:
        lacking("this machine has no NVIDIA GPU with a driver")
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        lacking(f"PyCUDA cannot be imported: {error}")
    return found


@pytest.fixture(scope="session")
def built_kernels(gpu: passport.Gpu, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path | None, str]:
    """The fat binary that is built here, or came with the package; else why there is none. Needs no TensorRT."""
    from export import fatbin

    nvcc = fatbin.find_nvcc()
    try:
        if nvcc is not None:
            return fatbin.build(tmp_path_factory.mktemp("kernels"), nvcc), ""
    except fatbin.FatbinError as error:
        return None, f"the kernels are not built: {error}"
    shipped = find_kernels([Path(fatbin.SOURCES[0]).parent])
    return shipped, f"the kernels are not built: {fatbin.MISSING}"


@pytest.fixture(scope="session")
def kernels(built_kernels: tuple[Path | None, str]) -> Path:
    """The kernels alone, for what can be asked of a GPU without TensorRT."""
    path, why = built_kernels
    if path is None:
        lacking(why)
    return path


@pytest.fixture(scope="session")
def models(
    gpu: passport.Gpu, built_kernels: tuple[Path | None, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with the shipped models, the kernels, and the engines that are built for them here in some minutes."""
    try:
        from export.engine_build import BuildOptions
        from export.to_tensorrt import NoTensorRtError, make_engine
    except ImportError as error:
        lacking(f"engines cannot be built: {error}")
    folder = tmp_path_factory.mktemp("models")
    for path in (*BUILTIN_FOLDER.iterdir(), *(path for path in built_kernels[:1] if path is not None)):
        shutil.copy(path, folder)
    settings = settings_for(tmp_path_factory.mktemp("settings") / "watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))  # where engines may lie, too
        for name, task in (("segmenter", "segment"), ("classifier", "classify")):
            try:
                made = make_engine(folder / f"{name}.onnx", task, settings, BuildOptions(), print)  # type: ignore[arg-type]
            except (NoTensorRtError, EdgeError) as error:
                lacking(f"there is no engine of {name}.onnx: {error}")
            print(f"{name}: {made.passport.library}, layers {made.passport.layers}, parity {made.passport.parity}")
        yield folder


@pytest.fixture(scope="session")
def settings(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The service's own, with the models whose engines were built."""
    named = {"segmenter": str(models / "segmenter.onnx"), "classifier": str(models / "classifier.onnx")}
    return settings_for(tmp_path_factory.mktemp("watch") / "watched", models=named)


def opened(model: Path, kernels: Path | None, *, graphs: bool = True, kind: type[TensorRtEngine] = TensorRtEngine) -> Any:
    """The engine that was built of `model`."""
    engine, library = find_engine(model)
    return kind(engine.data, library, kernels=kernels, graphs=graphs)


@pytest.fixture
def segmenter(models: Path, kernels: Path) -> Iterator[TensorRtEngine]:
    with opened(models / "segmenter.onnx", kernels) as engine:
        yield engine


@pytest.fixture
def classifier(models: Path, kernels: Path) -> Iterator[TensorRtEngine]:
    with opened(models / "classifier.onnx", kernels) as engine:
        yield engine
