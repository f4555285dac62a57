"""An evaluation in, its plots as PNG and one HTML page that sets the paper's tables beside it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.records import SEVERITIES
from training.score.evaluation import ClassifierResult, Evaluation, HeatScores, Number, Numbers, SegmenterResult

PAPER: Final = "doi:10.20944/preprints202601.1978.v1"
DOTS_PER_INCH: Final = 110
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008: colour-blind safe

# what the paper prints, in per cent
PAPER_TABLE_5: Final = (
    ("YOLO automated", "80.67", "75.3", "79.2", "73.0", "56.8", "86.6", "63.6"),
    ("YOLO augmented", "89.91", "99.7", "96.5", "98.5", "97.1", "98.6", "98.6"),
)
PAPER_TABLE_6: Final = (
    ("YOLO automated", "86.6", "55.1", "63.6", "24.0"),
    ("YOLO augmented", "98.6", "91.2", "98.6", "82.1"),
)
PAPER_TABLE_7: Final = (("YOLO augmented", "94.69", "95.45", "93.70", "88 to 95"),)
PAPER_TABLE_8: Final = (("YOLO augmented", "78.79", "91.47", "67.24", "", ""),)
PAPER_TABLE_9: Final = (
    ("EfficientNet-B0, two phases", "", "93.75 (15 of 16)", "", "", "93.29", "", ""),
    ("ResNet-18, standard training", "", "79.60", "", "", "", "", ""),
)
PAPER_FIGURE_8: Final = ("6 of 6 low", "2 of 3 moderate (one called low)", "7 of 7 severe")


def write(evaluation: Evaluation, out: Path) -> Path:
    """Write `out/index.html`, `out/evaluation.json` and the plots; returns the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(evaluation.as_json(), encoding="utf-8")
    page = out / "index.html"
    page.write_text(_page(evaluation, out), encoding="utf-8")
    return page


# --- the page --------------------------------------------------------------------------------------------------------


def _page(evaluation: Evaluation, out: Path) -> str:
    parts = [_head(evaluation)]
    if evaluation.segmenters:
        parts += _stage1(evaluation, out)
    if evaluation.classifiers:
        parts += _stage2(evaluation, out)
    if evaluation.time_course is not None:
        parts.append(_time_course(evaluation, out))
    parts += [_checkpoints(evaluation), _how(evaluation)]
    title = f"Evaluation of {escape(evaluation.data)}"
    return _FRAME.format(title=title, style=_STYLE, body="\n".join(parts))


def _head(evaluation: Evaluation) -> str:
    folds = f"{evaluation.folds} folds" if evaluation.folds else "its test part"
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in evaluation.warnings)
    return f"""<h1>Evaluation of {escape(evaluation.data)}</h1>
<p>{evaluation.images} images of {evaluation.groups} groups (coupons), {folds}; classes {escape(", ".join(evaluation.classes))}.
Every image was judged by a checkpoint that learnt from no image of its group.</p>
<p class="note"><strong>The data differ.</strong> Rows marked <em>paper</em> repeat what Aich et al. 2026 ({PAPER}) print about
their own 117 images, which are not published; all other rows were measured on {escape(evaluation.data)}. A difference
between them can come from the images, the labels, the split or the models, and this page cannot tell which. The
paper gives no intervals, and its training images are varied copies of those that it also splits.</p>
{f'<div class="note"><strong>To be known</strong><ul>{warnings}</ul></div>' if warnings else ""}
<p>Percentages. Beside each value: the standard deviation over the folds (±) and, in brackets, the 95 % interval from
drawing whole groups. <a href="evaluation.json">evaluation.json</a> holds all numbers.</p>
<p class="small"><code>{escape(evaluation.command)}</code><br>
{escape(", ".join(f"{name} {number}" for name, number in evaluation.versions.items()))}</p>"""


