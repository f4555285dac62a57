"""A labelled folder in, how good the edge's own pipeline is on it out, with simple thresholds beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from edge import __version__, sem
from edge.config import CommandSettings, change
from edge.errors import ConfigError, ImageError
from edge.folder.file import read_file
from edge.inspection.measure import counted_regions
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspection.segment import no_regions
from edge.inspector import precision_for, source_of
from edge.records import Inspection, ModelIdentity, ModelsUsed, Regions
from training.data.find import ImageFile, find_images, find_labels, read_sample_rows
from training.data.options import Options
from training.data.read_images import UNREADABLE, Page, read_pages
from training.data.read_labels import read_labels
from training.data.read_reviews import with_reviews
from training.labels.image_labels import Finding, LabelledRegion, lines_of
from training.labels.regions import make_regions
from training.score import coverage, folder_scores, perturb, thresholds
from training.score.baselines import covered
from training.score.field_scores import FieldScore, compare
from training.score.folder_scores import ScoredImage
from training.score.score_page import Panels, draw_panels

SCHEMA: Final = "edge.score/1"
WORST: Final = 12
"""Images that the page shows."""
OTSU_KNOWN: Final = "otsu_polarity_known"
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPages:
    """What a folder holds. regions: of each page, () without labels.  unreadable: images that no page came of, and why."""

    files: tuple[ImageFile, ...]
    pages: tuple[Page, ...]
    regions: tuple[Regions, ...]
    kind: str | None
    rule: str | None
    warnings: tuple[str, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class FolderScore:
    """document: `edge.score/1`.  worst: pictures of the worst images, worst first.  failed: images that could not be scored."""

    document: dict[str, Any]
    worst: tuple[Panels, ...]
    failed: int


def open_folder(folder: Path, options: Options, *, clean: bool) -> LabelledPages:
    """Images and labels, checked. clean: nothing is corroded in any image, so there are no labels.

    Raises ConfigError with everything that is wrong: no images, labels that do not fit, neither labels nor severities.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: name the one that holds the images, or images/")
    files = find_images(folder)
    findings: list[Finding] = []
    rows = read_sample_rows(folder, files, findings)
    pages = tuple(_as_stated(page, _row(rows, page)) for page in read_pages(files, rows, findings))
    unreadable = {one.where: one.what for one in findings if one.what.startswith(UNREADABLE)}
    findings = [one for one in findings if not one.what.startswith(UNREADABLE)]
    labels_in = options.labels_from or folder
    told: list[Finding] = []
    labels = find_labels(labels_in, files, options, told)
    if clean and labels.kind is not None:
        raise ConfigError(f"{labels_in} holds {labels.kind} labels, but --clean says that nothing is corroded: leave it out")
    regions: tuple[Regions, ...] = ()
    rule = None
    if labels.kind is not None:
        findings += told
        if labels.kind == "reviews":
            pages, labels = with_reviews(labels_in, pages, options.classes, findings)
            parts = [page.key for page in pages if page.crop_px is not None]
            findings += [
                Finding("part of an image that was reviewed: not scored, only wholes are", key, fatal=False) for key in parts
            ]
            pages = tuple(page for page in pages if page.crop_px is None)
            labels = replace(labels, drawn={key: found for key, found in labels.drawn.items() if key not in parts})
        _, regions, rule = read_labels(labels_in, files, pages, labels, options, findings)
    elif clean:
        regions = (no_regions(),) * len(pages)
    elif not any(page.severity for page in pages):
        raise ConfigError(
            f"{folder} has neither labels nor severities: put masks into {folder / 'masks'}, or a severity for each image "
            "into samples.csv; where nothing is corroded in any image, say --clean"
        )
    fatal = lines_of(findings, fatal=True)
    if fatal:
        raise ConfigError("\n".join([f"{folder} cannot be scored:", *(f"  {line}" for line in fatal)]))
    if regions and not clean and not any(len(one) for one in regions):
        findings.append(Finding("no region is labelled in any image: only false regions can be told", "", fatal=False))
    kept = [index for index, page in enumerate(pages) if not _row(rows, page).get("origin")]
    if len(kept) < len(pages):
        findings.append(Finding(f"{len(pages) - len(kept)} varied copies are left out", "", fatal=False))
    return LabelledPages(
        files=files,
        pages=tuple(pages[index] for index in kept),
        regions=tuple(regions[index] for index in kept) if regions else (),
        kind="clean" if clean else labels.kind,
        rule=rule,
        warnings=tuple(lines_of(findings, fatal=False)),
        unreadable=unreadable,
    )


