"""A table of inspections and process parameters in, their correlation with area and their importance out.

Spearman's rank correlation as in Yang et al. (2023), with the coupon as unit and p-values adjusted by Holm. Importances of
a random forest only where there is enough to learn from, judged on groups that it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold
from statsmodels.stats.multitest import multipletests

from edge.report.coupons import Reals

FEWEST_COUPONS = 5
FOREST_PARAMETERS, FOREST_COUPONS, FOLDS = 5, 50, 5


@dataclass(frozen=True, slots=True)
class Correlation:
    """One parameter; rho −1…1 with its 95 % interval, p as it is and adjusted."""

    name: str
    rho: float
    lo: float
    hi: float
    p: float
    p_holm: float
    coupons: int


@dataclass(frozen=True, slots=True)
class Importance:
    """rows: (parameter, fall of R² when it is shuffled: mean and deviation over folds), the most important first.

    r2: on groups that the forest has not seen; at 0 or below the importances mean nothing.
    """

    rows: tuple[tuple[str, float, float], ...]
    r2: float
    groups: str


@dataclass(frozen=True, slots=True)
class Correlations:
    """rows in the order of the parameters; importance None where too little is there."""

    rows: tuple[Correlation, ...]
    importance: Importance | None
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def correlate(table: pd.DataFrame, names: Sequence[str]) -> Correlations:
    """Correlate each named column with the mean area of coupons."""
    if not names:
        return Correlations((), None, (), ("There are no process parameters: the samples file has no numeric columns.",))
    named = table[[not pd.isna(name) for name in table["coupon"]]] if len(table) else table
    if not len(named):
        return Correlations((), None, (), ("The column coupon is missing: images of one coupon are not replicates.",))
    units = _coupons(named, names)
    notes: list[str] = []
    rows = []
    for name in names:
        both = units[[name, "area"]].dropna()
        if len(both) < FEWEST_COUPONS:
            notes.append(f"{name}: {FEWEST_COUPONS} coupons with a value at least; there are {len(both)}.")
        elif both[name].nunique() < 2 or both["area"].nunique() < 2:
            notes.append(f"{name}: all values are equal.")
        else:
            rows.append((name, *_spearman(both[name].to_numpy(), both["area"].to_numpy()), len(both)))
    adjusted = multipletests([row[4] for row in rows], method="holm")[1] if rows else []
    found = tuple(
        Correlation(name, rho, lo, hi, p, float(holm), count)
        for (name, rho, lo, hi, p, count), holm in zip(rows, adjusted, strict=True)
    )
    importance, said = _importance(units, list(names))
    missing = () if found else ("No parameter varies over enough coupons.",)
    return Correlations(found, importance, (*notes, *said, *_nested(units, names)), missing)


def _coupons(named: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A row a coupon: means of area and parameters, and its first batch."""
    # Metal is annealed once: a name that returns at another annealing time is another coupon.
    specimen = [f"{minutes}/{name}" for minutes, name in zip(named["annealing_min"], named["coupon"], strict=True)]
    numbers = (
        named.reindex(columns=list(names))
        .apply(pd.to_numeric, errors="coerce")
        .astype(float)
        .replace([np.inf, -np.inf], np.nan)
    )
    frame = numbers.assign(area=pd.to_numeric(named["area_fraction"], errors="coerce").astype(float), coupon=specimen)
    units = frame.groupby("coupon").mean()
    units["batch"] = named.assign(coupon=specimen).groupby("coupon")["batch"].first()
    return units.dropna(subset=["area"])


def _spearman(x: Reals, y: Reals) -> tuple[float, float, float, float]:
    """(rho, lo, hi, p); the interval by Fisher's z with the error of Bonett and Wright (2000)."""
    found = stats.spearmanr(x, y)
    rho = float(found.statistic)
    reach = 1.959964 * float(np.sqrt((1 + rho**2 / 2) / (len(x) - 3)))
    z = float(np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12)))
    return rho, float(np.tanh(z - reach)), float(np.tanh(z + reach)), float(found.pvalue)


def _importance(units: pd.DataFrame, names: list[str]) -> tuple[Importance | None, tuple[str, ...]]:
    """Permutation importance on held-out groups: batches where they are known, else coupons."""
    names = [name for name in names if units[name].nunique() > 1]
    whole = units.dropna(subset=names)
    if len(names) < FOREST_PARAMETERS or len(whole) < FOREST_COUPONS:
        return None, (
            f"No random forest: it takes {FOREST_PARAMETERS} parameters that vary and {FOREST_COUPONS} coupons with "
            f"all of them; there are {len(names)} and {len(whole)}.",
        )
    by_batch = bool(whole["batch"].notna().all()) and whole["batch"].nunique() >= FOLDS
    groups = whole["batch"].astype(str) if by_batch else pd.Series(whole.index, index=whole.index)
    x, y = whole[names].to_numpy(dtype=float), whole["area"].to_numpy(dtype=float)
    guessed, falls = np.zeros(len(y)), []
    for train, held in GroupKFold(FOLDS).split(x, y, groups):
        forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=0).fit(x[train], y[train])
        guessed[held] = forest.predict(x[held])
        falls.append(
            permutation_importance(forest, x[held], y[held], n_repeats=10, random_state=0, scoring="r2").importances_mean
        )
    mean, deviation = np.mean(falls, axis=0), np.std(falls, axis=0, ddof=1)
    rows = tuple((names[at], float(mean[at]), float(deviation[at])) for at in np.argsort(-mean))
    r2 = float(r2_score(y, guessed))
    said = (
        ()
        if r2 > 0
        else (f"R² on unseen groups is {r2:.2f}: the forest has learnt nothing, and its importances mean nothing.",)
    )
    return Importance(rows, r2, "batches" if by_batch else "coupons"), said


def _nested(units: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """A warning where parameters belong to batches and not to coupons."""
    if not units["batch"].notna().all() or units["batch"].nunique() == len(units):
        return ()
    fixed = [name for name in names if (units.groupby("batch")[name].nunique() <= 1).all() and units[name].nunique() > 1]
    if not fixed:
        return ()
    return (f"{', '.join(fixed)}: equal within each batch, so the coupons of a batch are no replicates and p is too small.",)
