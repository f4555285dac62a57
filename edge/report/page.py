"""What was read and what the analysis says in; one self-contained HTML page out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any, Final

from edge import __version__
from edge.errors import ConfigError
from edge.inspection.overlay import four_figures
from edge.report.pictures import Shown, Which, in_order, wanted, width_for
from edge.report.reading import Document, Source
from edge.report.reviewed import Reviewed, told
from edge.report.table import sentences
from edge.whole_file import opened_whole

INSTALL: Final = "pip install 'sem-corrosion-edge[report]'"
MOST_REGIONS: Final = 40
"""Regions of one image that the page lists if not told otherwise, the largest first; the CSV file has all."""


@dataclass(frozen=True)
class Plot:
    """title: in words.  svg: a drawing.  notes: sentences below it.  rows: a table, its head first."""

    title: str
    svg: str | None = None
    notes: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Chapter:
    """One series: its name, what sets it apart, and what was found in it. findings: that in sentences."""

    name: str
    why: tuple[str, ...]
    series: tuple[Plot, ...]
    standards: tuple[Plot, ...]
    findings: tuple[str, ...] = ()


def render(source: Source, chapters: Sequence[Chapter], notes: Sequence[str], **options: Any) -> str:
    """The page as a whole, for a few images; parameters as in `pieces`. Raises ConfigError without jinja2."""
    return "".join(pieces(source, chapters, notes, **options))


def pieces(
    source: Source,
    chapters: Sequence[Chapter],
    notes: Sequence[str],
    *,
    title: str,
    pictures: Which = "all",
    width_px: int | None = None,
    most_regions: int = MOST_REGIONS,
    joined: Mapping[str, dict[str, Any]] | None = None,
    begun: Callable[[int, str], None] = lambda _done, _name: None,
) -> Iterator[str]:
    """The page, bit by bit, so that no more than a few pictures are held.

    notes: sentences on what is missing.  width_px: None: see `pictures.width_for`.  joined: what `--samples` says, by path.
    begun: told how many images are done, and the next one's name. Raises ConfigError without jinja2.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError(f"the page needs jinja2: {INSTALL}") from error
    environment = Environment(loader=PackageLoader("edge.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"percent": _percent, "figure": _figure, "names": ", ".join}
    width = width_px or width_for(sum(wanted(one, pictures) for one in source.inspections))

    def cards() -> Iterator[dict[str, Any]]:
        for number, (one, drawn) in enumerate(in_order(source.inspections, pictures, width)):
            begun(number, _name(one))
            yield _card(number + 1, _with_sample(one, joined or {}), drawn, most_regions)

    template = environment.get_template("report.html")
    return template.generate(
        title=title,
        version=__version__,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        source=source,
        summary=summary(source),
        notes=[*notes, *source.notes],
        cards=cards(),
        doubtful=_doubtful(source),
        chapters=chapters,
        pictures=pictures,
        width_px=width,
    )


def _doubtful(source: Source) -> list[dict[str, Any]]:
    numbered = [(number, one, sentences(one.said.get("severity") or {})) for number, one in enumerate(source.inspections, 1)]
    return [{"anchor": f"image-{number}", "name": _name(one), "reasons": why} for number, one, why in numbered if why]


def _name(document: Document) -> str:
    return str(document.said["image"].get("path") or document.said["image"].get("name"))


def _with_sample(document: Document, joined: Mapping[str, dict[str, Any]]) -> Document:
    """The document with what `--samples` says of its sample."""
    more = joined.get(str(document.said["image"].get("path")))
    if not more:
        return document
    return replace(document, said={**document.said, "sample": {**(document.said.get("sample") or {}), **more}})


def summary(source: Source) -> list[str]:
    """The whole in a few sentences."""
    found = [document.said for document in source.inspections]
    if not found:
        return ["No image was inspected: there is nothing to report on.", *_failed(source)]
    labels = Counter((said.get("severity") or {}).get("label") or "without a verdict" for said in found)
    areas = [area for said in found if (area := said["corrosion"].get("area_fraction")) is not None]
    part = f"of {len(areas)} images" if len(areas) < len(found) else "of an image"
    doubtful = sum(bool((said.get("severity") or {}).get("needs_review")) for said in found)
    unscaled = sum(said["image"].get("pixel_size_nm") is None for said in found)
    reviewed = [(one.said, told(one.reviews)) for one in source.inspections if one.reviews]
    other = sum(_otherwise(said, reviews) for said, reviews in reviewed)
    first, last = (datetime.fromtimestamp(said["ts_ms"] / 1000, timezone.utc).date() for said in (found[0], found[-1]))
    days = f"on {first}" if first == last else f"from {first} to {last}"
    return [
        f"{_many(len(found), 'inspection')} {days}: " + ", ".join(f"{n} {label}" for label, n in labels.most_common()) + ".",
        _areas(areas, part),
        f"{doubtful} of {len(found)} ask for a review; {len(reviewed)} have one.",
        *([f"In {other} of the reviewed a reviewer gives another severity than the verdict."] if other else []),
        *([f"{unscaled} of {len(found)} have no scale: no µm² and no density there."] if unscaled else []),
        *_failed(source),
    ]


def _otherwise(said: dict[str, Any], reviews: Reviewed) -> bool:
    label = (said.get("severity") or {}).get("label")
    return any(verdict not in (label, "cannot_tell") for _, verdict in reviews.severities)


def _areas(areas: list[float], part: str) -> str:
    if not areas:
        return "Stage 1 was not asked: no area is known."
    if len(areas) == 1:
        return f"Corroded area: {_percent(areas[0])} {part}."
    return (
        f"Corroded area from {_percent(min(areas))} to {_percent(max(areas))} {part}, the median is {_percent(median(areas))}."
    )


def _failed(source: Source) -> list[str]:
    return [f"{_many(len(source.failures), 'image')} could not be inspected."] if source.failures else []


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _card(number: int, document: Document, drawn: Shown | None, most_regions: int) -> dict[str, Any]:
    said = document.said
    severity = said.get("severity") or {}
    reasons = sentences(severity)
    regions = sorted(said.get("regions") or (), key=lambda region: -(region.get("area_px") or 0))
    return {
        "anchor": f"image-{number}",
        "name": _name(document),
        "verdict": severity.get("label") or ("no verdict: it abstained" if severity.get("abstained") else "no verdict"),
        "severity": severity,
        "reasons": reasons,
        "shown": drawn,
        "warnings": [warning for warning in (said.get("quality") or {}).get("warnings") or () if warning not in reasons],
        "measures": _measures(said),
        "provenance": _provenance(said),
        "regions": [_region(region) for region in regions[:most_regions]],
        "left": max(0, len(regions) - most_regions),
        "reviewed": told(document.reviews),
    }


def _measures(said: dict[str, Any]) -> list[tuple[str, str, str]]:
    corrosion = said["corrosion"]
    diameters = corrosion.get("equivalent_diameter_um") or {}
    return [
        (
            "area fraction",
            _percent(corrosion.get("area_fraction")),
            _interval(corrosion.get("area_fraction_interval"), _percent),
        ),
        ("regions", "not known" if corrosion.get("region_count") is None else str(corrosion["region_count"]), ""),
        *(
            (name, _figure(corrosion.get(key), unit), _interval(corrosion.get(f"{key}_interval"), _figure))
            for name, key, unit in (
                ("area", "area_um2", "µm²"),
                ("density", "density_per_mm2", "/mm²"),
                ("largest region", "largest_um2", "µm²"),
            )
        ),
        ("median diameter", _figure(diameters.get("p50"), "µm"), ""),
        *(
            (f"of class {name}", _percent(one.get("area_fraction")), f"{one.get('count')} regions")
            for name, one in (corrosion.get("by_class") or {}).items()
        ),
    ]


def _provenance(said: dict[str, Any]) -> list[tuple[str, str]]:
    image, model = said["image"], said.get("model") or {}
    models = [
        (stage, f"{one['name']} {one['version']}, sha256 {one['sha256']}")
        for stage in ("segmenter", "classifier", "regions")
        if (one := model.get(stage))
    ]
    scale = image.get("pixel_size_nm")
    known = f"{_figure(scale, 'nm')} a pixel, from {image.get('pixel_size_source')}" if scale else "unknown: no µm² is given"
    sample = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in (said.get("sample") or {}).items()
        if value is not None
    )
    doubt = image.get("scale_uncertainty")
    return [
        ("inspected", f"{said.get('ts')} as {said.get('inspection_id')}"),
        ("image", f"{image.get('width_px')} × {image.get('height_px')} px, sha256 {image.get('sha256')}"),
        ("acquired", _acquired(image)),
        ("sample", sample or "not known"),
        ("scale", known + (f", relative uncertainty {doubt}" if doubt is not None else "")),
        *models,
        ("adaptation", str((model.get("taught") or {}).get("sha256") or "none")),
        ("engine", f"{model.get('backend')}, {model.get('precision')}, sha256 {model.get('engine_sha256') or 'none'}"),
        ("settings", f"sha256 {said.get('settings_sha256')}"),
        ("verdict from", str((said.get("severity") or {}).get("source") or "stage 2 was not asked")),
    ]


def _acquired(image: dict[str, Any]) -> str:
    """When and with what, as far as the file tells."""
    instrument = image.get("instrument") or {}
    known = [str(image["captured_at"])] if image.get("captured_at") else []
    known += [" ".join(str(part) for part in (instrument.get("vendor"), instrument.get("model")) if part)]
    for name, unit in (("acceleration_kv", "kV"), ("magnification", "×"), ("working_distance_mm", "mm working distance")):
        if image.get(name) is not None:
            known.append(_figure(image[name], unit))
    known += [f"tilted by {_figure(image['tilt_deg'])}°"] if image.get("tilt_deg") else []
    return ", ".join(part for part in known if part) or "not known"


def _region(region: dict[str, Any]) -> tuple[str, ...]:
    size = _figure(region.get("area_um2"), "µm²") if region.get("area_um2") is not None else f"{region.get('area_px')} px"
    severity = (region.get("severity") or {}).get("label") or "–"
    cut = "cut by the edge" if region.get("touches_edge") else ""
    return (
        str(region.get("index")),
        str(region.get("class")),
        "–" if region.get("score") is None else f"{region['score']:.2f}",
        size,
        severity,
        cut,
    )


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2%}"


def _figure(value: float | None, unit: str = "") -> str:
    return "not known" if value is None else f"{four_figures(value)} {unit}".rstrip()


def _interval(pair: Sequence[float] | None, words: Any) -> str:
    return "" if not pair else f"{words(pair[0])} to {words(pair[1])} (90 %, this field alone)"


def write(path: Path, text: Iterable[str]) -> None:
    """Store the page whole or not at all. text: the whole, or its pieces. Raises ConfigError."""
    try:
        with opened_whole(path, mode=None) as stream:
            for piece in text if not isinstance(text, str) else (text,):
                stream.write(piece.encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror}") from error
