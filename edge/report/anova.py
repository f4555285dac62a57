"""A table of inspections in, a two-way analysis of variance of annealing and exposure out: on coupon means of logit area.

Images of one coupon are not replicates, so each coupon counts once a condition. A coupon that was imaged in several
conditions becomes a random effect of a mixed model (REML). Without coupons there are no p-values.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

from edge.report.coupons import CouponMeans, Reals, coupon_means, measured

TERMS = {"A": "annealing", "E": "exposure", "A:E": "annealing × exposure"}
FEWEST_FREE = 3


@dataclass(frozen=True, slots=True)
class AnovaRow:
    """One term. sum_squares, partial_eta2: None in a mixed model; p: None where it may not be given."""

    term: str
    sum_squares: float | None
    df: float
    f: float | None
    p: float | None
    partial_eta2: float | None


@dataclass(frozen=True, slots=True)
class Anova:
    """method: a sentence, None where nothing was computed and `missing` says why."""

    method: str | None
    rows: tuple[AnovaRow, ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def two_way(table: pd.DataFrame) -> Anova:
    """The analysis of one series."""
    rows = measured(table, "area_fraction")
    means = coupon_means(rows, "logit")
    notes = _notes(rows, means)
    missing = _missing(rows, means)
    if missing:
        return Anova(None, (), (), notes, missing)
    frame = pd.DataFrame({"y": means.mean, "A": means.annealing_min, "E": means.exposure_h, "coupon": list(means.specimens)})
    terms = [name for name in ("A", "E") if frame[name].nunique() > 1]
    full = len(means.cells) == frame["A"].nunique() * frame["E"].nunique()
    if len(terms) == 2 and full:
        terms.append("A:E")
    if len(terms) == 1:
        other = "exposure" if terms[0] == "A" else "annealing time"
        notes = (*notes, f"There is one {other}: a one-way analysis.")
    elif not full:
        notes = (*notes, "Some conditions are missing: the interaction cannot be estimated, and effects are taken as additive.")
    if means.followed:
        return _mixed(frame, terms, notes)
    return _fixed(frame, terms, means, notes)


def _notes(rows: pd.DataFrame, means: CouponMeans) -> tuple[str, ...]:
    notes = []
    without = int(sum(name is None or pd.isna(name) for name in rows["coupon"]))
    if 0 < without < len(rows):
        notes.append(f"{without} images without a coupon are left out.")
    if means.zeros:
        notes.append(
            f"{means.zeros} areas of zero or one have no logit: a zero counts as {means.by:.3g}, half of the smallest area "
            "above zero, and a one likewise from above."
        )
    return tuple(notes)


def _missing(rows: pd.DataFrame, means: CouponMeans) -> tuple[str, ...]:
    if not len(rows):
        return ("No image has an exposure, an annealing time and an area.",)
    if not len(means.mean):
        return ("The column coupon is missing: images of one coupon are not replicates, so there are no p-values.",)
    if not (rows["value"] > 0).any():
        return ("All areas are zero: there is nothing to compare.",)
    if len(means.cells) < 2:
        return ("2 conditions at least; there is one.",)
    if len(means.mean) - len(means.cells) < FEWEST_FREE:
        return (f"2 coupons a condition, {FEWEST_FREE} beyond the first ones at least.",)
    if max(float(np.ptp(means.mean[at])) for at in means.cells.values()) < 1e-9:
        return ("The coupons of each condition are equal: there is no scatter to compare with.",)
    return ()


def _fixed(frame: pd.DataFrame, terms: list[str], means: CouponMeans, notes: tuple[str, ...]) -> Anova:
    """Ordinary least squares; type II where balanced or additive, else type III with sum-to-zero contrasts."""
    counts = {len(at) for at in means.cells.values()}
    balanced = len(counts) == 1
    kind = 3 if not balanced and "A:E" in terms else 2
    model = ols(_formula(terms), frame).fit()
    found = anova_lm(model, typ=kind)
    # A condition with one coupon lies on its own mean when all terms are there: it says nothing of the scatter.
    rest = float(found.loc["Residual", "sum_sq"])
    rows = []
    for term in terms:
        line = found.loc[_factor(term)]
        squares = float(line["sum_sq"])
        rows.append(
            AnovaRow(
                TERMS[term], squares, float(line["df"]), float(line["F"]), float(line["PR(>F)"]), squares / (squares + rest)
            )
        )
    rows.append(AnovaRow("between coupons", rest, float(found.loc["Residual", "df"]), None, None, None))
    kinds = "type III sums of squares (unequal numbers of coupons)" if kind == 3 else "type II sums of squares"
    method = f"Analysis of variance on coupon means of logit area, {kinds}{', equal numbers of coupons' if balanced else ''}."
    groups = [means.mean[at] for at in means.cells.values()]
    return Anova(method, tuple(rows), _assumptions(np.asarray(model.resid), groups), notes, ())


def _mixed(frame: pd.DataFrame, terms: list[str], notes: tuple[str, ...]) -> Anova:
    """The coupon as random effect; Wald tests, which are a little too sure with few coupons."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is asked below: converged, and errors that are numbers
            model = mixedlm(_formula(terms), frame, groups=frame["coupon"]).fit(reml=True)
            tests = model.wald_test_terms(scalar=True).table
        usable = bool(model.converged) and np.isfinite(np.asarray(model.bse_fe, dtype=float)).all()
    except (np.linalg.LinAlgError, ValueError):
        usable = False
    if not usable:
        lacks = "The mixed model with the coupon as random effect did not converge: there are no p-values."
        return Anova(None, (), (), notes, (lacks,))
    free = max(1, int(frame["coupon"].nunique()) - int(frame["A"].nunique()))
    rows = []
    for term in terms:
        line = tests.loc[_factor(term)]
        df = float(line["df_constraint"])
        f = float(line["statistic"]) / df
        rows.append(
            AnovaRow(TERMS[term], None, df, f, float(stats.f.sf(f, df, free)), None)
        )  # safe for what varies within coupons
    between, within = float(np.asarray(model.cov_re)[0, 0]), float(model.scale)
    share = between / (between + within) if between + within > 0 else 0.0
    said: tuple[str, ...] = (
        f"{share:.0%} of the scatter lies between coupons.",
        f"Wald tests, referred to F with {free} degrees of freedom, those of the coupons.",
        "If they are different coupons of the same name, give each a name of its own.",
    )
    if between < 1e-8:
        said = (*said, "The scatter between coupons is estimated as zero.")
    residual = np.asarray(model.resid)
    method = "Mixed model of logit area (REML): coupon as random effect, for coupons were imaged in several conditions."
    return Anova(method, tuple(rows), _assumptions(residual, []), (*notes, *said), ())


def _factor(term: str) -> str:
    return ":".join(f"C({name}, Sum)" for name in term.split(":"))


def _formula(terms: list[str]) -> str:
    return "y ~ " + " + ".join(_factor(term) for term in terms)


def _assumptions(residual: Reals, groups: list[Reals]) -> tuple[str, ...]:
    """Normal residuals (Shapiro–Wilk) and equal scatter (Brown–Forsythe), in words."""
    said = []
    if 3 <= len(residual) <= 5000 and float(np.ptp(residual)) > 0:
        p = float(stats.shapiro(residual).pvalue)
        said.append(f"Residuals {'are not normal' if p < 0.05 else 'may well be normal'} (Shapiro–Wilk p = {p:.2g}).")
    groups = [group for group in groups if len(group) > 2 and float(np.ptp(group)) > 0]
    if len(groups) > 1:
        p = float(stats.levene(*groups, center="median").pvalue)
        said.append(
            f"Scatter {'differs between conditions' if p < 0.05 else 'may well be equal'} (Brown–Forsythe p = {p:.2g})."
        )
    else:
        said.append("Equal scatter could not be checked: 3 coupons a condition, each in one, at least.")
    return tuple(said)