def _stage1(evaluation: Evaluation, out: Path) -> list[str]:
    segmenters = evaluation.segmenters
    sets = [(one, title, numbers) for one in segmenters for title, numbers in _kinds(one)]
    columns5 = ("mean_iou", "box_precision", "box_recall", "mask_precision", "mask_recall", "box_map50", "mask_map50")
    columns_iou = ("mean_iou", "mean_iou_from_16px", "matched_iou", "ground_and_corrosion_iou", "class_iou")
    columns6 = ("box_map50", "box_map50_95", "mask_map50", "mask_map50_95")
    by_title = [(f"{one.name}, {title}", {**one.any_class, **numbers}) for one, title, numbers in sets]
    wholes = [(one.name, one.any_class) for one in segmenters]
    full = ("mask_map50_full_size", "mask_map50_95_full_size", "mask_map50_from_16px", "mask_map50_95_from_16px")
    mean_ious = [(one.name, {**one.any_class, **(one.by_class or {})}) for one in segmenters]
    parts = [
        "<h2>Stage 1: segmentation</h2>",
        _table(
            "Table 5. Mean IoU, precision and recall",
            ("", "mean IoU", "box precision", "box recall", "mask precision", "mask recall", "box mAP50", "mask mAP50"),
            [_row(title, numbers, columns5) for title, numbers in by_title],
            PAPER_TABLE_5,
        ),
        "<p>Mean IoU: all found pixels against all labelled pixels of an image, mean over the images, whatever the class. That "
        "is the paper's equation 2 on its “pixel-wise overlap” (Table 4), and it exists for every label set. "
        "Precision and recall are those at the confidence of the largest F1, which is chosen on the scored images, as "
        "ultralytics does.</p>",
        _table(
            "What else is called mean IoU",
            (
                "",
                "pixels of an image",
                "without regions below 16 px",
                "matched regions only",
                "ground and corrosion",
                "per class",
            ),
            [_row(name, found, columns_iou) for name, found in mean_ious],
        ),
        "<p>“Matched regions only” leaves out whatever was missed or found in vain; "
        "“ground and corrosion” is high where little is corroded.</p>",
        _table(
            "Table 6. mAP",
            ("", "box mAP50", "box mAP50-95", "mask mAP50", "mask mAP50-95"),
            [_row(title, numbers, columns6) for title, numbers in by_title],
            PAPER_TABLE_6,
        ),
        _table(
            "The same masks at the network's full size (pycocotools)",
            ("", "mask mAP50", "mask mAP50-95", "mask mAP50, from 16 px", "mask mAP50-95, from 16 px"),
            [_row(title, numbers, full) for title, numbers in by_title],
        ),
        "<p>Ultralytics compares masks at a quarter of the network's size, so its figures for small regions are coarse; these "
        "are not. “From 16 px” ignores labelled regions whose area is less than that of a disc of 16 network pixels.</p>",
        _sizes(segmenters),
        _figure(_plot_sizes(segmenters, out), "Part of the labelled regions found, and mask mAP50, by diameter."),
        _table(
            "Table 7. Areas under the pixel curves",
            ("", "ROC AUC", "PR AUC", "mean AUC of the images", "range of the images"),
            [[*_row(name, numbers, ("roc_auc", "pr_auc", "image_auc_mean")), _range(numbers)] for name, numbers in wholes],
            PAPER_TABLE_7,
        ),
        _figure(_plot_curves(segmenters, out), "Figure 5. ROC and precision-recall of pixels, all folds together."),
        _figure(_plot_aucs(segmenters, out), "Figure 6. ROC AUC of each image."),
        _heat_table("Table 8. Grad-CAM IoU of stage 1", [(one.name, one.heat) for one in segmenters], PAPER_TABLE_8),
        "<p>Heat at 15 % of its maximum or more against the labelled pixels; the paper names no threshold, so means at other "
        "thresholds stand beside it. “Everywhere” is what a map that is hot all over would reach.</p>",
    ]
    parts += [
        _photo(_plot_heat(f"gradcam-{one.name}", one.heat, out), f"Figure 7. Grad-CAM of {one.name}; outlines are labels.")
        for one in segmenters
        if one.heat.examples
    ]
    paired = [comparison for comparison in evaluation.comparisons if comparison.what == "mean_iou"]
    if paired:
        rows = [[f"{one.one} less {one.other}", _cell(one.difference), str(one.difference.n)] for one in paired]
        parts.append(_table("Mean IoU of two strategies on the same images", ("", "difference", "images"), rows))
    return parts


def _kinds(one: SegmenterResult) -> list[tuple[str, Numbers]]:
    kinds: list[tuple[str, Numbers]] = [] if one.by_class is None else [("classes compared", one.by_class)]
    return [*kinds, ("without classes", one.any_class)]


