"""Pictures in two groups and names that would meet are found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import run


def test_the_same_picture_in_two_groups_is_a_leak(data: Path) -> None:
    (data / "images" / "c0_0.png").write_bytes((data / "images" / "c5_10.png").read_bytes())
    with pytest.raises(ConfigError, match="c0_0 = c5_10"):
        run(data)


def test_a_mirrored_picture_in_another_group_is_reported(data: Path) -> None:
    picture = cv2.imread(str(data / "images" / "c5_10.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    cv2.imwrite(str(data / "images" / "c0_0.png"), np.clip(0.8 * picture[:, ::-1] + 20, 0, 255).astype(np.uint8))
    warnings = run(data).warnings
    assert any("look alike" in line and "c0_0 ~ c5_10" in line for line in warnings)
    assert sum("look alike" in line for line in warnings) == 1


def test_names_that_varied_copies_will_get_are_refused(data: Path) -> None:
    for folder, suffix in (("images", "png"), ("labels", "txt")):
        (data / folder / f"c0_1.{suffix}").rename(data / folder / f"c0_0_varied1.{suffix}")
    (data / "samples.csv").write_text((data / "samples.csv").read_text().replace("c0_1.png", "c0_0_varied1.png"))
    with pytest.raises(ConfigError, match="rename it: c0_0"):
        run(data)
