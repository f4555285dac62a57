"""`edge-demo`: the whole product, and that it counts honestly."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from edge.commands.cli import demo
from edge.commands.demo import Dashboard, _add_live_page, line, ready, summarise, without
from edge.service.page import STILL_STARTING
from tests.fakes.brokers import Mosquitto, needs_mosquitto
from tests.wire.examples import abstained, encoded, example, limited


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


def test_the_demo_with_its_own_broker_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(["--images", "5", "--out", str(tmp_path / "out")]) == 0
    found = summary(capsys)
    assert found["schema"] == "edge.demo/1"
    assert (found["images"], found["inspections"], found["failures"]) == (5, 4, 1)
    assert (found["lost"], found["duplicates"]) == (0, 0)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 8  # each with its heat map
    assert "could not be inspected" in page
    assert len(list((tmp_path / "out").glob("*.webp"))) == 4


@needs_mosquitto
def test_the_demo_runs_on_a_broker_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        arguments = ["--images", "3", "--out", str(tmp_path / "out"), "--broker", f"127.0.0.1:{broker.port}"]
        assert demo(arguments) == 0
        assert summary(capsys)["lost"] == 0


def test_a_folder_with_other_things_in_it_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert demo(["--out", str(tmp_path)]) == 2
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert "not from a demo" in capsys.readouterr().err


def test_images_that_a_user_added_to_a_demo_are_not_deleted_by_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert demo(["--images", "1", "--out", str(out)]) == 0
    (out / "export" / "mine.tif").write_bytes(b"precious")
    assert demo(["--images", "1", "--out", str(out)]) == 2
    assert (out / "export" / "mine.tif").read_bytes() == b"precious"
    (out / "export" / "mine.tif").unlink()
    assert demo(["--images", "1", "--out", str(out)]) == 0


def test_no_broker_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(["--out", str(tmp_path / "o"), "--broker", "127.0.0.1:1"]) == 1
    assert "no broker at 127.0.0.1:1" in capsys.readouterr().err


def verdict(name: str, identity: str) -> dict[str, object]:
    return {"schema": "edge.inspection/2", "inspection_id": identity, "image": {"name": name}}


def test_what_never_came_counts_as_lost_and_a_second_verdict_as_a_duplicate() -> None:
    dashboard = Dashboard(verdicts=[verdict("a", "1"), verdict("a", "2")], arrived_at={"a": 10.5}, repeats=1)
    found = summarise(dashboard, {"a": 10.0, "b": 10.0})
    assert (found["lost"], found["duplicates"], found["p50_ms"]) == (1, 2, 500.0)


def test_a_line_names_the_severity_or_says_that_there_is_none_and_why() -> None:
    assert line(encoded(example())).startswith("moderate  AN5_24h.tif")
    assert line(encoded(limited())).startswith("severe    AN5_24h.tif")
    unjudged = line(encoded(abstained()))
    assert unjudged.startswith("unjudged  AN5_24h.tif")
    assert "review: no_contrast: " in unjudged
    assert "moderate" not in unjudged


def test_a_page_that_cannot_be_served_is_said_at_once_and_the_demo_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    with socket.socket() as taken:

        def add(out: Path, config: Path) -> tuple[str, bool]:
            told = _add_live_page(out, config)
            taken.bind(("127.0.0.1", int(told[0].partition("127.0.0.1:")[2].partition("/")[0])))
            taken.listen()
            return told

        monkeypatch.setattr("edge.commands.demo._add_live_page", add)
        assert demo(["--images", "1", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "the live page does not run: web.listen" in said
    assert "--keep-open" not in said


def test_a_page_that_is_still_starting_is_waited_for() -> None:
    starting = f"the live page does not run: {STILL_STARTING}"
    assert without(Dashboard(state="degraded", reasons=(starting,))) is None
    assert without(Dashboard(state="degraded", reasons=(starting, "the live page does not run: it ended"))) is not None


def test_the_demo_goes_on_without_its_page_alone() -> None:
    page = "the live page does not run: it ended"
    assert ready(Dashboard(state="online"))
    assert ready(Dashboard(state="degraded", reasons=(page,)))
    assert not ready(Dashboard(state="degraded", reasons=(page, "models are being opened")))
    assert not ready(Dashboard(state="degraded"))
