"""Data that were not prepared are not evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError


def test_data_that_were_not_prepared_are_refused(ready: Path, run: Path) -> None:
    from training.score.evaluate import evaluate

    with pytest.raises(ConfigError, match="edge-train prepare"):
        evaluate(ready.parent / "drawn", {"manual": run}, {}, "test")