def _row(rows: Mapping[str, dict[str, str]], page: Page) -> Mapping[str, str]:
    return rows.get(page.file.relative) or rows.get(page.file.path.name) or {}


def _as_stated(page: Page, row: Mapping[str, str]) -> Page:
    """Without a severity that only the name of the file suggests: 180d may be anything."""
    return page if row.get("severity") or row.get("exposure_h") else replace(page, severity=None)


def score_folder(
    folder: Path, data: LabelledPages, settings: CommandSettings, *, views: bool, command: str, tell: Tell
) -> FolderScore:
    """Inspect every page as the daemon would, with its sidecars and settings, and compare with the labels.

    views: also under an operator's other settings, which takes ten further inspections an image.
    tell: called with how many pages are done, and of how many. Raises ConfigError, ModelError or BackendError.
    """
    failed = dict(data.unreadable)
    if not data.pages:
        raise ConfigError("\n".join([f"no image of {folder} can be read:", *(f"  {a}: {b}" for a, b in failed.items())]))
    scored: list[ScoredImage] = []
    worst: list[tuple[float, int, Panels]] = []
    quick = change(settings, {"inspect": {"region_crops": 0}})  # a region's own severity is not scored
    precision = precision_for(settings)
    with Pipeline(quick, precision=precision) as pipeline:
        models = pipeline.models
        for page, inspection in _inspected(data, settings, pipeline, failed, views):
            truth = truth_of(data, page, inspection.as_it_is)
            one = _scored(page, truth, inspection)
            scored.append(one)
            if one.field is not None and truth is not None:
                badness = _badness(one.field)
                if len(worst) < WORST or badness > worst[-1][0]:
                    worst.append((badness, -len(scored), draw_panels(one.name, one.field, inspection.as_it_is, truth)))
                    worst = sorted(worst, key=lambda kept: kept[:2], reverse=True)[:WORST]
            tell(len(scored), len(data.pages))
    if not scored:
        raise ConfigError("\n".join([f"no image of {folder} could be inspected:", *(f"  {a}: {b}" for a, b in failed.items())]))
    document = {
        "schema": SCHEMA,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": __version__,
        "command": command,
        "folder": folder.name,
        "images": len(scored),
        "specimens": len({one.group for one in scored}),
        "labels": {"kind": data.kind, "mask_rule": data.rule},
        "models": _models(models),
        "settings_sha256": settings.inspection_sha256(),
        "confidence": settings.inspect.confidence,
        "warnings": list(data.warnings),
        "failed": [{"image": name, "why": why} for name, why in failed.items()],
        **_whole(scored),
        "each": [folder_scores.row(one) for one in scored],
    }
    return FolderScore(document, tuple(panels for *_, panels in worst), len(failed))


@dataclass(frozen=True, slots=True, eq=False)
class _Inspected:
    """A page's inspection, and what was seen under other settings, by name."""

    as_it_is: Inspection
    views: Mapping[str, perturb.Seen]


def _inspected(
    data: LabelledPages, settings: CommandSettings, pipeline: Pipeline, failed: dict[str, str], views: bool
) -> Iterator[tuple[Page, _Inspected]]:
    """Every page with its inspection; images that cannot be inspected are added to `failed`."""
    limits = limits_of(settings)
    of_file: dict[str, dict[int, Page]] = {}
    for page in data.pages:
        of_file.setdefault(page.file.relative, {})[page.number] = page
    for name, pages in of_file.items():
        path = next(iter(pages.values())).file.path
        try:
            file = read_file(path, limits.max_bytes)
            micrographs = sem.read(file.data, path.name, file.sidecars, limits, settings.inspect.pixel_size_nm)
        except ImageError as error:
            failed[name] = f"{error.code}: {error.message}"
            continue
        source = source_of(path.name, name, file.sha256)
        for micrograph in micrographs:
            if micrograph.page not in pages:
                continue
            as_it_is = pipeline.inspect(micrograph, source)
            turned = (
                {one: _seen(pipeline.inspect(perturb.view(micrograph, one), source)) for one in perturb.VIEWS} if views else {}
            )
            yield pages[micrograph.page], _Inspected(as_it_is, turned)


