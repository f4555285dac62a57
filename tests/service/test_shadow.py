"""A candidate beside the present models: what is kept of it, and that nothing waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from edge.config import Settings
from edge.fleet.release import Release
from edge.fleet.shelf import Shelf
from edge.inspection import memory
from edge.inspection.pipeline import Pipeline
from edge.inspector import encode
from edge.journal import Journal, disk
from edge.journal.shadowed import Shadowed
from edge.service import shadow as shadow_module
from edge.service.shadow import Shadow, settings_beside
from edge.service.shadow_child import Child, ChildEndedError, Judged, Opened, Sides
from edge.service.shared import Shared
from edge.wire.documents import ShadowFields
from tests.conftest import micrograph, pitted, settings_for
from tests.fakes.brokers import eventually
from tests.service.candidates import models, on_shelf
from tests.wire.examples import example

MODELS: tuple[dict[str, str | None], dict[str, str | None]] = ({"segmenter": "1" * 64}, {"segmenter": "2" * 64})
SIDES = Sides({"of": "present"}, {"of": "candidate"}, MODELS, "3" * 64, 0.0, True, 0.01, None)


def page(number: int) -> Judged:
    """A page that has its verdict."""
    return Judged(f"{number:08}-0000-0000-0000-000000000000", b"{}", micrograph(pitted(64, 64)), example().source)


class PlayedChild:
    """Answers as it is told. answers: what it gives for each start, the last one again and again."""

    answers: tuple[Sides | ChildEndedError, ...] = (SIDES,)
    started = 0

    def __init__(self, *_: object, **__: object) -> None:
        type(self).started += 1
        self._answer = self.answers[min(self.started, len(self.answers)) - 1]

    def opened(self) -> Opened:
        return Opened(("played", "float32"))

    def ask(self, *_: object) -> Sides:
        if isinstance(self._answer, ChildEndedError):
            raise self._answer
        return self._answer

    def look(self) -> None:
        pass

    def __enter__(self) -> PlayedChild:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def candidate(journal: Journal, tmp_path: Path) -> Release:
    return on_shelf(journal.folder, models(tmp_path / "candidate"))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[PlayedChild]:
    class Played(PlayedChild):
        pass

    monkeypatch.setattr(shadow_module, "Child", Played)
    monkeypatch.setattr(shadow_module, "AGAIN_S", (0.0, 0.0))
    monkeypatch.setattr(shadow_module, "TURN_S", 0.01)
    return Played


@pytest.fixture
def running(settings: Settings, journal: Journal, shared: Shared) -> Iterator[Shadow]:
    """The thread; begun by `thread.start()`."""
    shadow = Shadow(settings, journal, shared)
    thread = threading.Thread(target=shadow.run)
    thread.start()
    yield shadow
    shared.stopping.set()
    thread.join()


def told(shared: Shared, state: str) -> ShadowFields:
    def of_this_state() -> ShadowFields | None:
        found = shared.figures.shadow
        return found if found is not None and found.state == state else None

    found = eventually(of_this_state, 120, state)
    assert found is not None
    return found


def offered_until(shared: Shared, state: str) -> bool:
    """Offer one more page; whether this is the state."""
    shared.offers.offer(page(0))
    return shared.figures.shadow is not None and shared.figures.shadow.state == state


def compared(shared: Shared, count: int) -> ShadowFields:
    eventually(lambda: shared.figures.shadow is not None and shared.figures.shadow.compared >= count, 120, "compared")
    found = shared.figures.shadow
    assert found is not None
    return found


def test_what_a_candidate_says_is_kept_and_counted(
    played: type[PlayedChild], candidate: Release, running: Shadow, journal: Journal, shared: Shared
) -> None:
    told(shared, "running")
    shared.offers.offer(page(1))
    shared.offers.offer(page(1))
    shared.offers.offer(page(2))
    found = compared(shared, 2)
    assert (found.problem, found.failed, found.severity_agreement, found.area_change_median) == (None, 0, 1.0, 0.01)
    with Shadowed.view(journal.folder, candidate.id) as rows:
        assert rows.rows() == [({"of": "present"}, {"of": "candidate"})] * 2


def test_without_a_candidate_nothing_runs_and_nothing_is_kept(
    played: type[PlayedChild], running: Shadow, journal: Journal, shared: Shared
) -> None:
    shared.offers.offer(page(1))
    assert shared.offers.take(0.0) is None
    assert shared.figures.shadow is None
    assert played.started == 0
    assert not (journal.folder / "shadow").exists()


def test_one_that_ends_three_times_in_a_row_is_given_up_in_words(
    played: type[PlayedChild], candidate: Release, running: Shadow, journal: Journal, shared: Shared
) -> None:
    played.answers = (ChildEndedError("exit status -11"),)
    eventually(lambda: offered_until(shared, "given_up"), 60)
    found = told(shared, "given_up")
    assert found.problem == "it ended 3 times in a row, the last time so: exit status -11"
    assert any(f"the candidate {candidate.short} is given up" in problem for problem in shared.status.problems())
    with Shadowed.view(journal.folder, candidate.id) as rows:
        assert rows.summary().failed == 3
    Shelf(journal.folder).drop(candidate.id)
    eventually(lambda: shared.figures.shadow is None, 60)
    assert not any("given up" in problem for problem in shared.status.problems())


def test_an_answer_in_between_begins_the_count_of_ends_anew(
    played: type[PlayedChild], candidate: Release, running: Shadow, shared: Shared
) -> None:
    played.answers = (ChildEndedError("a"), ChildEndedError("b"), SIDES)
    eventually(lambda: offered_until(shared, "running") and compared(shared, 0).compared, 60)
    assert told(shared, "running").problem is None
    assert running._in_a_row == 0


def test_with_little_room_on_the_disk_it_stops_and_goes_on_when_there_is_more(
    played: type[PlayedChild],
    candidate: Release,
    monkeypatch: pytest.MonkeyPatch,
    running: Shadow,
    shared: Shared,
) -> None:
    monkeypatch.setattr(shadow_module, "STOPPED_TURN_S", 0.0)
    told(shared, "running")
    with monkeypatch.context() as full:
        full.setattr(disk, "free_bytes", lambda _: 1 << 20)
        shared.offers.offer(page(1))
        assert "MiB are free" in str(told(shared, "stopped").problem)
        shared.offers.offer(page(2))
        assert shared.status.problems() == ("the models are being loaded",)
    eventually(lambda: offered_until(shared, "running") and compared(shared, 0).compared, 60)


def test_with_little_memory_it_does_not_begin(
    played: type[PlayedChild], candidate: Release, monkeypatch: pytest.MonkeyPatch, shared: Shared, settings: Settings,
    journal: Journal,
) -> None:  # fmt: skip
    monkeypatch.setattr(memory, "spare_bytes", lambda: 1 << 20)
    shadow = Shadow(settings, journal, shared)
    thread = threading.Thread(target=shadow.run)
    thread.start()
    assert "1 MiB of memory are free" in str(told(shared, "stopped").problem)
    shared.stopping.set()
    thread.join()
    assert played.started == 0


def test_a_switch_in_the_middle_ends_it_and_drops_the_answer_under_way(
    played: type[PlayedChild], candidate: Release, monkeypatch: pytest.MonkeyPatch, running: Shadow, journal: Journal,
    shared: Shared,
) -> None:  # fmt: skip
    def switching(*_: object) -> Sides:
        Shelf(journal.folder).switch(candidate.id)
        return SIDES

    monkeypatch.setattr(played, "ask", switching)
    told(shared, "running")
    shared.offers.offer(page(1))
    eventually(lambda: shared.figures.shadow is None, 60)
    with Shadowed.view(journal.folder, candidate.id) as rows:
        assert rows.summary().compared == 0
    shared.offers.offer(page(2))
    assert shared.offers.take(0.0) is None


def test_what_came_too_fast_is_counted(
    played: type[PlayedChild], candidate: Release, monkeypatch: pytest.MonkeyPatch, running: Shadow, shared: Shared
) -> None:
    answers = threading.Event()

    def slow(*_: object) -> Sides:
        answers.wait()
        return SIDES

    monkeypatch.setattr(played, "ask", slow)
    told(shared, "running")
    for number in range(20):
        shared.offers.offer(page(number))
    answers.set()
    eventually(lambda: shared.figures.shadow and shared.figures.shadow.compared + shared.figures.shadow.skipped == 20, 60)
    assert shared.figures.shadow is not None
    assert shared.figures.shadow.skipped >= 15


def test_the_real_process_keeps_both_rows(
    candidate: Release, running: Shadow, journal: Journal, settings: Settings, shared: Shared
) -> None:
    image = micrograph(pitted(160, 120, 1, 3))
    with Pipeline(settings) as pipeline:
        document = encode(pipeline.inspect(image, example().source), settings.device)
    told(shared, "running")
    shared.offers.offer(replace(page(1), document=document, micrograph=image))
    assert compared(shared, 1).severity_agreement == 1.0
    with Shadowed.view(journal.folder, candidate.id) as rows:
        ((before, after),) = rows.rows()
        assert before["area_fraction"] == after["area_fraction"]
        assert rows.compared() is not None


def test_a_calibration_is_not_applied_twice_and_a_server_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    release = on_shelf(tmp_path / "state", models(tmp_path / "candidate"))
    device = {"scale_factor": 1.1, "scale_uncertainty": 0.02}
    settings = settings_for(tmp_path / "export", models={"backend": "kserve"}, kserve={"url": "gpu:8001"}, device=device)
    beside = settings_beside(settings, release)
    assert (beside.device.scale_factor, beside.device.scale_uncertainty, beside.device.scale_checked) == (1.0, 0.02, None)
    assert beside.models.backend == "auto"
    assert beside.models.classifier == str(release.models["classifier"])
    kept = settings_beside(settings_for(tmp_path / "export", models={"backend": "onnxruntime"}), release)
    assert kept.models.backend == "onnxruntime"


def test_a_child_that_is_given_the_wrong_models_says_so(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "export", models={"segmenter": str(tmp_path / "none.onnx")})
    with (
        Child(settings, "float32", most_bytes=1 << 40, given_up=lambda: False) as child,
        pytest.raises(ChildEndedError, match="no model at"),
    ):
        child.opened()
