"""An engine is built, checked and installed with its passport, or refused and nothing is left."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.tensorrt import cuda
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt.passport import Gpu, Library, engine_folders, passport_path
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.records import Micrograph
from export import fp16, to_tensorrt
from export.to_tensorrt import profile_for
from tests import ROOT
from tests.export.engines import FP32, MODELS, command, layer, report
from tests.export.test_engine_parity import Spoilt
from tests.export.test_fatbin import compiler

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


def engines(model: Path) -> list[Path]:
    return sorted(path for folder in engine_folders(model) if folder.exists() for path in folder.glob("*.engine*"))


def test_an_engine_is_built_checked_and_installed_with_its_passport(bench: Any, model: Path, config: str) -> None:
    assert command("--config", config) == 0
    engine, evidence, passport = engines(model)
    assert evidence.read_text() == bench.report
    assert (engine.read_bytes(), engine.parent, passport) == (b"machine code", model.parent, passport_path(engine))
    facts = json.loads(passport.read_text())
    assert facts["onnx_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert facts["layers"] == {"float16": 1}
    assert facts["doubts"] == []
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
    assert len(engines(model)) == 3


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
    told = capsys.readouterr().err
    assert "turned out float32" in told
    assert not engines(model)
    (refused,) = model.parent.glob("refused-*.inspector.json")
    assert str(refused) in told
    assert refused.read_text() == bench.report


@pytest.mark.parametrize("report", ["a new form", '{"Layers": ["/conv_stem/Conv"]}'])
def test_a_report_that_cannot_be_read_is_a_loud_warning_and_kept(
    bench: Any, model: Path, config: str, report: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.report = report
    assert command("--config", config) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("WARNING")]
    assert "inspector" in warning
    engine, evidence, passport = engines(model)
    assert evidence == to_tensorrt.evidence_path(engine)
    assert evidence.read_text() == report
    (doubt,) = json.loads(passport.read_text())["doubts"]
    assert doubt in warning
    assert command("--config", config) == 0
    assert bench.builds == 1


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


def test_engines_go_to_the_cache_where_the_models_folder_cannot_be_written(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_tensorrt.os, "access", lambda path, mode: Path(path) != model.parent)
    assert to_tensorrt.writable_folder(model) == engine_folders(model)[1]


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
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=18", str(unit)]
    secure = subprocess.run(command, capture_output=True, text=True, check=False)
    assert secure.returncode == 0, secure.stdout[-600:]


@pytest.mark.parametrize(("multiprocessors", "wide"), [(None, None), (8, None), (16, None), (30, 40), (132, 40)])
def test_a_large_gpu_gets_a_second_profile_for_many_crops(multiprocessors: int | None, wide: int | None) -> None:
    card = load_card(BUILTIN_FOLDER / "classifier.onnx", "classify")
    profile = profile_for(card, multiprocessors)
    assert profile.most[0] == 8
    assert profile.wide == (None if wide is None else (wide, *profile.most[1:]))
    assert len(profile.ranges) == (1 if wide is None else 2)
