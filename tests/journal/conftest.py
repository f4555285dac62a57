"""A journal in a folder of its own, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.journal import Journal
from tests.journal.examples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(folder: Path, clock: Clock) -> Iterator[Journal]:
    with Journal.open(folder, clock=clock) as journal:
        yield journal