def _stage2(evaluation: Evaluation, out: Path) -> list[str]:
    classifiers = evaluation.classifiers
    names = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_f1", "expected_calibration_error")
    rows = [
        [
            f"{one.name} ({one.architecture})" if one.name != one.architecture else one.name,
            escape(_origins(one)),
            *_row("", one.numbers, names)[1:],
        ]
        for one in classifiers
    ]
    columns = ("", "began from", "accuracy", "precision", "recall", "F1", "weighted F1", "calibration error")
    parts = [
        "<h2>Stage 2: severity</h2>",
        _table("Table 9. Architectures", columns, rows, PAPER_TABLE_9),
        "<p>Precision, recall and F1 are means over the severities, all folds together. The interval of the accuracy is "
        "Wilson's; the others come from drawing groups. Of the paper's 16 test images 15 were right: "
        "its 95 % interval is 72 to 99.</p>",
    ]
    paired = [comparison for comparison in evaluation.comparisons if comparison.what == "accuracy"]
    if paired:
        compared = [
            [
                f"{one.one} less {one.other}",
                _cell(one.difference),
                f"{one.only_one} / {one.only_other}",
                f"{one.mcnemar_p:.3g}",
                escape(" / ".join(one.initialised_from)),
            ]
            for one in paired
        ]
        heads = ("", "accuracy, difference", "only the first / second right", "McNemar's exact p", "began from")
        parts.append(_table("Two architectures on the same images", heads, compared))
        if any(one.initialised_from[0] != one.initialised_from[1] for one in paired):
            parts.append(
                '<p class="note">They began from different weights: the difference is not that of the architectures alone.</p>'
            )
    parts += [
        _figure(
            _plot_confusions(classifiers, out),
            f"Figure 8. Confusion matrices, counts of images. The paper's: {', '.join(PAPER_FIGURE_8)}.",
        ),
        _heat_table("Grad-CAM IoU of stage 2", [(one.name, one.heat) for one in classifiers]),
        "<p>The classifier was never told where corrosion is, and its map has 7 × 7 positions for the whole image.</p>",
    ]
    parts += [
        _photo(_plot_heat(f"gradcam-{one.name}", one.heat, out), f"Grad-CAM of {one.name}; outlines are labels.")
        for one in classifiers
        if one.heat.examples
    ]
    return parts


def _origins(one: ClassifierResult) -> str:
    return " / ".join(dict.fromkeys(judge.initialised_from for judge in one.judges))


def _time_course(evaluation: Evaluation, out: Path) -> str:
    course = evaluation.time_course
    if course is None:
        return ""
    rows = [
        [
            f"{one.annealing_min:g} min",
            _hours(one.exposure_h),
            str(one.images),
            f"{100 * one.measured:.2f}" + (f" ± {100 * one.deviation:.2f}" if one.deviation is not None else ""),
            f"{100 * one.labelled:.2f}",
            "" if one.true is None else f"{100 * one.true:.2f}",
        ]
        for one in course.conditions
    ]
    columns = ("annealing", "exposure", "images", "measured (± over images)", "labelled", "drawn (truth)")
    figure = _figure(_plot_time_course(evaluation, out), "Corroded part of the image against exposure, by annealing.")
    return f"""<h2>Area against exposure</h2>
<p>The paper claims a temporal–thermal analysis and shows none. Measured by {escape(course.segmenter)} at the default
confidence; measured less {course.reference}, in percentage points: {_cell(course.error)} on average,
{_cell(course.absolute_error)} without sign.</p>
{figure}
{_table("Corroded part of the image", columns, rows)}"""


def _checkpoints(evaluation: Evaluation) -> str:
    runs: list[SegmenterResult | ClassifierResult] = [*evaluation.segmenters, *evaluation.classifiers]
    rows = [
        [
            escape(f"{one.name}: {judge.file}"),
            str(judge.images),
            escape(judge.initialised_from),
            str(judge.epochs),
            escape(judge.learnt_from),
        ]
        for one in runs
        for judge in one.judges
    ]
    return "<h2>Checkpoints</h2>" + _table("", ("", "images judged", "began from", "epochs", "learnt from"), rows)


def _how(evaluation: Evaluation) -> str:
    texts: dict[str, str] = {}
    for one in evaluation.segmenters:
        for title, numbers in _kinds(one):
            texts |= {f"{one.name}, {title}: {name}": f"{number.how} (n = {number.n})" for name, number in numbers.items()}
        texts[f"{one.name}: Grad-CAM IoU"] = f"{one.heat.mean.how} (n = {one.heat.mean.n})"
    for two in evaluation.classifiers:
        texts |= {f"{two.name}: {name}": f"{number.how} (n = {number.n})" for name, number in two.numbers.items()}
        texts[f"{two.name}: Grad-CAM IoU"] = f"{two.heat.mean.how} (n = {two.heat.mean.n})"
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in texts.items())
    return f"<h2>How each number was measured</h2><details><summary>All {len(texts)}</summary><dl>{rows}</dl></details>"


