"""Every command talks to what is configured and to nobody else, and leaves files only where it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends.table import local
from edge.journal import Journal
from edge.samples import sample_files
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.fakes.tap import COMPILER, Tap, Told, command
from tests.service.running_daemon import COMMAND, PREFIX, Service, png

OURS = ".cache/sem-corrosion-edge/"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    return Tap(tmp_path / "tap")


def edge(name: str) -> str:
    return command("edge.commands.cli", name)


def strangers(told: Told, *allowed: str) -> set[str]:
    """Whom it called without being told to, and files in the home folder that are not ours."""
    return {one for one in told.called if one not in allowed} | {file for file in told.files if not file.startswith(OURS)}


def test_the_tap_hears_a_name_that_is_looked_up_and_an_address_that_is_called(tap: Tap) -> None:
    told = tap.run(
        "import contextlib, pathlib, socket\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('statistics.invalid', 443)\n"
        "with contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 1), 1)\n"
        "pathlib.Path.home().joinpath('left').touch()"
    )
    assert strangers(told) == {"statistics.invalid", "127.0.0.1", "127.0.0.1:1", "left"}


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler: native calls are not heard")
def test_the_tap_hears_native_calls_too(tap: Tap) -> None:
    told = tap.run(
        "import ctypes\n"
        "found = ctypes.c_void_p()\n"
        "ctypes.CDLL(None).getaddrinfo(b'statistics.invalid', None, None, ctypes.byref(found))"
    )
    assert told.called == {"statistics.invalid"}


@pytest.mark.parametrize("backend", [name for name in local() if name != "tensorrt"])
def test_an_inspection_calls_nobody(backend: str, tap: Tap) -> None:
    assert not strangers(tap.run(edge("inspect"), "--backend", backend, sample_files()[0]))


def test_an_inspection_from_python_calls_nobody(tap: Tap) -> None:
    assert not strangers(tap.run(f"import edge; edge.inspect({str(sample_files()[0])!r})"))


def test_a_look_at_the_quarantine_calls_nobody(tmp_path: Path, tap: Tap) -> None:
    Journal.open(tmp_path / "state").close()
    for arguments in (["list"], ["retry", "--all"]):
        assert not strangers(tap.run(edge("review"), *arguments, "--state", str(tmp_path / "state")))


def test_the_doctor_calls_nobody_but_the_broker(tmp_path: Path, tap: Tap) -> None:
    service = Service(tmp_path, 1)
    told = tap.run(f"from edge.commands.cli import doctor; doctor(['--config', {str(service.config)!r}])")
    assert not strangers(told, "127.0.0.1", "127.0.0.1:1")


def test_checking_a_configuration_calls_nobody_but_the_broker(tmp_path: Path, tap: Tap) -> None:
    service = Service(tmp_path, 1)
    told = tap.run(f"from edge.commands.cli import daemon; daemon(['--config', {str(service.config)!r}, '--check'])")
    assert not strangers(told, "127.0.0.1", "127.0.0.1:1")


@needs_mosquitto
@pytest.mark.parametrize("backend", ["onnxruntime", "auto"])
def test_the_daemon_calls_nobody_but_the_broker(backend: str, tmp_path: Path, tap: Tap) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker.port, f"{PREFIX}/#") as listener:
        alone = ["env", "-i", *(f"{name}={value}" for name, value in tap.environment.items()), *COMMAND]
        with Service(tmp_path / "s", broker.port, command=alone, models={"backend": backend}) as service:
            service.put("a.png", png(1))
            eventually(lambda: listener.on("/inspection"), 90, "an inspection")
            service.stop()
        told = tap.told()
    assert f"127.0.0.1:{broker.port}" in told.called  # so it was heard
    assert not strangers(told, "127.0.0.1", f"127.0.0.1:{broker.port}")


def test_the_benchmark_calls_nobody(tmp_path: Path, tap: Tap) -> None:
    arguments = ("--duration", "0.01", "--scenario", "single-stream", "--json", tmp_path / "run.json")
    assert not strangers(tap.run(edge("bench"), sample_files()[0], *arguments))


def test_the_demo_stays_on_loopback(tmp_path: Path, tap: Tap) -> None:
    pytest.importorskip("amqtt")
    told = tap.run(edge("demo"), "--images", "1", "--out", tmp_path / "out")
    assert not {one for one in strangers(told) if one not in LOOPBACK and one.rpartition(":")[0] not in LOOPBACK}


def test_drawing_and_preparing_a_data_set_call_nobody(tmp_path: Path, tap: Tap) -> None:
    pytest.importorskip("sklearn")
    train = command("training.cli", "main")
    tap.run(train, "synthesize", "--out", tmp_path / "drawn", "--images", "8", "--seed", "5", "--size", "96x96")
    told = tap.run(train, "prepare", tmp_path / "drawn", "--out", tmp_path / "ready", "--folds", "2", "--augment", "1")
    assert not strangers(told)


@pytest.mark.parametrize("task", ["segmenter", "classifier"])
def test_training_and_exporting_call_nobody(task: str, tmp_path: Path, tap: Tap) -> None:
    for library in ("torch", "ultralytics", "timm", "onnx"):
        pytest.importorskip(library)
    train = command("training.cli", "main")
    tap.run(train, "synthesize", "--out", tmp_path / "drawn", "--images", "10", "--seed", "5", "--size", "96x96")
    small = ("--imgsz", "96") if task == "segmenter" else ("--no-crops", "--architecture", "resnet18", "--head-epochs", "0")
    common = ("--data", tmp_path / "drawn", "--out", tmp_path / "run", "--weights", "none", "--epochs", "1")
    tap.run(train, task, *common, *small)
    weights = tmp_path / "run" / f"{task}.pt"
    told = tap.run(command("export.cli", "main"), "onnx", f"--{task}", weights, "--out", tmp_path / "models")
    assert not strangers(told)
