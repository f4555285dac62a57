"""Every reason that the code can give for `degraded` has a cure; reasons are looked for in the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from edge.service.cures import CURES, UNKNOWN, cure_of
from edge.service.shared import Status
from tests import ROOT

ROOMS = ("service", "folder", "journal")
ERRORS = {
    "FolderGone": ROOMS,
    "StateFullError": ROOMS,
    "StateError": ("journal/database.py", "journal/disk.py", "journal/lock.py"),  # the ledger's are defects of ours
}
"""What `report(str(error))` may be about, and where it is raised."""


ELSEWHERE = (
    "paused: by command",
    "channel x: x",
    "csv.folder x: x",
    "webhook.url x: x",
    "gpu_lost: x",
    "another client may use the MQTT client id x",
    "the broker lets us publish nothing to x (x)",
    "more comes in than is answered: x",
    "the clock is x days x what it was: x",
)
"""What is put together where this cannot look."""


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    paths = [path for room in ROOMS for path in sorted((ROOT / "edge" / room).rglob("*.py"))]
    return tuple((str(path.relative_to(ROOT / "edge")), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in sources():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def texts(value: ast.expr | None, within: ast.FunctionDef) -> Iterator[str]:
    """What an expression can say; what is put into it is an x. Fails where it cannot be followed."""
    match value:
        case None | ast.Constant(value=None):
            return
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one, within)
            yield from texts(other, within)
        case ast.Attribute(attr="why"):
            return  # of the clock: see `ELSEWHERE`
        case ast.Call(func=ast.Name(id="str")):
            return  # of an error: see `raised`
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            called = [function for _, function in functions() if function.name == name]
            assert called, f"{within.name}: what does {name} say?"
            for function in called:
                for node in ast.walk(function):
                    if isinstance(node, ast.Return):
                        yield from texts(node.value, function)
        case ast.Name(id=name):
            assigned = [
                node.value
                for node in ast.walk(within)
                if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr)
                and name in [ast.unparse(target) for target in getattr(node, "targets", [getattr(node, "target", None)])]
            ]
            passed_on = [argument.arg for node in ast.walk(within) if isinstance(node, ast.arguments) for argument in node.args]
            assert assigned or name in passed_on, f"{within.name}: what is {name}?"
            for one in assigned:
                yield from texts(one, within)
        case _:
            pytest.fail(f"{within.name}: what does {ast.unparse(value)} say?")


def reported() -> Iterator[str]:
    """What is given to `Worker.report` and `Status.report`."""
    for name, function in functions():
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(attr="report") | ast.Name(id="report"), args=[*_, problem]) if name.startswith(
                    "service/"
                ):
                    yield from texts(problem, function)


def raised() -> Iterator[str]:
    for name, function in functions():
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id=error), args=[text]) if error in ERRORS and name.startswith(ERRORS[error]):
                    yield from texts(text, function)


def away() -> set[str]:
    """What a network tells of its server; `Inspector` reports it as it is. What starts with an x goes on from another."""
    tree = ast.parse((ROOT / "edge" / "backends" / "kserve.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(attr="is_away"), args=[_, why]):
                    found.update(texts(why, function))
    whole = {text for text in found if not text.startswith("x")}
    return whole | {text + rest[1:] for text in whole for rest in found - whole}


def starting() -> tuple[str, ...]:
    return Status(lambda: None).problems()


def test_every_reason_in_the_source_has_a_cure() -> None:
    found = {*reported(), *raised(), *away(), *ELSEWHERE, *starting()}
    assert len(found) > 15
    assert [text for text in sorted(found) if cure_of(text) == UNKNOWN] == []


def test_every_row_of_the_table_is_for_a_reason_that_exists() -> None:
    found = {*reported(), *raised(), *away(), *ELSEWHERE, *starting()}
    assert [pattern for pattern, _ in CURES if not any(re.search(pattern, text) for text in found)] == []


def test_what_a_server_says_does_not_choose_the_cure() -> None:
    cures = {cure_of(text) for text in away()}
    assert len(cures) == 1
    assert "kserve.away" in cures.pop()


def test_a_cure_is_a_sentence_that_fits_on_a_screen() -> None:
    assert not [cure for _, cure in CURES if not cure.endswith(".") or len(cure) > 250]


def test_a_reason_without_a_row_points_to_the_log() -> None:
    assert "log" in cure_of("something new")