# --- pieces ----------------------------------------------------------------------------------------------------------


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], paper: Iterable[Sequence[str]] = ()) -> str:
    """Cells are HTML. paper: the rows that the paper prints, its label marked."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(_tr(row, "") for row in rows)
    body += "".join(_tr((f"paper: {row[0]}", *row[1:]), ' class="paper"') for row in paper)
    title = f"<caption>{caption}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _tr(row: Sequence[str], attributes: str) -> str:
    cells = "".join(f"<td>{cell}</td>" for cell in row[1:])
    return f'<tr{attributes}><th scope="row">{row[0]}</th>{cells}</tr>'


def _row(title: str, numbers: Numbers, names: Sequence[str]) -> list[str]:
    return [escape(title), *(_cell(numbers.get(name)) for name in names)]


def _cell(number: Number | None) -> str:
    if number is None or number.value is None:
        return "–"
    text = f"<b>{100 * number.value:.1f}</b>"
    if number.spread is not None:
        text += f" ± {100 * number.spread:.1f}"
    if number.low_95 is not None and number.high_95 is not None:
        text += f' <span class="small">[{100 * number.low_95:.1f}, {100 * number.high_95:.1f}]</span>'
    return text


def _range(numbers: Numbers) -> str:
    ends = [numbers[name].value for name in ("image_auc_min", "image_auc_max")]
    return " to ".join("–" if end is None else f"{100 * end:.1f}" for end in ends)


def _sizes(segmenters: Sequence[SegmenterResult]) -> str:
    rows = []
    for one in segmenters:
        for size in one.sizes:
            width = f"{size.from_px:g} and more" if size.below_px is None else f"{size.from_px:g} to {size.below_px:g}"
            name = "all" if size.from_px == 0 and size.below_px is None else width
            values = [_percent(value) for value in (size.recall50, size.map50, size.map50_95)]
            rows.append([escape(f"{one.name} ({one.imgsz} px)"), name, str(size.regions), *values])
    columns = ("", "diameter, network px", "labelled regions", "found at default confidence", "mask mAP50", "mask mAP50-95")
    return _table("By size, without classes", columns, rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _heat_table(title: str, heats: Sequence[tuple[str, HeatScores]], paper: Iterable[Sequence[str]] = ()) -> str:
    rows = []
    for name, heat in heats:
        others = ", ".join(f"{100 * float(at):g} %: {_percent(value)}" for at, value in heat.by_threshold.items())
        ends = [_percent(heat.best), _percent(heat.worst)]
        rows.append([escape(name), _cell(heat.mean), *ends, others, _percent(heat.everywhere)])
    return _table(title, ("", "mean", "best", "worst", "mean at other thresholds", "everywhere"), rows, paper)


def _hours(hours: float) -> str:
    return f"{hours / 24:g} days" if hours >= 24 else f"{hours:g} h"


def _figure(name: str, caption: str) -> str:
    return _image(name, caption, "plot")


def _photo(name: str, caption: str) -> str:
    return _image(name, caption, "photo")


def _image(name: str, caption: str, kind: str) -> str:
    text = escape(caption)
    return f'<figure><img class="{kind}" src="{escape(name)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


# --- plots -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A figure and its axes in a row or grid."""

    figure: Any
    axes: Any

    def save(self, out: Path, name: str) -> str:
        file = f"{name}.png"
        self.figure.savefig(out / file, dpi=DOTS_PER_INCH)
        return file


