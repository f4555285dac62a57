"""Results of the analysis of one series in; what they say, in sentences for the head of the page, out.

A sentence claims no more than its interval: what an interval leaves open "is not shown", which is not "is not there".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy import stats

from edge.inspection.overlay import four_figures
from edge.report.anova import Anova, AnovaRow
from edge.report.extremes import HEADING, Extremes
from edge.report.fields import CHOSEN, FieldStatistics
from edge.report.growth import Estimate, Growth, at
from edge.report.parameters import Correlations
from edge.report.ranking import Ranked, Ranking

SURE: Final = 0.05
NAMES: Final = {
    "area_fraction": "the corroded area",
    "density_per_mm2": "the density of regions",
    "diameter_um": "the median diameter",
}
UNITS: Final = {"area_fraction": "", "density_per_mm2": " a mm²", "diameter_um": " µm"}
UNRANKED: Final = "No annealing times are ranked: --at HOURS names the exposure to rank them at."


def of_growth(results: Mapping[str, Growth]) -> list[str]:
    """What grew how; where nothing was fitted, why, once for all measures of the same lack."""
    said, endless, lacking = list[str](), list[str](), dict[str, list[str]]()
    for measure, result in results.items():
        if result.fit is None:
            lacking.setdefault(" ".join(result.missing), []).append(NAMES[measure])
            continue
        said += [_grown(result, curve.annealing_min) for curve in result.curves]
        limit = _limit(result)
        said += limit
        endless += [] if limit else [NAMES[measure]]
    said += [f"An end of the growth of {_and(endless)} is not seen within these exposures."] if endless else []
    return [*said, *(f"No growth is fitted to {_and(names)}: {why}" for why, names in lacking.items())]


def _grown(result: Growth, annealing: float) -> str:
    """One annealing time, from its first exposure to its last one."""
    times = sorted({point.exposure_h for point in result.points if point.annealing_min == annealing and point.coupon})
    first, last = at(result, annealing, times[0]), at(result, annealing, times[-1])
    fit = result.fit
    assert first is not None
    assert last is not None
    assert fit is not None
    log, error, free = fit.log_change(annealing, times[0], times[-1])
    reach = float(stats.t.ppf(0.975, free)) * error
    low, high = float(np.exp(max(-700.0, log - reach))), float(np.exp(min(700.0, log + reach)))
    what, unit = NAMES[result.measure], UNITS[result.measure]
    ends = (
        f"{_size(result.measure, first[0])}{unit} ({_between(result.measure, first)}) after {times[0]:g} h",
        f"{_size(result.measure, last[0])}{unit} ({_between(result.measure, last)}) after {times[-1]:g} h",
    )
    ratio = f"{four_figures(float(f'{np.exp(log):.3g}'))} times, 95 % {low:.3g} to {high:.3g}"
    if low > 1:
        return f"Annealed {annealing:g} min, {what} grows from {ends[0]} to {ends[1]}: {ratio}."
    return f"Annealed {annealing:g} min, {what} is {ends[0]} and {ends[1]}: {ratio}. A growth is not shown."


def _limit(result: Growth) -> list[str]:
    """To where the growth slows down; nothing where that is not known."""
    what, unit = NAMES[result.measure], UNITS[result.measure]
    known = {time: limit for time, limit in result.plateau.items() if limit is not None}
    if not result.plateau_identified or not known:
        return []
    each = _and(
        [
            f"{_size(result.measure, value)}{unit} ({_between(result.measure, (value, lo, hi))}) at {time:g} min"
            for time, (lo, value, hi) in known.items()
        ]
    )
    return [f"The growth of {what} slows down: above its start it comes to {each}."]


def of_variance(result: Anova) -> list[str]:
    """Which effects are shown."""
    rows = {row.term: row for row in result.rows if row.p is not None}
    if not rows:
        return [f"There are no p-values: {' '.join(result.missing)}"]
    shown = [_effect(row) for row in rows.values() if row.p is not None and row.p < SURE]
    open_ = [_effect(row) for row in rows.values() if row.p is not None and row.p >= SURE]
    said = [f"On the corroded area an effect is shown of {_and(shown)}."] if shown else []
    said += [f"Not shown is an effect of {_and(open_)}."] if open_ else []
    both = rows.get("annealing × exposure")
    if both is not None and both.p is not None and both.p < SURE:
        said.append("So annealing times differ more at some exposures than at others.")
    return said


def _effect(row: AnovaRow) -> str:
    size = "" if row.partial_eta2 is None else f", partial η² {row.partial_eta2:.2f}"
    names = {"annealing": "annealing time", "annealing × exposure": "both together (interaction)"}
    p = row.p if row.p is not None else 1.0
    return f"{names.get(row.term, row.term)} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}{size})"


def of_ranking(result: Ranking | None) -> list[str]:
    """The best and the worst annealing time at the exposure that was named."""
    if result is None:
        return [UNRANKED]
    if not result.rows:
        return [f"No annealing times are ranked after {result.exposure_h:g} h: {' '.join(result.missing)}"]
    best, worst = result.rows[0], result.rows[-1]
    sure = "" if best.probability_best >= 0.95 else ", so it is not settled which one is the smallest"
    return [
        f"After {result.exposure_h:g} h the smallest corroded area is that of {_ranked(best)}, "
        f"the smallest with a probability of {_probability(best.probability_best)}{sure}.",
        f"The largest one is that of {_ranked(worst)}.",
    ]


def _ranked(row: Ranked) -> str:
    return f"{row.annealing_min:g} min: {row.median:.2%} (95 % {row.lo:.2%} to {row.hi:.2%})"


def _probability(share: float) -> str:
    """Draws are counted, so all of them are no certainty."""
    return "more than 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")


def of_parameters(result: Correlations | None) -> list[str]:
    """Which parameters go with the area; nothing where there are none."""
    if result is None:
        return []
    if not result.rows:
        return [f"No process parameter is correlated: {' '.join((*result.missing, *result.notes))}"]
    some = sorted((row for row in result.rows if row.p_holm < SURE), key=lambda row: -abs(row.rho))
    each = [f"{row.name} (ρ {row.rho:.2f}, 95 % {row.lo:.2f} to {row.hi:.2f})" for row in some]
    said = (
        f"With the corroded area rise or fall: {_and(each)}."
        if some
        else f"A correlation with the corroded area is not shown for any of {len(result.rows)} process parameters."
    )
    forest = result.importance
    if forest is None or not forest.r2 > 0:
        return [said]
    name = forest.rows[0][0]
    return [said, f"In a random forest {name} counts most (R² on {forest.groups} that it has not seen: {forest.r2:.2f})."]


def of_fields(results: Sequence[FieldStatistics]) -> list[str]:
    """For what the numbers speak."""
    chosen = sum(one.heading == CHOSEN for one in results)
    if not results or not chosen:
        return []
    part = "" if chosen == len(results) else f"In {chosen} of {len(results)} specimens: "
    return [f"{part}{CHOSEN}."[:1].upper() + f"{part}{CHOSEN}."[1:]]


def of_extremes(results: Sequence[tuple[float | None, float | None, Extremes]], surface_mm2: float | None) -> list[str]:
    """The largest size to expect, condition by condition, or why none is told. results: annealing, exposure, their fit."""
    told = [
        f"{four_figures(one.largest_um)} µm ({_open(one)}) at {_condition(annealing, exposure)}"
        for annealing, exposure, one in results
        if one.largest_um is not None
    ]
    if told:
        return [f"On {surface_mm2:g} mm² the largest diameter to expect is {_and(told)}; {HEADING}."]
    lacks = list(dict.fromkeys(why for _, _, one in results for why in one.missing))
    return [f"No largest size is expected: {lacks[0]}"] if lacks and surface_mm2 is not None else []


def _open(one: Extremes) -> str:
    """Its interval; an end that the data leave open is said."""
    low = "no lower end" if one.lo_um is None else four_figures(one.lo_um)
    high = "no upper end" if one.hi_um is None else four_figures(one.hi_um)
    return f"95 % {low} to {high}"


def _condition(annealing: float | None, exposure: float | None) -> str:
    minutes = "an unknown annealing time" if annealing is None else f"{annealing:g} min"
    return f"{minutes} and {'an unknown exposure' if exposure is None else f'{exposure:g} h'}"


def _size(measure: str, value: float) -> str:
    return f"{value:.2%}" if measure == "area_fraction" else four_figures(value)


def _between(measure: str, estimate: Estimate) -> str:
    """estimate: (value, lo, hi)."""
    return f"95 % {_size(measure, estimate[1])} to {_size(measure, estimate[2])}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
