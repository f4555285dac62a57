"""A candidate's process: what it says, how it gives way, and how its end is seen."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytest.importorskip("onnx")

from edge.config import Settings
from edge.inspection.pipeline import Pipeline
from edge.inspector import encode
from edge.service import shadow_child
from edge.service.shadow_child import Child, ChildEndedError, Judged
from tests.conftest import SOURCE, micrograph, pitted, settings_for
from tests.fakes.brokers import eventually
from tests.service.candidates import models
from tests.service.running_daemon import ended

PLENTY = 1 << 40


def settings_of(folder: Path, candidate: Path) -> Settings:
    named = {"segmenter": str(candidate / "segmenter.onnx"), "classifier": str(candidate / "classifier.onnx")}
    return settings_for(folder, models={"backend": "onnxruntime", **named})


def child_of(settings: Settings, *, given_up: Callable[[], bool] = lambda: False, most_bytes: int = PLENTY) -> Child:
    return Child(settings, "float32", most_bytes=most_bytes, given_up=given_up)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """An image that the shipped models have judged."""
    settings = settings_for(tmp_path_factory.mktemp("present"), models={"backend": "onnxruntime"})
    image = micrograph(pitted(160, 120, 1, 3))
    with Pipeline(settings) as pipeline:
        document = encode(pipeline.inspect(image, SOURCE), settings.device)
    return Judged(json.loads(document)["inspection_id"], document, image, SOURCE)


def test_as_good_models_say_the_same_and_run_after_everything_else(tmp_path: Path, judged: Judged) -> None:
    with child_of(settings_of(tmp_path / "export", models(tmp_path / "same"))) as child:
        opened = child.opened()
        child.look()
        assert opened is not None
        assert opened.runs_on == ("onnxruntime", "float32")
        process = psutil.Process(child._process.pid)
        assert process.nice() == min(psutil.Process().nice() + shadow_child.NICEST, 19)
        sides = child.ask(judged, 0.0)
    assert sides is not None
    assert (sides.agrees, sides.area_change, sides.weight, sides.picture) == (True, 0.0, 0.0, None)
    assert sides.before["inspection_id"] == sides.after["inspection_id"] == judged.inspection_id
    assert sides.before["area_fraction"] == sides.after["area_fraction"] > 0
    before, after = sides.models
    assert before["segmenter"] == after["segmenter"]
    assert before["classifier"] != after["classifier"]
    assert multiprocessing.active_children() == []


def test_what_changed_enough_has_a_picture(tmp_path: Path, judged: Judged) -> None:
    with child_of(settings_of(tmp_path / "export", models(tmp_path / "other", severe=8.0))) as child:
        child.opened()
        sides, without = child.ask(judged, 1.0), child.ask(judged, 1.5)
    assert sides is not None
    assert (sides.before["severity"], sides.after["severity"], sides.agrees) == ("moderate", "severe", False)
    assert sides.weight == 1.0
    assert sides.picture is not None
    assert sides.picture[8:12] == b"WEBP"
    assert without is not None
    assert without.picture is None


def test_a_killed_one_has_ended(tmp_path: Path, judged: Judged) -> None:
    with child_of(settings_of(tmp_path / "export", models(tmp_path / "same"))) as child:
        child.opened()
        assert child._process.pid
        os.kill(child._process.pid, signal.SIGSEGV)
        child._process.join()
        with pytest.raises(ChildEndedError, match="exit status -11"):
            child.look()
        with pytest.raises(ChildEndedError, match="exit status -11"):
            child.ask(judged, 0.0)


def test_one_that_never_answers_is_ended(tmp_path: Path, judged: Judged) -> None:
    with child_of(settings_of(tmp_path / "export", models(tmp_path / "endless", rounds=1 << 60))) as child:
        child.opened()
        child._longest_s = 0.1
        with pytest.raises(ChildEndedError, match=r"no answer within 0\.1 s"):
            child.ask(judged, 0.0)
    assert multiprocessing.active_children() == []


def test_one_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    with (
        child_of(settings_of(tmp_path / "export", models(tmp_path / "same")), most_bytes=1 << 20) as child,
        pytest.raises(ChildEndedError, match="MiB of memory, 1 are allowed"),
    ):
        child.opened()


def test_a_wait_ends_when_nobody_wants_the_answer(tmp_path: Path, judged: Judged) -> None:
    unwanted = False
    settings = settings_of(tmp_path / "export", models(tmp_path / "endless", rounds=1 << 60))
    with child_of(settings, given_up=lambda: unwanted) as child:
        assert child.opened() is not None
        unwanted = True
        assert child.ask(judged, 0.0) is None


def test_models_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    candidate = models(tmp_path / "damaged")
    (candidate / "classifier.onnx").write_bytes(b"no model")
    with child_of(settings_of(tmp_path / "export", candidate)) as child, pytest.raises(ChildEndedError, match="hashes differ"):
        child.opened()


def half_an_answer(connection: multiprocessing.connection.Connection) -> None:
    os.write(connection.fileno(), b"\0\0\1\0half")
    os._exit(3)


def test_one_that_dies_in_the_middle_of_its_answer_has_ended(settings: Settings) -> None:
    with (
        Child(settings, "float32", most_bytes=PLENTY, given_up=lambda: False, main=half_an_answer) as child,
        pytest.raises(ChildEndedError, match="exit status 3"),
    ):
        child.opened()


def test_it_does_not_outlive_the_one_who_asks(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "export", models(tmp_path / "same"))
    context = multiprocessing.get_context("spawn")
    told, ours = context.Pipe(duplex=False)
    owner = context.Process(target=hold, args=(settings, ours))
    owner.start()
    process = psutil.Process(told.recv())
    owner.kill()
    owner.join()
    eventually(lambda: ended(process), 60)


def hold(settings: Settings, told: multiprocessing.connection.Connection) -> None:
    """Hold a candidate's process until killed."""
    child = child_of(settings)
    child.opened()
    told.send(child._process.pid)
    signal.pause()
