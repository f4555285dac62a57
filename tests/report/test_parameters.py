from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from edge.report.parameters import correlate
from tests.report.tables import table


def series(coupons: int = 60, seed: int = 0, batches: int | None = None) -> pd.DataFrame:
    """Area follows p0 alone; two images a coupon."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for coupon in range(coupons):
        values = {f"p{at}": float(rng.normal()) for at in range(5)}
        batch = None if batches is None else str(coupon % batches)
        area = 0.1 * np.exp(0.4 * values["p0"] + 0.1 * rng.normal())
        rows += [{"coupon": str(coupon), "batch": batch, "area_fraction": area * factor, **values} for factor in (0.9, 1.1)]
    return table(rows)


NAMES = [f"p{at}" for at in range(5)]


def test_the_parameter_that_matters_correlates_and_is_the_most_important() -> None:
    found = correlate(series(batches=10), NAMES)
    assert found.rows[0].rho > 0.9
    assert found.rows[0].lo < found.rows[0].rho < found.rows[0].hi
    assert found.rows[0].coupons == 60
    assert found.importance is not None
    assert found.importance.rows[0][0] == "p0"
    assert found.importance.r2 > 0.5
    assert found.importance.groups == "batches"


def test_p_values_are_adjusted_by_holm() -> None:
    rows = correlate(series(20), NAMES).rows
    ordered = sorted(row.p for row in rows)
    smallest = min(rows, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 5 * ordered[0]))
    assert all(row.p_holm >= row.p for row in rows)


def test_repeating_images_of_a_coupon_changes_nothing() -> None:
    few = series(20)
    assert correlate(few, NAMES).rows == correlate(pd.concat([few, few], ignore_index=True), NAMES).rows


def test_rank_correlation_as_by_hand() -> None:
    rows = [
        {"coupon": str(at), "area_fraction": area, "p": p}
        for at, (p, area) in enumerate(zip((1, 2, 3, 4, 5), (0.1, 0.3, 0.2, 0.4, 0.5), strict=True))
    ]
    assert correlate(table(rows), ["p"]).rows[0].rho == pytest.approx(0.9)  # 1 − 6·2 / (5·24)


@pytest.mark.parametrize(("rows", "names"), [(series(49), NAMES), (series(60), NAMES[:4])])
def test_a_forest_takes_five_parameters_and_fifty_coupons(rows: pd.DataFrame, names: list[str]) -> None:
    found = correlate(rows, names)
    assert found.importance is None
    assert any("No random forest" in note for note in found.notes)


def test_what_lacks_is_said() -> None:
    assert "no process parameters" in correlate(series(5), []).missing[0]
    assert "coupon is missing" in correlate(series(5).assign(coupon=None), NAMES).missing[0]
    assert "coupon is missing" in correlate(table([{"p": 1.0}]).iloc[:0], ["p"]).missing[0]
    found = correlate(series(8).assign(p0=1.0, p1=np.nan), ["p0", "p1"])
    assert found.rows == ()
    assert found.missing
    assert any("equal" in note for note in found.notes)


def test_parameters_of_whole_batches_are_named() -> None:
    rows = series(20, batches=4)
    rows["p0"] = [float(batch) for batch in rows["batch"]]
    assert any("equal within each batch" in note for note in correlate(rows, NAMES).notes)
