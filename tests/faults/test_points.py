"""Every named point is a function of the code, and a death comes at the call that was asked for, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import points
from tests.faults.killed_at import Death
from tests.faults.points import BY_NAME, POINTS, Point, found


class DiedError(Exception):
    """In place of a kill."""


class Example:
    done = 0

    def begin(self) -> None:
        pass

    def act(self) -> int:
        self.done += 1
        return self.done


ACT, BEGIN = (f"{__name__}:Example.{name}" for name in ("act", "begin"))


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_stands_at_a_function_of_the_product(point: Point) -> None:
    for function in filter(None, (point.function, point.since)):
        owner, name = found(function)
        assert function.startswith("edge.")
        assert callable(getattr(owner, name))


def test_points_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(POINTS)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(AttributeError):
        found("edge.journal.outbox:Outbox.no_such_thing")


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """What kills `Example` at a point that is made for it."""

    def die(death: Death) -> None:
        raise DiedError

    def arm(call: int, **how: Any) -> Path:
        for name in ("act", "begin"):
            monkeypatch.setattr(Example, name, getattr(Example, name))  # put back at the end
        monkeypatch.setitem(points.BY_NAME, "example", Point("example", "", ACT, **how))
        monkeypatch.setattr(Death, "_die", die)
        file = tmp_path / "armed"
        file.write_text(json.dumps({"point": "example", "call": call}))
        Death(file)
        return file

    return arm


def test_before_a_call_nothing_of_it_is_done_and_after_it_all_is(armed: Callable[..., Path]) -> None:
    for side, done in (("before", 1), ("after", 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Example, "act", Example.act)
            armed(2, side=side)
            example = Example()
            example.act()
            with pytest.raises(DiedError):
                example.act()
            assert example.done == done


def test_calls_count_from_another_function_on(armed: Callable[..., Path]) -> None:
    armed(1, side="before", since=BEGIN)
    example = Example()
    assert [example.act(), example.act()] == [1, 2]
    example.begin()
    with pytest.raises(DiedError):
        example.act()


def test_the_file_says_that_the_point_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("tests.faults.killed_at.os.kill", lambda *signal: sent.append(signal))
    monkeypatch.setattr(Example, "act", Example.act)
    monkeypatch.setitem(points.BY_NAME, "example", Point("example", "", ACT, "after"))
    file = tmp_path / "armed"
    file.write_text(json.dumps({"point": "example", "call": 1}))
    Death(file)
    assert Example().act() == 1
    assert len(sent) == 1
    assert Path(f"{file}.reached").exists()
    assert not file.exists()
