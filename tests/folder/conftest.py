"""A watched folder, and a ledger that knows nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.folder.settle import Settler
from edge.records import Fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger() -> dict[str, Fingerprint]:
    """Fingerprints by path."""
    return {}


@pytest.fixture
def settler(ledger: dict[str, Fingerprint]) -> Settler:
    return Settler(1.0, 60.0, ledger.get)
