"""An evaluation in, its plots as PNG and one HTML page that sets the paper's tables beside it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from training.score.evaluation import ClassifierResult, Evaluation, HeatScores, Numbers, SegmenterResult
from training.score.evaluation_html import FRAME, STYLE, cell, figure, number_row, percent, photo, table
from training.score.evaluation_plots import plot_aucs, plot_confusions, plot_curves, plot_heat, plot_sizes, plot_time_course

PAPER: Final = "doi:10.20944/preprints202601.1978.v1"
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
    return FRAME.format(title=title, style=STYLE, body="\n".join(parts))


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
    parts = [
        "<h2>Stage 1: segmentation</h2>",
        *_overlaps_and_map(segmenters),
        _sizes(segmenters),
        figure(plot_sizes(segmenters, out), "Part of the labelled regions found, and mask mAP50, by diameter."),
        *_pixel_curves(segmenters, out),
        _heat_table("Table 8. Grad-CAM IoU of stage 1", [(one.name, one.heat) for one in segmenters], PAPER_TABLE_8),
        "<p>Heat at 15 % of its maximum or more against the labelled pixels; the paper names no threshold, so means at other "
        "thresholds stand beside it. “Everywhere” is what a map that is hot all over would reach.</p>",
    ]
    parts += [
        photo(plot_heat(f"gradcam-{one.name}", one.heat, out), f"Figure 7. Grad-CAM of {one.name}; outlines are labels.")
        for one in segmenters
        if one.heat.examples
    ]
    paired = [comparison for comparison in evaluation.comparisons if comparison.what == "mean_iou"]
    if paired:
        rows = [[f"{one.one} less {one.other}", cell(one.difference), str(one.difference.n)] for one in paired]
        parts.append(table("Mean IoU of two strategies on the same images", ("", "difference", "images"), rows))
    return parts


def _overlaps_and_map(segmenters: Sequence[SegmenterResult]) -> list[str]:
    """Tables 5 and 6, and beside each what else is called by its name."""
    kinds = [(one, title, numbers) for one in segmenters for title, numbers in _kinds(one)]
    by_title = [(f"{one.name}, {title}", {**one.any_class, **numbers}) for one, title, numbers in kinds]
    mean_ious = [(one.name, {**one.any_class, **(one.by_class or {})}) for one in segmenters]
    columns5 = ("mean_iou", "box_precision", "box_recall", "mask_precision", "mask_recall", "box_map50", "mask_map50")
    columns_iou = ("mean_iou", "mean_iou_from_16px", "matched_iou", "ground_and_corrosion_iou", "class_iou")
    columns6 = ("box_map50", "box_map50_95", "mask_map50", "mask_map50_95")
    full = ("mask_map50_full_size", "mask_map50_95_full_size", "mask_map50_from_16px", "mask_map50_95_from_16px")
    return [
        table(
            "Table 5. Mean IoU, precision and recall",
            ("", "mean IoU", "box precision", "box recall", "mask precision", "mask recall", "box mAP50", "mask mAP50"),
            [number_row(title, numbers, columns5) for title, numbers in by_title],
            PAPER_TABLE_5,
        ),
        "<p>Mean IoU: all found pixels against all labelled pixels of an image, mean over the images, whatever the class. That "
        "is the paper's equation 2 on its “pixel-wise overlap” (Table 4), and it exists for every label set. "
        "Precision and recall are those at the confidence of the largest F1, which is chosen on the scored images, as "
        "ultralytics does.</p>",
        table(
            "What else is called mean IoU",
            (
                "",
                "pixels of an image",
                "without regions below 16 px",
                "matched regions only",
                "ground and corrosion",
                "per class",
            ),
            [number_row(name, found, columns_iou) for name, found in mean_ious],
        ),
        "<p>“Matched regions only” leaves out whatever was missed or found in vain; "
        "“ground and corrosion” is high where little is corroded.</p>",
        table(
            "Table 6. mAP",
            ("", "box mAP50", "box mAP50-95", "mask mAP50", "mask mAP50-95"),
            [number_row(title, numbers, columns6) for title, numbers in by_title],
            PAPER_TABLE_6,
        ),
        table(
            "The same masks at the network's full size (pycocotools)",
            ("", "mask mAP50", "mask mAP50-95", "mask mAP50, from 16 px", "mask mAP50-95, from 16 px"),
            [number_row(title, numbers, full) for title, numbers in by_title],
        ),
        "<p>Ultralytics compares masks at a quarter of the network's size, so its figures for small regions are coarse; these "
        "are not. “From 16 px” ignores labelled regions whose area is less than that of a disc of 16 network pixels.</p>",
    ]


def _pixel_curves(segmenters: Sequence[SegmenterResult], out: Path) -> list[str]:
    """Table 7 and Figures 5 and 6."""
    wholes = [(one.name, one.any_class) for one in segmenters]
    return [
        table(
            "Table 7. Areas under the pixel curves",
            ("", "ROC AUC", "PR AUC", "mean AUC of the images", "range of the images"),
            [
                [*number_row(name, numbers, ("roc_auc", "pr_auc", "image_auc_mean")), _range(numbers)]
                for name, numbers in wholes
            ],
            PAPER_TABLE_7,
        ),
        figure(plot_curves(segmenters, out), "Figure 5. ROC and precision-recall of pixels, all folds together."),
        figure(plot_aucs(segmenters, out), "Figure 6. ROC AUC of each image."),
    ]


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
            *number_row("", one.numbers, names)[1:],
        ]
        for one in classifiers
    ]
    columns = ("", "began from", "accuracy", "precision", "recall", "F1", "weighted F1", "calibration error")
    parts = [
        "<h2>Stage 2: severity</h2>",
        table("Table 9. Architectures", columns, rows, PAPER_TABLE_9),
        "<p>Precision, recall and F1 are means over the severities, all folds together. The interval of the accuracy is "
        "Wilson's; the others come from drawing groups. Of the paper's 16 test images 15 were right: "
        "its 95 % interval is 72 to 99.</p>",
    ]
    paired = [comparison for comparison in evaluation.comparisons if comparison.what == "accuracy"]
    if paired:
        compared = [
            [
                f"{one.one} less {one.other}",
                cell(one.difference),
                f"{one.only_one} / {one.only_other}",
                f"{one.mcnemar_p:.3g}",
                escape(" / ".join(one.initialised_from)),
            ]
            for one in paired
        ]
        heads = ("", "accuracy, difference", "only the first / second right", "McNemar's exact p", "began from")
        parts.append(table("Two architectures on the same images", heads, compared))
        if any(one.initialised_from[0] != one.initialised_from[1] for one in paired):
            parts.append(
                '<p class="note">They began from different weights: the difference is not that of the architectures alone.</p>'
            )
    parts += [
        figure(
            plot_confusions(classifiers, out),
            f"Figure 8. Confusion matrices, counts of images. The paper's: {', '.join(PAPER_FIGURE_8)}.",
        ),
        _heat_table("Grad-CAM IoU of stage 2", [(one.name, one.heat) for one in classifiers]),
        "<p>The classifier was never told where corrosion is, and its map has 7 × 7 positions for the whole image.</p>",
    ]
    parts += [
        photo(plot_heat(f"gradcam-{one.name}", one.heat, out), f"Grad-CAM of {one.name}; outlines are labels.")
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
    plot = figure(plot_time_course(evaluation, out), "Corroded part of the image against exposure, by annealing.")
    return f"""<h2>Area against exposure</h2>
