"""A journal, and settings with sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.config import Settings
from edge.journal import Journal

Configured = Callable[..., Settings]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """Settings with these sections beside the least."""

    def made(**sections: dict[str, Any]) -> Settings:
        return config.parse({"watch": {"folder": str(tmp_path / "export")}, **sections}, {})

    return made
