"""How far an inspection is: a bar that fits the terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import os

import pytest

from edge.commands.progress import EVERY_S, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("columns", [1, 5, 12, 20, 40, 80, 200])
def test_a_bar_never_wraps(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("edge.commands.progress.get_terminal_size", lambda: os.terminal_size((columns, 24)))
    terminal, clock = Terminal(), Clock()
    progress = Progress(56, terminal, clock)
    for number in range(56):
        progress.begin(f"coupon\t{number}/ä_\udcff_{'x' * 300}.tif")
        clock.now += 0.5
        progress.finish()
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert max(map(len, drawn)) < max(columns, 2)
    assert "\n" not in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()
    if columns >= 80:
        assert "loading the models" in drawn[1]
        assert "55/56, about 0 s left" in drawn[-1] or "55/56, about 1 s left" in drawn[-1]


def test_a_bar_is_taken_away_before_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    progress = Progress(2, terminal)
    progress.begin("a.tif")
    progress.hide()
    progress.hide()
    assert terminal.getvalue().endswith("a.tif\r\x1b[K")


@pytest.mark.parametrize("term", ["dumb", "", None, "file"])
def test_elsewhere_there_is_a_plain_line_now_and_then(term: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO() if term == "file" else Terminal()
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", "xterm" if term == "file" else term)
    clock = Clock()
    progress = Progress(1000, stream, clock)
    for _ in range(1000):
        progress.begin("a.tif")
        clock.now += 0.125
        progress.finish()
    progress.hide()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "edge-inspect: 0 of 1000 files done, loading the models"
    assert lines[1] == "edge-inspect: 80 of 1000 files done, about 115 s left"
    assert len(lines) == 1 + int(124.875 // EVERY_S)
    assert "\x1b" not in stream.getvalue()


def test_one_file_shows_nothing_and_a_closed_stream_stops_nothing() -> None:
    stream = Terminal()
    progress = Progress(1, stream)
    progress.begin("a.tif")
    progress.finish()
    assert stream.getvalue() == ""
    stream.close()
    closed = io.StringIO()
    progress = Progress(3, closed)
    closed.close()
    progress.begin("a")
    progress.finish()


def test_another_command_has_its_own_words() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(3, stream, clock, command="edge-report", things="images", first="pictures")
    progress.begin("a.tif")
    progress.finish()
    clock.now = EVERY_S
    progress.begin("b.tif")
    assert stream.getvalue().splitlines() == [
        "edge-report: 0 of 3 images done, pictures",
        "edge-report: 1 of 3 images done, about 20 s left",
    ]