def _sheet(rows: int, columns: int, width: float, height: float) -> _Sheet:
    """axes: [rows, columns]; width, height: of one of them in inches."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return _Sheet(figure, figure.subplots(rows, columns, squeeze=False))


def _plot_curves(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    sheet = _sheet(1, 2, 4.2, 3.8)
    roc, recall = sheet.axes[0]
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
    return sheet.save(out, "pixel-curves")


def _labelled(name: str, number: Number) -> str:
    return name if number.value is None else f"{name}, area {100 * number.value:.1f} %"


def _plot_aucs(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    sheet = _sheet(1, 1, 7.0, 3.0)
    axis = sheet.axes[0, 0]
    values = [[image.roc_auc for image in one.images if image.roc_auc is not None] for one in segmenters]
    lowest = min((min(part) for part in values if part), default=0.5)
    bins = np.linspace(np.floor(lowest * 50) / 50, 1.0, 26)
    for one, part, colour in zip(segmenters, values, _colours(), strict=False):
        axis.hist(part, bins=bins, color=colour, alpha=0.6, label=f"{one.name}, {len(part)} images")
    _finish(axis, "ROC AUC of an image", "images", "")
    axis.legend(loc="upper left", frameon=False)
    return sheet.save(out, "image-auc")


def _plot_sizes(segmenters: Sequence[SegmenterResult], out: Path) -> str:
    sheet = _sheet(1, 2, 4.2, 3.2)
    for axis, name, title in zip(sheet.axes[0], ("recall50", "map50"), ("found", "mask mAP50"), strict=True):
        for one, colour in zip(segmenters, _colours(), strict=False):
            bins = one.sizes[2:]  # after those of every size and of the resolved ones
            ticks = [f"{size.from_px:g}–{size.below_px:g}" if size.below_px else f"{size.from_px:g} +" for size in bins]
            values = [getattr(size, name) for size in bins]
            heights = [float("nan") if value is None else 100 * value for value in values]
            axis.plot(range(len(bins)), heights, "o-", color=colour, label=one.name)
            axis.set_xticks(range(len(bins)), ticks, rotation=30)
        _finish(axis, "diameter, network px", "%", title)
        axis.set_ylim(-2, 102)
    sheet.axes[0, 0].legend(loc="lower right", frameon=False)
    return sheet.save(out, "by-size")


def _plot_confusions(classifiers: Sequence[ClassifierResult], out: Path) -> str:
    sheet = _sheet(1, len(classifiers), 3.4, 3.4)
    for axis, one in zip(sheet.axes[0], classifiers, strict=True):
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
    return sheet.save(out, "confusion")


def _plot_heat(name: str, heat: HeatScores, out: Path) -> str:
    first = heat.examples[0].grey
    width = 3.2
    sheet = _sheet(2, len(heat.examples), width, width * first.shape[0] / first.shape[1] + 0.25)
    for column, example in enumerate(heat.examples):
        for row, axis in enumerate(sheet.axes[:, column]):
            axis.imshow(example.grey, cmap="gray", vmin=0, vmax=255)
            if row:
                axis.imshow(example.heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
            axis.contour(example.truth.astype(float), levels=[0.5], colors="#00e5ff", linewidths=0.8)
            axis.set_axis_off()
        sheet.axes[0, column].set_title(f"{example.which}: IoU {100 * example.iou:.1f} %\n{example.image}", fontsize=8)
    return sheet.save(out, name)


def _plot_time_course(evaluation: Evaluation, out: Path) -> str:
    course = evaluation.time_course
    conditions = () if course is None else course.conditions
    annealings = sorted({one.annealing_min for one in conditions})
    sheet = _sheet(1, len(annealings), 3.4, 3.2)
    highest = max((100 * (one.measured + (one.deviation or 0.0)) for one in conditions), default=1.0) or 1.0
    for axis, annealing in zip(sheet.axes[0], annealings, strict=True):
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
    sheet.axes[0, 0].legend(loc="upper left", frameon=False, fontsize=8)
    return sheet.save(out, "time-course")


def _finish(axis: Any, across: str, up: str, title: str) -> None:
    axis.set(xlabel=across, ylabel=up, title=title)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _colours() -> list[str]:
    return [*COLOURS] * 4


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5a646e; --paper: #ffffff; --line: #d8dde2; --tint: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9aa5b0; --paper: #14181c; --line: #333b43; --tint: #1c2228; }
  img.plot { filter: invert(0.92) hue-rotate(180deg); }
}
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.note { background: var(--tint); border-left: 3px solid var(--soft); padding: .6rem .9rem; }
.small { font-size: .8em; color: var(--soft); overflow-wrap: anywhere; }
td .small { white-space: nowrap; }
.wide { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 500; }
tr.paper { color: var(--soft); font-style: italic; background: var(--tint); }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; } figcaption { color: var(--soft); font-size: .9rem; }
dt { font-weight: 500; font-size: .9rem; } dd { margin: 0 0 .4rem 1rem; color: var(--soft); font-size: .9rem; }
"""

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
