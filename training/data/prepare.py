"""A folder of micrographs with labels of any kind in, a checked, split and augmented data set that training reads out.

Nothing is written unless all checks pass: all problems are reported at once. Groups (physical samples) are split, not
images, and varied copies are made after that, of images that are learnt from and never of test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import ConfigError, EdgeError
from training.data.check import check_classes, check_pages
from training.data.find import find_images, find_labels, read_sample_rows
from training.data.options import Options, check_options
from training.data.read_images import read_pages
from training.data.read_labels import classes_by_annealing, read_labels
from training.data.read_reviews import with_reviews
from training.data.split import split
from training.data.write import Plan, write
from training.labels.image_labels import Finding, lines_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came out. record: the content of dataset.json.  warnings: one line each."""

    folder: Path
    record: dict[str, Any]
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """A few lines for people."""
        counts = self.record["counts"]
        lines = [
            f"{counts['images']} images of {counts['groups']} groups, {counts['varied_copies']} varied copies; "
            f"labels: {self.record['labels']['kind'] or 'none'}"
            + (f", values: {self.record['labels']['mask_rule']}" if self.record["labels"]["mask_rule"] else ""),
            "regions: " + ", ".join(f"{name} {count}" for name, count in counts["regions"].items()),
            "severity: " + ", ".join(f"{name} {count}" for name, count in counts["severities"].items()),
        ]
        for name, part in {**self.record["parts"], **self.record["folds"]}.items():
            lines.append(f"{name}: {part['images']} images of {len(part['groups'])} groups")
        return "\n".join(lines)


def prepare(data: Path, out: Path, options: Options, command: str) -> Prepared:
    """Check the data in `data` and write the data set `out`, which must not exist or be empty.

    Raises ConfigError with everything that is wrong, EdgeError when `out` cannot be written.
    """
    check_options(data, out, options)
    files = find_images(data)
    findings: list[Finding] = []
    pages = read_pages(files, read_sample_rows(data, files, findings), findings)
    labels_in = options.labels_from or data
    labels = find_labels(labels_in, files, options, findings)
    if labels.kind == "reviews":
        pages, labels = with_reviews(labels_in, pages, options.classes, findings)
    classes, regions, rule = read_labels(labels_in, files, pages, labels, options, findings)
    if options.classes_by == "annealing":
        classes, regions = classes_by_annealing(pages, regions, findings)
    findings += check_pages(pages)
    parts, folds = split(pages, options, findings)
    if regions:
        findings += check_classes(regions, classes, parts)
    fatal, warnings = lines_of(findings, fatal=True), lines_of(findings, fatal=False)
    if fatal:
        raise ConfigError("\n".join([f"{data} cannot be prepared:", *(f"  {line}" for line in fatal), *_indent(warnings)]))
    plan = Plan(pages, regions, classes, labels.kind, rule, parts, folds, tuple(warnings))
    try:
        record = write(out, data, plan, options, command)
    except OSError as error:
        raise EdgeError(f"cannot write {out}: {error.strerror or error}") from error
    return Prepared(out, record, plan.warnings)


def _indent(warnings: Sequence[str]) -> list[str]:
    return ["besides, to be known:", *(f"  {line}" for line in warnings)] if warnings else []
