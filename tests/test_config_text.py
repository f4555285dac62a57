"""Settings that are handed to another process arrive as they were."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from edge.config import parse
from edge.config_text import read, written


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"device": {"scale_checked": date(2026, 1, 31), "scale_factor": 1.02, "id": 'a"\\b'}},
        {"severity": {"rule": "limits", "severe": {"area_fraction": 0.1, "class": "pit"}}},
        {"watch": {"expect_every_h": 2.0, "expect_during": ["mon-fri 06:00-22:00"], "folder": "/ü \u007f𝄞"}},
        {
            "web": {"listen": "[::1]:80", "hosts": ["a.example"]},
            "models": {"taught": "state"},
            "inspect": {"pixel_size_nm": 3.0},
        },
        {"sample": {"patterns": [r"(?i)AN[_ -]?(?P<annealing_min>\d+)"]}},
    ],
)
def test_they_are_the_same(more: dict[str, dict[str, Any]]) -> None:
    settings = parse({**more, "watch": {"folder": "/srv/export", **more.get("watch", {})}}, {})
    assert read(written(settings)) == settings