def truth_of(data: LabelledPages, page: Page, inspection: Inspection) -> Regions | None:
    """The labelled regions as they can be compared: cut to the inspected rows, without those that do not count."""
    if not data.regions or not page.outlined or inspection.models.segmenter is None:
        return None
    regions = data.regions[data.pages.index(page)]
    micrograph = inspection.micrograph
    if micrograph.height_px != page.height_px:  # a sidecar knew more of the data bar
        drawn = [
            LabelledRegion(class_id, x, y, mask)
            for class_id, (x, y, _, _), mask in zip(
                regions.class_ids.tolist(), regions.boxes_px.tolist(), regions.masks, strict=True
            )
        ]
        regions, _ = make_regions(drawn, regions.class_names, micrograph.width_px, micrograph.height_px, page.name)
    return counted_regions(regions, inspection.measures.counted_from_px)


def _scored(page: Page, truth: Regions | None, inspected: _Inspected) -> ScoredImage:
    inspection = inspected.as_it_is
    micrograph = inspection.micrograph
    shape = (micrograph.height_px, micrograph.width_px)
    field: FieldScore | None = None
    simple: dict[str, FieldScore] = {}
    if truth is not None:
        field = compare(truth, inspection.regions, shape, micrograph.drawn_px)
        least = inspection.measures.counted_from_px
        for name, threshold in thresholds.THRESHOLDS.items():
            simple[name] = compare(truth, counted_regions(threshold(micrograph.grey), least), shape, micrograph.drawn_px)
        side = thresholds.known_side(micrograph.grey, covered(truth, shape))
        if side is not None:
            simple[OTSU_KNOWN] = simple[side]
    return ScoredImage(
        name=page.key,
        group=page.group,
        true_severity=page.severity,
        field=field,
        severity=inspection.severity,
        thresholds=simple,
        seen=_seen(inspection),
        views=inspected.views,
        promised={} if truth is None else coverage.promised(inspection, truth),
    )


def _seen(inspection: Inspection) -> perturb.Seen:
    said = inspection.severity
    return perturb.Seen(
        inspection.measures.area_fraction,
        said.label if said else None,
        said.answer.label if said else None,
        len(inspection.regions),
    )


def _badness(field: FieldScore) -> float:
    """1 for the worst: what of the labelled and found area is not shared; on a clean image what is found."""
    return field.found_fraction if field.iou is None else 1 - field.iou


def _whole(scored: Sequence[ScoredImage]) -> dict[str, Any]:
    """The numbers of the folder, in the order of the document."""
    known = [(one, one.field) for one in scored if one.field is not None]
    fields, groups = [field for _, field in known], [one.group for one, _ in known]
    content: dict[str, Any] = {"edge": None, "worst": None, "by_size": None, "intervals": None, "thresholds": None}
    if fields:
        content["edge"] = folder_scores.numbers(fields, groups)
        content["worst"] = folder_scores.worst(scored)
        content["by_size"] = folder_scores.by_size(fields)
        content["intervals"] = coverage.coverage([one.promised for one, _ in known])
        names = [name for name in (OTSU_KNOWN, *thresholds.THRESHOLDS) if any(name in one.thresholds for one in scored)]
        content["thresholds"] = {}
        for name in names:
            having = [(one.thresholds[name], one.group) for one in scored if name in one.thresholds]
            content["thresholds"][name] = folder_scores.numbers([a for a, _ in having], [b for _, b in having])
    content["severity"] = folder_scores.severity(scored)
    seen = [(one.seen, one.views) for one in scored if one.seen is not None and one.views]
    content["perturbed"] = perturb.steadiness(seen) if seen else None
    return content


def _models(models: ModelsUsed) -> dict[str, Any]:
    def identity(one: ModelIdentity | None) -> dict[str, str] | None:
        return None if one is None else {"name": one.name, "version": one.version, "sha256": one.sha256}

    return {
        "segmenter": identity(models.segmenter),
        "classifier": identity(models.classifier),
        "backend": models.backend,
        "precision": models.precision,
    }
