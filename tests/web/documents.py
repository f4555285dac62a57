"""Documents as the service sends them, for tests of pages."""

from __future__ import annotations

import json
from typing import Any

from tests import ROOT

GOLDEN = ROOT / "tests" / "wire" / "golden"


def inspection(**severity: Any) -> dict[str, Any]:
    """A whole inspection, with other fields of its severity."""
    document = json.loads((GOLDEN / "inspection.json").read_text())
    document["severity"].update(severity)
    return dict(document)


def failure() -> dict[str, Any]:
    """A whole failure."""
    return dict(json.loads((GOLDEN / "failure.json").read_text()))
