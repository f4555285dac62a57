"""An evaluation in, its plots as PNG files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.records import SEVERITIES
from training.score.evaluation import ClassifierResult, Evaluation, HeatScores, Number, SegmenterResult

DOTS_PER_INCH: Final = 110
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008: colour-blind safe


@dataclass(frozen=True, slots=True)
class _Plot:
    """A figure and its axes in a row or grid."""

    figure: Any
    axes: Any

    def save(self, out: Path, name: str) -> str:
        file = f"{name}.png"
        self.figure.savefig(out / file, dpi=DOTS_PER_INCH)
        return file


def _new_plot(rows: int, columns: int, width: float, height: float) -> _Plot:
    """axes: [rows, columns]; width, height: of one of them in inches."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return _Plot(figure, figure.subplots(rows, columns, squeeze=False))


def plot_curves(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    """Figure 5: ROC and precision-recall of pixels; returns the file's name, as all of these do."""
    plot = _new_plot(1, 2, 4.2, 3.8)
    roc, recall = plot.axes[0]
    roc.plot((0, 1), (0, 1), ":", color="0.6", linewidth=1)
    for one, colour in zip(segmenters, _colours(), strict=False):
        roc.plot(one.curve.false_rate, one.curve.true_rate, color=colour, label=_labelled(one.name, one.any_class["roc_auc"]))
        label = _labelled(one.name, one.any_class["pr_auc"])
        recall.plot(one.curve.true_rate, one.curve.precision, color=colour, label=label)
    _finish(roc, "false positive rate", "true positive rate", "ROC of pixels")
    _finish(recall, "recall", "precision", "precision-recall of pixels")
    for axis in (roc, recall):
        axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axis.legend(loc="lower right" if axis is roc else "lower left", frameon=False)
    return plot.save(out, "pixel-curves")


def _labelled(name: str, number: Number) -> str:
    return name if number.value is None else f"{name}, area {100 * number.value:.1f} %"


def plot_aucs(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    """Figure 6: how the ROC AUC of the images is distributed."""
    plot = _new_plot(1, 1, 7.0, 3.0)
    axis = plot.axes[0, 0]
    values = [[image.roc_auc for image in one.images if image.roc_auc is not None] for one in segmenters]
    lowest = min((min(part) for part in values if part), default=0.5)
    bins = np.linspace(np.floor(lowest * 50) / 50, 1.0, 26)
    for one, part, colour in zip(segmenters, values, _colours(), strict=False):
        axis.hist(part, bins=bins, color=colour, alpha=0.6, label=f"{one.name}, {len(part)} images")
    _finish(axis, "ROC AUC of an image", "images", "")
    axis.legend(loc="upper left", frameon=False)
    return plot.save(out, "image-auc")


def plot_sizes(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    """Part found and mask mAP50 by diameter."""
    plot = _new_plot(1, 2, 4.2, 3.2)
    for axis, name, title in zip(plot.axes[0], ("recall50", "map50"), ("found", "mask mAP50"), strict=True):
        for one, colour in zip(segmenters, _colours(), strict=False):
            bins = one.sizes[2:]  # after those of every size and of the resolved ones
            ticks = [f"{size.from_px:g}–{size.below_px:g}" if size.below_px else f"{size.from_px:g} +" for size in bins]
            values = [getattr(size, name) for size in bins]
            heights = [float("nan") if value is None else 100 * value for value in values]
            axis.plot(range(len(bins)), heights, "o-", color=colour, label=one.name)
            axis.set_xticks(range(len(bins)), ticks, rotation=30)
        _finish(axis, "diameter, network px", "%", title)
        axis.set_ylim(-2, 102)
    plot.axes[0, 0].legend(loc="lower right", frameon=False)
    return plot.save(out, "by-size")


def plot_confusions(classifiers: Sequence[ClassifierResult], out: Path) -> str:
    """Figure 8: a confusion matrix for each classifier."""
    plot = _new_plot(1, len(classifiers), 3.4, 3.4)
    for axis, one in zip(plot.axes[0], classifiers, strict=True):
        counts = np.array(one.confusion)
        parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(parts, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(SEVERITIES)):
            for column in range(len(SEVERITIES)):
                colour = "white" if parts[row, column] > 0.5 else "black"
                axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=13)
        axis.set_xticks(range(len(SEVERITIES)), SEVERITIES)
        axis.set_yticks(range(len(SEVERITIES)), SEVERITIES, rotation=90, va="center")
        axis.set(xlabel="said", ylabel="true", title=one.name)
    return plot.save(out, "confusion")


def plot_heat(name: str, heat: HeatScores, out: Path) -> str:
    """Figure 7: heat maps of the best, the median and the worst image, with the labels' outlines."""
    first = heat.examples[0].grey
    width = 3.2
    plot = _new_plot(2, len(heat.examples), width, width * first.shape[0] / first.shape[1] + 0.25)
    for column, example in enumerate(heat.examples):
        for row, axis in enumerate(plot.axes[:, column]):
            axis.imshow(example.grey, cmap="gray", vmin=0, vmax=255)
            if row:
                axis.imshow(example.heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
            axis.contour(example.truth.astype(float), levels=[0.5], colors="#00e5ff", linewidths=0.8)
            axis.set_axis_off()
        plot.axes[0, column].set_title(f"{example.which}: IoU {100 * example.iou:.1f} %\n{example.image}", fontsize=8)
    return plot.save(out, name)


def plot_time_course(evaluation: Evaluation, out: Path) -> str:
    """Corroded part against exposure, a plot for each annealing."""
    course = evaluation.time_course
    conditions = () if course is None else course.conditions
    annealings = sorted({one.annealing_min for one in conditions})
    plot = _new_plot(1, len(annealings), 3.4, 3.2)
    highest = max((100 * (one.measured + (one.deviation or 0.0)) for one in conditions), default=1.0) or 1.0
    for axis, annealing in zip(plot.axes[0], annealings, strict=True):
        rows = [one for one in conditions if one.annealing_min == annealing]
        days = [one.exposure_h / 24 for one in rows]
        errors = [100 * (one.deviation or 0.0) for one in rows]
        measured = [100 * one.measured for one in rows]
        axis.errorbar(days, measured, errors, fmt="o-", color=COLOURS[0], capsize=3, label="measured (± over images)")
        axis.plot(days, [100 * one.labelled for one in rows], "s", color=COLOURS[1], fillstyle="none", label="labelled")
        if any(one.true is not None for one in rows):
            true = [float("nan") if one.true is None else 100 * one.true for one in rows]
            axis.plot(days, true, "--", color=COLOURS[2], label="drawn (truth)")
        _finish(axis, "exposure, days", "corroded part, %", f"annealed {annealing:g} min")
        axis.set_ylim(0, 1.1 * highest)
    plot.axes[0, 0].legend(loc="upper left", frameon=False, fontsize=8)
    return plot.save(out, "time-course")


def _finish(axis: Any, across: str, up: str, title: str) -> None:
    axis.set(xlabel=across, ylabel=up, title=title)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _colours() -> list[str]:
    return [*COLOURS] * 4