<p>The paper claims a temporal–thermal analysis and shows none. Measured by {escape(course.segmenter)} at the default
confidence; measured less {course.reference}, in percentage points: {cell(course.error)} on average,
{cell(course.absolute_error)} without sign.</p>
{plot}
{table("Corroded part of the image", columns, rows)}"""


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
    return "<h2>Checkpoints</h2>" + table("", ("", "images judged", "began from", "epochs", "learnt from"), rows)


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


def _range(numbers: Numbers) -> str:
    ends = [numbers[name].value for name in ("image_auc_min", "image_auc_max")]
    return " to ".join("–" if end is None else f"{100 * end:.1f}" for end in ends)


def _sizes(segmenters: Sequence[SegmenterResult]) -> str:
    rows = []
    for one in segmenters:
        for size in one.sizes:
            width = f"{size.from_px:g} and more" if size.below_px is None else f"{size.from_px:g} to {size.below_px:g}"
            name = "all" if size.from_px == 0 and size.below_px is None else width
            values = [percent(value) for value in (size.recall50, size.map50, size.map50_95)]
            rows.append([escape(f"{one.name} ({one.imgsz} px)"), name, str(size.regions), *values])
    columns = ("", "diameter, network px", "labelled regions", "found at default confidence", "mask mAP50", "mask mAP50-95")
    return table("By size, without classes", columns, rows)


def _heat_table(title: str, heats: Sequence[tuple[str, HeatScores]], paper: Iterable[Sequence[str]] = ()) -> str:
    rows = []
    for name, heat in heats:
        others = ", ".join(f"{100 * float(at):g} %: {percent(value)}" for at, value in heat.by_threshold.items())
        ends = [percent(heat.best), percent(heat.worst)]
        rows.append([escape(name), cell(heat.mean), *ends, others, percent(heat.everywhere)])
    return table(title, ("", "mean", "best", "worst", "mean at other thresholds", "everywhere"), rows, paper)


def _hours(hours: float) -> str:
    return f"{hours / 24:g} days" if hours >= 24 else f"{hours:g} h"
