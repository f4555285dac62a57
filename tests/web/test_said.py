"""JSON that every browser reads, whatever a message held."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
from edge.web.said import JSONResponse, text


def test_it_is_ascii_on_one_line_and_what_is_no_number_is_null() -> None:
    facts = {"a": "µ\n\ud800", "b": [float("nan"), (float("-inf"), 1.5)], "c": {"d": True}}
    said = text(facts)
    assert said.isascii()
    assert "\n" not in said
    assert json.loads(said) == {"a": "µ\n\ud800", "b": [None, [None, 1.5]], "c": {"d": True}}
    assert JSONResponse(facts).body == said.encode()
