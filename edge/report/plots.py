"""Results of the analysis in; drawings as SVG, with text that can be searched and copied, out."""

from __future__ import annotations

import io
import math
import os
from typing import TYPE_CHECKING, Any, Final

from edge.cache import cache_folder

os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))  # or it leaves a list of fonts in the home folder

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

if TYPE_CHECKING:
    from edge.report.extremes import Extremes
    from edge.report.growth import Growth
    from edge.report.pits import Pits

COLOURS: Final = ("#1f4e79", "#b35900", "#2e7d32", "#8e24aa", "#c62828", "#00838f", "#5d4037", "#546e7a")
MARKERS: Final = "osD^vPX*"
"""A condition is told by the shape of its points too, never by colour alone."""


class PlainNumbers(LogFormatter):
    """The numbers beside a logarithmic axis as people write them: 0.5 % and 200, not powers of ten. share: in percent."""

    def __init__(self, *, share: bool = False) -> None:
        """As matplotlib's own, which says where a number stands."""
        super().__init__(minor_thresholds=(1.0, 0.5))
        self._share = share

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The text of one number; empty where none stands."""
        if not super().__call__(x, pos):
            return ""
        return f"{100 * x:g} %" if self._share else f"{x:,.0f}" if x >= 1000 else f"{x:g}"


def _plain(axis: Any, *, share: bool = False) -> None:
    axis.set_major_formatter(PlainNumbers(share=share))
    axis.set_minor_formatter(PlainNumbers(share=share))


def growth(result: Growth, label: str) -> str | None:
    """Points of coupons and, where a law was fitted, its curve with a 95 % band, the early law dotted; None without points."""
    if not result.points:
        return None
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    times = sorted({point.annealing_min for point in result.points})
    for place, annealing in enumerate(times):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        own = [point for point in result.points if point.annealing_min == annealing]
        name = f"annealed {annealing:g} min"
        axes.plot([p.exposure_h for p in own], [p.value for p in own], marker, color=colour, ms=6, alpha=0.8, label=name)
        for curve in (curve for curve in result.curves if curve.annealing_min == annealing):
            axes.plot(curve.exposure_h, curve.median, color=colour, lw=1.5)
            axes.fill_between(curve.exposure_h, curve.lo, curve.hi, color=colour, alpha=0.15, lw=0)
            if result.law == "growth" and result.power is not None:
                early = [math.exp(result.power.log_value(annealing, time)[0]) for time in curve.exposure_h]
                axes.plot(curve.exposure_h, early, color=colour, lw=1, ls=":")
    seen = [point.value for point in result.points] + [value for curve in result.curves for value in curve.median]
    if min(seen) > 0:
        axes.set_yscale("log")
        _plain(axes.yaxis, share=result.measure == "area_fraction")
        axes.set_ylim(min(seen) / 3, max(seen) * 3)  # a band that says nothing would hide the points
    axes.set(xlabel="exposure, hours", ylabel=label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return _svg(figure, result.measure)


def sizes(result: Pits) -> str | None:
    """How many regions are of which diameter, a line a condition; None without sizes."""
    rows = [row for row in result.rows if row.histogram[1]]
    if not rows:
        return None
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        name = f"{_or_unknown(row.annealing_min, 'min')}, {_or_unknown(row.exposure_h, 'h')}"
        edges, counts = row.histogram
        style = ("-", "--", ":", "-.")[place // len(COLOURS) % 4]
        axes.stairs(counts, edges, color=COLOURS[place % len(COLOURS)], ls=style, lw=1.4, label=name)
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set(xlabel="diameter of a region, µm", ylabel="regions")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, title="annealing, exposure", title_fontsize=8)
    return _svg(figure, "sizes")


def _or_unknown(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g} {unit}"


def extremes(result: Extremes) -> str | None:
    """The largest regions against the reduced variate; None without them."""
    if not result.qq:
        return None
    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for cut, marker, name in ((False, "o", "whole"), (True, "^", "cut by the edge: at least this large")):
        own = [(reduced, observed) for reduced, observed, is_cut in result.qq if is_cut == cut]
        if own:
            axes.plot(*zip(*own, strict=True), marker, color=COLOURS[cut], label=name)
    if result.location_um is not None and result.scale_um is not None:
        ends = [result.qq[0][0], result.qq[-1][0]]
        axes.plot(ends, [result.location_um + result.scale_um * end for end in ends], color=COLOURS[0], lw=1.2)
    axes.set(xlabel="reduced variate", ylabel="largest diameter of a field, µm")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return _svg(figure, "extremes")


def _svg(figure: Any, salt: str) -> str:
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
