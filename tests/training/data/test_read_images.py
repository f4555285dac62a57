"""What is known of an image's specimen is read, or named when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import run


@pytest.mark.parametrize("hours", ["nan", "-1", "a week"])
def test_an_exposure_that_is_no_time_is_named(data: Path, hours: str) -> None:
    (data / "samples.csv").write_text(f"image,exposure_h\nc0_0.png,{hours}\n")
    with pytest.raises(ConfigError, match=f"exposure_h is no number from 0: c0_0.png .{hours}"):
        run(data)
