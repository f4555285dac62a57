"""Networks, precisions: what is inspected where, and what a defect costs."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edge import config
from edge.errors import BackendError
from edge.inspection.pipeline import Pipeline
from edge.journal import Journal
from edge.records import ModelsUsed, Source, Timing
from edge.service.decoder import Decoder
from edge.service.inspector import IN_A_ROW, Inspector
from edge.service.pictures import MissingPictures
from edge.service.shared import Arrival, Decoded
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.sem.making import specimen, tiff
from tests.service.one_image import begun
from tests.service.running_daemon import (
    PREFIX,
    Service,
    begun_but_not_finished,
    by_name,
    png,
    verdicts,
)


def test_an_image_that_a_kill_interrupted_is_inspected_last_in_a_child(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("interrupted.png", png(1))
    begun_but_not_finished(service, "interrupted.png")
    service.put("other.png", png(2))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: by_name(dashboard).keys() == {"interrupted.png", "other.png"}, 90)
        assert by_name(dashboard)["interrupted.png"]["schema"] == "edge.inspection/2"
        assert "interrupted.png was begun and not finished" in service.log_text()


class Missing:
    """Pictures that are to be drawn: each leaves a word in `order`."""

    def __init__(self, number: int, order: list[str]) -> None:
        self._left, self._order = number, order

    def __len__(self) -> int:
        return self._left

    def draw_next(self, _: object) -> None:
        self._left -= 1
        self._order.append("missing")


@pytest.mark.parametrize(("new", "missing"), [(1, 60), (20, 60), (20, 0)])
def test_new_images_go_before_missing_pictures_which_are_drawn_in_between(
    new: int, missing: int, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    decoded = queue.Queue[Decoded]()
    for _ in range(new):
        decoded.put(
            Decoded(begun(inspector.journal, f"{decoded.qsize()}.png"), Source("a.png", "a.png", None), (), Timing(), 0.0)
        )

    def inspect(*_: Any) -> None:
        order.append("new")
        if order.count("new") == new and not missing:
            inspector.shared.stopping.set()

    pictures = Missing(missing, order)
    monkeypatch.setattr(inspector.shared, "decoded", decoded)
    monkeypatch.setattr(inspector, "_inspect", inspect)
    monkeypatch.setattr(inspector, "beat", lambda: pictures or not decoded.empty() or inspector.shared.stopping.set())
    inspector._inspect_until_stopped(cast(Pipeline, None), cast(MissingPictures, pictures))
    assert order.count("new") == new
    assert order.count("missing") == missing
    between = order[: len(order) - order[::-1].index("new")]
    assert between[:IN_A_ROW] == ["new"] * min(new, IN_A_ROW)
    assert between.count("missing") <= new // IN_A_ROW


def test_pages_of_one_size_are_inspected_each(tmp_path: Path, broker: Mosquitto) -> None:
    pages = np.stack([specimen(96, 128, seed) for seed in range(3)])
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("stack.tif", tiff(pages, photometric="minisblack"))
        eventually(lambda: len(verdicts(dashboard)) == 3, 60)
        assert [verdict["image"]["page"] for verdict in verdicts(dashboard)] == [0, 1, 2]
        assert [verdict["seq"] for verdict in verdicts(dashboard)] == [1, 2, 3]


class Blind:
    """A pipeline that loads in every precision and runs in those that `works` names."""

    works: tuple[str, ...] = ("float32",)
    open_now = 0

    def __init__(self, settings: config.Settings, precision: str, **_: object) -> None:
        self._precision, self.untaught = precision, None
        self.models = ModelsUsed(None, None, "openvino", precision)
        Blind.open_now += 1

    def inspect(self, *_: object) -> None:
        if self._precision not in self.works:
            raise BackendError("values are not numbers")

    def close(self) -> None:
        Blind.open_now -= 1


def test_a_precision_that_no_longer_runs_gives_way_to_float32(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blind, "open_now", 0)
    monkeypatch.setattr("edge.service.inspector.Pipeline", Blind)
    monkeypatch.setattr("edge.service.inspector.parity.gated_precision", lambda *_, **__: ("float16", "it agreed"))
    inspector._working_pipeline()
    assert inspector.shared.figures.runs_on == ("openvino", "float32")
    assert Blind.open_now == 1


def test_a_float32_that_does_not_run_ends_the_daemon(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blind, "open_now", 0)
    monkeypatch.setattr(Blind, "works", ())
    monkeypatch.setattr("edge.service.inspector.Pipeline", Blind)
    monkeypatch.setattr("edge.service.inspector.parity.gated_precision", lambda *_, **__: ("float32", "the reference"))
    with pytest.raises(BackendError, match="not numbers"):
        inspector._working_pipeline()
    assert Blind.open_now == 0


def test_an_inspection_of_many_pages_ends_with_the_daemon(
    decoder: Decoder, inspector: Inspector, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "export" / "a.png").write_bytes(png(1))
    decoder.shared.arrivals.put({"a.png": Arrival(0.0, old=True)})
    decoded = decoder._read(begun(journal, "a.png"))
    assert decoded is not None
    inspector.shared.stopping.set()
    assert inspector._inspect(None, decoded) is None  # type: ignore[arg-type] # it is not used any more
    assert journal.outbox.unsent_count() == 0


@pytest.mark.parametrize(("public_key", "kept"), [("", True), ("RWQ", False)])
def test_what_was_compiled_is_kept_unless_models_have_to_be_signed(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch, public_key: str, kept: bool
) -> None:
    memories: list[Path | None] = []

    class Told(Blind):
        def __init__(self, settings: config.Settings, precision: str, open_network: Any) -> None:
            super().__init__(settings, precision)
            memories.append(open_network.keywords["memory"])

    models = inspector.settings.models.model_copy(update={"public_key": public_key})
    inspector.settings = inspector.settings.model_copy(update={"models": models})
    monkeypatch.setattr("edge.service.inspector.Pipeline", Told)
    inspector._tried_pipeline("float32")
    assert memories == [inspector.journal.folder if kept else None]
