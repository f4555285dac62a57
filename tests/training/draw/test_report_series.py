"""A drawn series tells its scale, its conditions and its coupons."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edge.sem import reading
from training.draw import report_series


def test_a_series_is_written_with_what_is_known_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_series, "ANNEALING_MIN", (60.0,))
    monkeypatch.setattr(report_series, "EXPOSURES_H", (168.0,))
    with report_series.write_series(tmp_path / "s", 2, 1, 1).open() as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["coupon"] for row in rows}) == 2
    (micrograph,) = reading.read((tmp_path / "s" / rows[0]["image"]).read_bytes(), rows[0]["image"])
    assert micrograph.pixel_size_nm == pytest.approx(129.4e3 / 640, rel=1e-3)
    assert not micrograph.warnings
