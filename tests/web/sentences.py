"""Sentences that a person in front of the page may be told, looked for in the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests import ROOT

REFUSALS: Final = ("RefusedError", "ReviewError", "StateError", "ValueError")
SAID_IN: Final = (
    *(
        f"web/{name}.py"
        for name in ("actions", "app", "guard", "journal_reader", "reviewing", "sessions", "teaching", "vocabulary")
    ),
    "service/commands.py",
)
TAUGHT_IN: Final = ("teach/fit.py", "teach/severity.py", "teach/teach.py")
PARTS: Final = ("regions: ", "pixels: ", "severity: ", "the reviews hold ")


def templates(value: ast.expr | None) -> Iterator[str]:
    """What an expression may say; `x` stands for what is put in. Nothing of what is no sentence."""
    match value:
        case ast.Constant(value=str(text)) if " " in text:
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from (*templates(one), *templates(other))
        case ast.BoolOp(values=values) | ast.Tuple(elts=values):
            for one in values:
                yield from templates(one)


def _said(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[*_, last]) if name in REFUSALS:
            yield last
        case ast.Dict(keys=keys, values=values):
            yield from (value for key, value in zip(keys, values, strict=True) if getattr(key, "value", "") == "error")
        case ast.Assign(targets=[ast.Name(id="error" | "text")], value=value) | ast.Return(value=ast.Tuple() as value):
            yield value


def refusals() -> set[str]:
    """What the page's server refuses, and the service where the page asks it."""
    trees = [ast.parse((ROOT / "edge" / name).read_text(encoding="utf-8")) for name in SAID_IN]
    return {text for tree in trees for node in ast.walk(tree) for value in _said(node) for text in templates(value)}


def lessons() -> set[str]:
    """What teaching came to."""
    trees = [ast.parse((ROOT / "edge" / name).read_text(encoding="utf-8")) for name in TAUGHT_IN]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.expr)]
    pieces = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    found = {text for node in nodes if id(node) not in pieces for text in templates(node)}
    return {text for text in found if text.startswith(PARTS) and len(text.split()) > 2}
