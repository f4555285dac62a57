"""Facts in, the text of their JSON out, which every browser can read, whatever a message held.

A lone surrogate is no UTF-8, and NaN is no JSON: one of them in one message must not take a page away.
"""

from __future__ import annotations

import json
import math
from typing import Any

from starlette import responses


def text(facts: Any) -> str:
    """ASCII on one line; what is no number is null."""
    try:
        return json.dumps(facts, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(facts), allow_nan=False, separators=(",", ":"))


class JSONResponse(responses.JSONResponse):
    """An answer of such text."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return text(content).encode("ascii")


def _finite(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _finite(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts
