"""The folder that `edge-review export` writes in, its images with what was said of them out: labels, parts, severities.

An image is learnt from as far as somebody looked at all of it. Of the others only a severity is known.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.config import SampleSettings
from edge.errors import ConfigError, ReviewError
from edge.records import SEVERITIES, SeverityLabel
from edge.teach.examples import require_inside
from edge.teach.reviews import CompleteBox, Review, check_model, check_regions, disagreements, latest, read_reviews
from training.data.dataset import sample_group, severity_of
from training.data.find import REVIEWS, LabelFiles
from training.data.read_images import Page, part_of
from training.labels.image_labels import Finding, ImageLabels
from training.labels.reviewed import NO_CLASS, Inspected, cropped, inspected_of, labels_of

SMALLEST_PART_PX: Final = 32
_Box = tuple[int, int, int, int]


def with_reviews(
    folder: Path, pages: Sequence[Page], classes: tuple[str, ...], findings: list[Finding]
) -> tuple[tuple[Page, ...], LabelFiles]:
    """The pages that can be learnt from, and their labels. classes: those asked for; a single one is that of every region.

    Of an image that was looked at in a box, that part is a page of its own. Raises ConfigError for files that cannot be used.
    """
    try:
        reviews = latest(read_reviews(folder / REVIEWS))
    except ReviewError as error:
        raise ConfigError(str(error)) from error
    by_image: dict[tuple[str, int], list[Review]] = {}
    for review in reviews:
        by_image.setdefault(review.about, []).append(review)
    known = _inspections(folder)
    kept: list[Page] = []
    labels: dict[str, ImageLabels] = {}
    used: dict[str, None] = {}
    for page in pages:
        of_page = by_image.pop((page.file_sha256, page.number), [])
        if not of_page:
            findings.append(Finding("image without a review that counts: left out", page.file.relative, fatal=False))
            continue
        try:
            for one, found, inspected in _of_page(page, of_page, known, findings):
                kept.append(one)
                if found is not None:
                    labels[one.key] = found
                    used.update(dict.fromkeys(inspected.classes if inspected else ()))
        except ReviewError as error:
            findings.append(Finding(str(error), ""))
    what = "review of an image that is not there, or has other content now: left out"
    findings += [Finding(what, _called(of[0]), fatal=False) for of in by_image.values()]
    if not kept and not any(finding.fatal for finding in findings):
        findings.append(
            Finding(f"{REVIEWS} says nothing that can be learnt from: no image is complete, none has a severity", "")
        )
    named, labels = _named(labels, classes or tuple(used), findings)
    return tuple(kept), LabelFiles("reviews", drawn=labels, classes=named)


def _inspections(folder: Path) -> list[Inspected]:
    """Every document below inspections/, one a file or one a line. Raises ConfigError."""
    found = []
    for path in sorted((folder / "inspections").glob("*.json*")):
        try:
            text = path.read_text(encoding="utf-8-sig")
            try:
                contents = [json.loads(text)]
            except ValueError:
                contents = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path.name} is no JSON that can be read ({error})") from error
        found += [inspected_of(content, path.name) for content in contents]
    return found


def _of_page(
    page: Page, reviews: Sequence[Review], known: Sequence[Inspected], findings: list[Finding]
) -> Iterator[tuple[Page, ImageLabels | None, Inspected | None]]:
    """The page with its labels, or a part of it; and the page without labels where only its severity is known.

    Raises ReviewError.
    """
    page = _as_it_was(page, reviews[-1].image.path)
    if quarrel := _quarrel(reviews):
        findings.append(Finding("reviewers disagree: the image is left out", f"{page.key} ({quarrel})", fatal=False))
        return
    for review in reviews:
        require_inside(review, (page.stored_height_px, page.width_px))
    severity = _severity(page, reviews, findings)
    box = _looked_at(page, reviews)
    labels, inspected = None, None
    if box is None:
        what = "image that nobody called complete: what is unmarked in it is unknown, so no outlines are learnt from it"
        findings.append(Finding(what, page.key, fatal=False))
    elif min(box[2:]) < SMALLEST_PART_PX:
        findings.append(Finding(f"part that was looked at is below {SMALLEST_PART_PX} px: left out", page.key, fatal=False))
    else:
        inspected = _inspected_by(page, reviews, known, findings)
        if inspected is not None:
            labels = _labels(page, reviews, inspected, findings)
    whole = box == (0, 0, page.width_px, page.height_px)
    if labels is not None and whole:
        yield replace(page, severity=severity), labels, inspected
        return
    if labels is not None and box is not None:
        yield part_of(page, box), cropped(labels, box), inspected
    if severity is not None:
        yield replace(page, severity=severity, outlined=False), None, None


def _as_it_was(page: Page, path: str) -> Page:
    """With what the path says at which the image was inspected: an export keeps names, not folders."""
    path = path.replace("\\", "/").strip("/")
    if not path:
        return page
    said = SampleSettings().fields(path)
    exposure = said["exposure_h"] if page.exposure_h is None else page.exposure_h
    return replace(
        page,
        annealing_min=said["annealing_min"] if page.annealing_min is None else page.annealing_min,
        exposure_h=exposure,
        severity=page.severity or severity_of(exposure),
        group=sample_group(path) if page.group == sample_group(page.file.relative) else page.group,
    )


def _quarrel(reviews: Sequence[Review]) -> str | None:
    """What reviewers disagree on, in words; who calls an image complete also says that what he did not mark is right."""
    for one in disagreements(reviews):
        return f"{one.what}: " + ", ".join(f"{who} says {what}" for who, what in one.said)
    for review in reviews:
        marked = {verdict.index for verdict in review.regions}
        for other in reviews:
            if other is review:
                continue
            for verdict in other.regions:
                right = verdict.verdict == "right"
                if not right and verdict.index not in marked and _covers(review, verdict.box_px):
                    return (
                        f"region {verdict.index}: {other.reviewer} says {verdict.verdict}, {review.reviewer} right by complete"
                    )
            classes = {(one.index, one.class_name) for one in review.regions if one.verdict == "wrong_class"}
            theirs = {(one.index, one.class_name) for one in other.regions if one.verdict == "wrong_class"}
            both = {index for index, _ in classes} & {index for index, _ in theirs}
            for index in sorted(both):
                if {name for at, name in classes | theirs if at == index} != {name for at, name in classes if at == index}:
                    return f"region {index}: {review.reviewer} and {other.reviewer} name other classes"
    return None


def _covers(review: Review, box_px: Sequence[float]) -> bool:
    """Whether the middle of a box lies where this review says that all was looked at."""
    if not isinstance(review.complete, CompleteBox):
        return review.complete
    left, top, width, height = review.complete.box_px
    x, y = box_px[0] + box_px[2] / 2, box_px[1] + box_px[3] / 2
    return left <= x < left + width and top <= y < top + height


def _severity(page: Page, reviews: Sequence[Review], findings: list[Finding]) -> SeverityLabel | None:
    """What reviews say, else what was known; None where a person says something else than low, moderate or severe."""
    said = [review.severity.verdict for review in reviews if review.severity is not None]
    if not said:
        return page.severity
    label = next((name for name in SEVERITIES if name == said[-1]), None)
    if label is None:
        what = f"reviewed severity that is none of {', '.join(SEVERITIES)}: taken as unknown"
        findings.append(Finding(what, f"{page.key} ({said[-1]})", fatal=False))
    elif page.severity is not None and page.severity != label:
        what = "reviewed severity is not what samples.csv or the exposure says: the review is taken"
        findings.append(Finding(what, f"{page.key} ({label}, {page.severity})", fatal=False))
    return label


def _looked_at(page: Page, reviews: Sequence[Review]) -> _Box | None:
    """The whole image, or the largest box that was called complete, without what lies outside the image or in its data bar."""
    if any(review.complete is True for review in reviews):
        return 0, 0, page.width_px, page.height_px
    boxes = []
    for review in reviews:
        if isinstance(review.complete, CompleteBox):
            x, y, w, h = review.complete.box_px
            left, right = (min(max(round(side), 0), page.width_px) for side in (x, x + w))
            top, bottom = (min(max(round(side), 0), page.height_px) for side in (y, y + h))
            boxes.append((left, top, right - left, bottom - top))
    return max(boxes, key=lambda box: box[2] * box[3], default=None)


def _inspected_by(
    page: Page, reviews: Sequence[Review], known: Sequence[Inspected], findings: list[Finding]
) -> Inspected | None:
    """The inspection that was reviewed; None, and a finding, where it is not there. Raises ReviewError where it is another."""
    of_image = [one for one in known if (one.sha256, one.page) == (page.file_sha256, page.number)]
    named = {review.inspection_id for review in reviews if review.inspection_id}
    chosen = [one for one in of_image if one.inspection_id in named] or of_image
    if not chosen:
        what = "image whose inspection is not in inspections/: what was found and left unmarked is unknown, so it is left out"
        findings.append(Finding(what, page.key, fatal=False))
        return None
    problem: ReviewError | None = None
    for one in chosen:
        try:
            for review in reviews:
                check_model(review, segmenter=one.segmenter, taught=one.taught)
                check_regions(review, [region.box_px for region in one.regions])
            return one
        except ReviewError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _labels(page: Page, reviews: Sequence[Review], inspected: Inspected, findings: list[Finding]) -> ImageLabels | None:
    """None, and a finding, where what was found is not all known."""
    if not inspected.listed:
        what = "image whose inspection does not list all regions: what was left unmarked is unknown, so it is left out"
        findings.append(Finding(what, page.key, fatal=False))
        return None
    if inspected.below:
        what = "regions that were too small to count in the inspection: they are no labels"
        findings.append(Finding(what, f"{page.key} ({inspected.below})", fatal=False))
    labels = labels_of(reviews, inspected, page.width_px, page.stored_height_px, page.key)
    uncorroded = any(review.severity is not None and review.severity.verdict == "uncorroded" for review in reviews)
    if uncorroded and labels.regions:
        what = "image said to be uncorroded and complete, and regions are left unmarked, which calls them right: left out"
        findings.append(Finding(what, page.key, fatal=False))
        return None
    return labels


def _named(
    labels: Mapping[str, ImageLabels], classes: tuple[str, ...], findings: list[Finding]
) -> tuple[tuple[str, ...], dict[str, ImageLabels]]:
    """Class names, and the labels in which every region has one.

    A region that nobody named gets the most frequent class of its image, else of all.
    """
    said = {key: Counter(str(one.label) for one in found.regions if one.label != NO_CLASS) for key, found in labels.items()}
    total: Counter[str] = sum(said.values(), Counter())
    names = classes if len(classes) == 1 else tuple(dict.fromkeys((*classes, *sorted(total)))) or ("corrosion",)
    first = names[0]

    def named(key: str, label: str | int) -> str:
        if len(classes) == 1:
            return first
        if label != NO_CLASS:
            return str(label)
        best = (said[key] or total).most_common(1)
        name = best[0][0] if best else first
        findings.append(
            Finding("region without a class: it gets the most frequent one of its image", f"{key} ({name})", fatal=False)
        )
        return name

    return names, {
        key: replace(found, regions=tuple(replace(one, label=named(key, one.label)) for one in found.regions))
        for key, found in labels.items()
    }


def _called(review: Review) -> str:
    return review.image.path or review.image.name or review.image.sha256[:12]
