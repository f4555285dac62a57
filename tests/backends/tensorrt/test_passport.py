"""The passport beside an engine: what it vouches for, why it does not, and that nothing half-written is ever there."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.backends.tensorrt import passport as passports
from edge.backends.tensorrt.passport import (
    RECIPE,
    EngineParity,
    Gpu,
    Library,
    Passport,
    Profile,
    engine_folders,
    engine_name,
    find_engine,
    install_engine,
    load_engine,
    passport_path,
    read_passport,
    this_gpu,
)
from edge.errors import ModelError

ONNX = "1" * 64
LIBRARY = Library(name="tensorrt", version="10.3.0")
GPU = Gpu(
    name="Orin",
    compute_capability="8.7",
    driver="540.4.0",
    multiprocessors=8,
    memory_mib=7620,
    uuid="GPU-a",
    integrated=True,
    power_mode="1 25W",
    l4t="36.4.3",
)
CARD = Gpu(name="NVIDIA A100", compute_capability="8.0", multiprocessors=108, memory_mib=40339, uuid="GPU-a")
DATA, OTHER_DATA = b"machine code", b"other machine code"


def passport(data: bytes = DATA, **changes: Any) -> Passport:
    facts: dict[str, Any] = {
        "recipe": RECIPE,
        "made_at": "2026-01-02T03:04:05+00:00",
        "made_by": "0.1.0",
        "model": "segmenter.onnx",
        "onnx_sha256": ONNX,
        "engine_sha256": hashlib.sha256(data).hexdigest(),
        "engine_bytes": len(data),
        "library": LIBRARY,
        "gpu": GPU,
        "profile": Profile(least=(1, 1, 32, 32), best=(1, 1, 480, 640), most=(4, 1, 640, 640)),
        "layers": {"float16": 80, "float32": 9},
        "parity": EngineParity(images=8, mean_mask_iou=0.998, worst_mask_iou=0.99, box_error_px=0.3),
        **changes,
    }
    return Passport(**facts)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / engine_name(Path("segmenter.onnx"), ONNX)
    install_engine(path, DATA, passport())
    return path


def load(engine: Path, **changes: Any) -> passports.Engine:
    return load_engine(engine, **{"onnx_sha256": ONNX, "library": LIBRARY, "gpu": GPU, **changes})


def test_what_was_installed_is_loaded(engine: Path) -> None:
    loaded = load(engine)
    assert (loaded.path, loaded.data, loaded.passport) == (engine, DATA, passport())


def test_the_passport_is_json_beside_the_engine(engine: Path) -> None:
    document = json.loads(engine.with_name(engine.name + ".json").read_text())
    assert document["schema"] == "edge.engine/1"
    assert document["gpu"] == {
        "name": "Orin",
        "compute_capability": "8.7",
        "driver": "540.4.0",
        "multiprocessors": 8,
        "memory_mib": 7620,
        "mig": None,
        "uuid": "GPU-a",
        "integrated": True,
        "power_mode": "1 25W",
        "l4t": "36.4.3",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"onnx_sha256": "2" * 64}, "another ONNX file"),
        (
            {"library": Library(name="tensorrt", version="10.16.1")},
            r"another TensorRT \(tensorrt 10\.3\.0, here is tensorrt 10\.16",
        ),
        ({"library": Library(name="tensorrt_rtx", version="10.3.0")}, "another TensorRT"),
        ({"gpu": Gpu(name="NVIDIA Thor", compute_capability="8.7")}, r"another GPU \(Orin .*, here is NVIDIA Thor"),
        ({"gpu": Gpu(name="Orin", compute_capability="8.9")}, "another GPU"),
    ],
)
def test_an_engine_of_elsewhere_is_refused_with_the_reason(engine: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        load(engine, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"multiprocessors": 16}, r"multiprocessors: 8, here 16"),
        ({"memory_mib": 15656}, r"MiB of memory: 7620, here 15656"),
        ({"multiprocessors": 4, "power_mode": "2 7W"}, r"multiprocessors: 8, here 4; power mode: 1 25W, here 2 7W"),
        ({"power_mode": "0 15W"}, r"power mode: 1 25W, here 0 15W"),
        ({"l4t": "36.5.0"}, r"L4T: 36\.4\.3, here 36\.5\.0"),
    ],
)
def test_an_engine_of_another_jetson_or_another_setting_is_refused(engine: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=rf"{reason}.*\(edge-export tensorrt builds it again\)"):
        load(engine, gpu=GPU.model_copy(update=changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uuid": "GPU-b"}, "UUID: GPU-a, here GPU-b"),
        ({"mig": "1g.5gb"}, r"divided GPU \(MIG\): none, here 1g\.5gb"),
        ({"memory_mib": 81920}, "MiB of memory: 40339, here 81920"),
        ({"memory_mib": 40000}, None),  # as much as drivers differ
        ({"uuid": None, "memory_mib": None, "multiprocessors": None}, None),
        ({"driver": "999.1"}, None),
    ],
)
def test_an_engine_of_another_card_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str | None) -> None:
    path = tmp_path / engine_name(Path("a.onnx"), ONNX)
    install_engine(path, DATA, passport(gpu=CARD))
    here = CARD.model_copy(update=changes)
    if reason is None:
        assert load(path, gpu=here).data == DATA
    else:
        with pytest.raises(ModelError, match=reason):
            load(path, gpu=here)


@pytest.mark.parametrize("changes", [{"uuid": "GPU-b"}, {"power_mode": None, "l4t": None}])
def test_what_may_change_or_cannot_be_read_on_a_jetson_is_no_reason(engine: Path, changes: dict[str, Any]) -> None:
    assert load(engine, gpu=GPU.model_copy(update=changes)).data == DATA


def test_a_passport_of_an_older_release_is_read_and_refused_with_the_reason(engine: Path) -> None:
    facts = json.loads(passport_path(engine).read_text())
    facts["gpu"] = {"name": "Orin", "compute_capability": "8.7", "driver": "540.4.0"}
    passport_path(engine).write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="does not say for how many multiprocessors"):
        load(engine)
    passport_path(engine).write_text(json.dumps({**facts, "recipe": 1}))
    with pytest.raises(ModelError, match="by recipe 1, this version"):
        load(engine)


def test_another_driver_is_no_reason(engine: Path) -> None:
    assert load(engine, gpu=GPU.model_copy(update={"driver": "999.1.2"})).data == DATA


def test_changed_bytes_are_refused(engine: Path) -> None:
    engine.write_bytes(DATA + b"!")
    with pytest.raises(ModelError, match="hashes differ"):
        load(engine)


def test_an_engine_that_anyone_may_write_to_is_refused(engine: Path) -> None:
    engine.chmod(0o666)
    with pytest.raises(ModelError, match="anyone may write"):
        load(engine)


@pytest.mark.parametrize(
    ("changes", "reason"), [({"parity": None}, "never compared"), ({"recipe": RECIPE + 1}, f"recipe {RECIPE + 1}")]
)
def test_a_passport_that_lacks_proof_or_is_of_another_recipe_is_refused(
    engine: Path, changes: dict[str, Any], reason: str
) -> None:
    passport_path(engine).write_text(passport(**changes).model_dump_json(by_alias=True))
    with pytest.raises(ModelError, match=reason):
        load(engine)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema": "edge.engine/2"}', "\xff"])
def test_a_damaged_passport_is_refused_by_its_path(engine: Path, text: str) -> None:
    passport_path(engine).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"engine\.json"):
        load(engine)


def test_a_missing_engine_or_passport_is_refused(engine: Path) -> None:
    moved = engine.with_name("elsewhere")
    engine.rename(moved)
    with pytest.raises(ModelError, match="cannot be read"):
        load(engine)
    moved.rename(engine)
    passport_path(engine).unlink()
    with pytest.raises(ModelError, match="no readable passport"):
        load(engine)


# --- where engines lie -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    return tmp_path


def find(model: Path, **changes: Any) -> passports.Engine:
    return find_engine(model, **{"onnx_sha256": ONNX, "library": LIBRARY, "gpu": GPU, **changes})


@pytest.mark.parametrize("place", [0, 1])
def test_an_engine_is_found_beside_its_model_and_in_the_cache(home: Path, place: int) -> None:
    model = home / "models" / "segmenter.onnx"
    engine = engine_folders(model)[place] / engine_name(model, ONNX)
    install_engine(engine, DATA, passport())
    assert find(model).path == engine


def test_an_engine_that_does_not_fit_does_not_hide_one_that_does(home: Path) -> None:
    model = home / "models" / "segmenter.onnx"
    beside, cached = (folder / engine_name(model, ONNX) for folder in engine_folders(model))
    install_engine(beside, DATA, passport(gpu=Gpu(name="another", compute_capability="7.5")))
    install_engine(cached, DATA, passport())
    assert find(model).path == cached


def test_every_reason_is_told_when_no_engine_fits(home: Path) -> None:
    model = home / "models" / "segmenter.onnx"
    beside, cached = (folder / engine_name(model, ONNX) for folder in engine_folders(model))
    install_engine(beside, DATA, passport(gpu=Gpu(name="another", compute_capability="7.5")))
    install_engine(cached, DATA, passport(recipe=RECIPE - 1))
    with pytest.raises(ModelError, match=r"(?s)another GPU.*recipe"):
        find(model)


def test_without_an_engine_the_cure_is_told(home: Path) -> None:
    with pytest.raises(ModelError, match="edge-export tensorrt"):
        find(home / "models" / "segmenter.onnx")


def test_two_models_of_one_name_have_two_engines() -> None:
    assert engine_name(Path("a.onnx"), "1" * 64) != engine_name(Path("a.onnx"), "2" * 64)


# --- the swap --------------------------------------------------------------------------------------------------------


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_newer_engine_replaces_the_older_one_and_leaves_nothing_else(engine: Path) -> None:
    install_engine(engine, OTHER_DATA, passport(OTHER_DATA))
    assert load(engine).data == OTHER_DATA
    assert names(engine.parent) == {engine.name, passport_path(engine).name}


@pytest.mark.parametrize("failing", ["fsync", "fchmod", "open"])
def test_a_disk_that_fails_leaves_the_older_engine_in_use(engine: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    real = getattr(os, failing)
    calls = []

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(passports.os, failing, fail)
        with pytest.raises(ModelError, match="No space left"):
            install_engine(engine, OTHER_DATA, passport(OTHER_DATA))
    assert load(engine).data == DATA
    assert names(engine.parent) == {engine.name, passport_path(engine).name}


def test_a_crash_between_the_two_names_leaves_a_pair_that_is_not_used(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, done = os.replace, []

    def replace(source: str, target: str, **folders: int) -> None:
        done.append(target)
        if len(done) == 2:
            raise KeyboardInterrupt
        real(source, target, **folders)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            install_engine(engine, OTHER_DATA, passport(OTHER_DATA))
    assert done == [engine.name, passport_path(engine).name]  # the engine first, the passport last
    with pytest.raises(ModelError, match="hashes differ"):
        load(engine)
    assert names(engine.parent) == {engine.name, passport_path(engine).name}


def test_what_a_killed_builder_left_is_written_over(engine: Path) -> None:
    left = engine.with_name(f".{engine.name}.tmp")
    left.write_bytes(b"x" * 100)
    install_engine(engine, OTHER_DATA, passport(OTHER_DATA))
    assert load(engine).data == OTHER_DATA
    assert not left.exists()


@pytest.mark.parametrize("wrong", [passport(OTHER_DATA), passport(parity=None)])
def test_a_passport_of_another_engine_or_without_proof_is_not_installed(tmp_path: Path, wrong: Passport) -> None:
    with pytest.raises(ModelError, match="nothing was written"):
        install_engine(tmp_path / "a.engine", DATA, wrong)
    assert not names(tmp_path)


def test_others_may_read_an_engine_and_not_write_it_nor_its_folders(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        install_engine(tmp_path / "new" / "engines" / "a.engine", DATA, passport())
    finally:
        os.umask(before)
    folders = [tmp_path / "new", tmp_path / "new" / "engines"]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in folders[1].iterdir()} == {0o644}


# --- the machine -----------------------------------------------------------------------------------------------------


def test_a_machine_without_a_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(passports.device.ctypes, "CDLL", no_library)
    assert this_gpu() is None


def test_a_driver_without_a_gpu_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDevice:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: 100

    monkeypatch.setattr(passports.device.ctypes, "CDLL", lambda name: NoDevice())
    assert this_gpu() is None


def test_the_gpu_is_what_the_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def name_it(text: Any, size: int, device: Any) -> int:
        text.value = b"Orin"
        return 0

    def attribute_of(value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 8, 76: 7, 16: 8, 18: integrated}[attribute]
        return 0

    driver = SimpleNamespace(
        cuInit=lambda *_: 0, cuDeviceGet=lambda *_: 0, cuDeviceGetName=name_it, cuDeviceGetAttribute=attribute_of
    )
    monkeypatch.setattr(passports.device.ctypes, "CDLL", lambda name: driver)
    monkeypatch.setattr(passports.jetson, "power_mode", lambda: "1 25W")
    monkeypatch.setattr(passports.jetson, "l4t", lambda: "36.4.3")
    integrated = 1
    found = this_gpu()
    assert found is not None
    assert (found.name, found.compute_capability, found.multiprocessors) == ("Orin", "8.7", 8)
    assert (found.power_mode, found.l4t) == ("1 25W", "36.4.3")
    integrated = 0
    found = this_gpu()
    assert found is not None
    assert (found.power_mode, found.l4t) == (None, None)  # a card has neither


def test_a_profile_takes_what_lies_within_it() -> None:
    profile = passport().profile
    assert profile.takes((4, 1, 640, 32))
    assert not profile.takes((5, 1, 640, 640))
    assert not profile.takes((1, 1, 672, 640))
    assert not profile.takes((640, 640))


def test_a_passport_reads_back_as_it_was_written(engine: Path) -> None:
    assert read_passport(engine) == passport()
