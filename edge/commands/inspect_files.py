"""Paths in, printed inspections and pictures out: what `edge-inspect` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from edge.config import CommandSettings, ExportSettings
from edge.errors import ImageError
from edge.folder.file import read_file
from edge.folder.scan import scan
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import NO_JOURNALS_EPOCH, encode, precision_for, source_of
from edge.records import Failure, Guess, Inspection, Severity, Source, Timing
from edge.wire.encode import display_path, verdict_id
from edge.wire.failure import encode_failure


def find_images(paths: Sequence[str], export: ExportSettings) -> Iterator[tuple[Path, str]]:
    """Each image with the path that it is called by: below the folder named, or its own name."""
    for name in paths:
        path = Path(name)
        if not path.is_dir():
            yield path, path.name
            continue
        found = scan(path, export.patterns, export.recursive)
        for below in sorted(sighting.path for sighting in found if sighting.kind != "not_a_file"):
            yield path / below, below


def inspect_paths(images: Iterable[tuple[Path, str]], settings: CommandSettings, *, as_json: bool, out: Path | None) -> int:
    """Inspect each (path, name to call it by); the exit status is 1 when one failed, 2 when there was none."""
    failed = done = 0
    images = list(images)
    written = _Names(out)
    limits = limits_of(settings)
    with Pipeline(settings, precision=precision_for(settings)) as pipeline:
        for path, called in images:
            sha256 = None
            try:
                started = time.perf_counter()
                file = read_file(path, limits.max_bytes)
                sha256 = file.sha256
                read_ms = (time.perf_counter() - started) * 1e3
                inspections = pipeline.inspect_file(file, source_of(path.name, called, sha256), Timing(read=read_ms))
            except ImageError as error:
                failed += 1
                _print_failure(source_of(path.name, called, sha256), error, settings, as_json)
                continue
            done += 1
            for inspection in inspections:
                document = encode(inspection, settings.device)
                if as_json:
                    print(document.decode(), flush=True)
                else:
                    print(describe(inspection), flush=True)
                written.write(path, inspection, document)
    if not done and not failed:
        print("edge-inspect: no image found under the paths named", file=sys.stderr)
        return 2
    return 1 if failed else 0


def describe(inspection: Inspection) -> str:
    """One inspection as a few lines for people."""
    lines = [inspection.source.path + (f" page {inspection.micrograph.page + 1}" if inspection.micrograph.pages > 1 else "")]
    if severity := inspection.severity:
        lines.append(f"  severity   {_said(severity)}")
    if inspection.models.segmenter:
        count, fraction = len(inspection.regions), inspection.measures.area_fraction
        below = f", {inspection.regions.below} too small to count" if inspection.regions.below else ""
        lines.append(f"  corrosion  {count} region{'s' * (count != 1)}, {fraction:.2%} of the area{below}")
        pixel_um = inspection.micrograph.pixel_size_um
        if pixel_um and count:
            area, diameter = (
                inspection.measures.area_px[0] * pixel_um**2,
                inspection.measures.equivalent_diameter_px[0] * pixel_um,
            )
            cut = ", cut by the edge" * bool(inspection.measures.touches_edge[0])
            lines.append(f"  largest    {overlay.four_figures(area)} µm², {overlay.four_figures(diameter)} µm across{cut}")
    nm = inspection.micrograph.pixel_size_nm
    scale = "unknown" if nm is None else f"{overlay.four_figures(nm)} nm a pixel ({inspection.micrograph.pixel_size_source})"
    lines.append(f"  scale      {scale}")
    reasons = inspection.severity.reasons if inspection.severity else ()
    lines += [f"  review     {reason}" for reason in reasons]
    lines += [f"  note       {warning}" for warning in inspection.quality.warnings if warning not in reasons]
    return "\n".join(lines)


def _said(severity: Severity) -> str:
    """The verdict with its prediction set; where there is none, why, and that a guess is no verdict."""
    if severity.guess:
        return f"{severity.said}; a guess, not to act on: {_guessed(severity.guess)}"
    sure = "" if severity.prediction_set is None else f", prediction set: {', '.join(severity.prediction_set)}"
    network = f"; the network says {_guessed(severity.network)}" if severity.network else ""
    return f"{severity.said}{sure}{network}"


def _guessed(guess: Guess) -> str:
    return guess.said if guess.confidence is None else f"{guess.said} {guess.confidence:.0%}"


def _print_failure(source: Source, error: ImageError, settings: CommandSettings, as_json: bool) -> None:
    if as_json:
        failure = Failure(source, error.code, error.message, datetime.now(timezone.utc))
        identity = verdict_id(NO_JOURNALS_EPOCH, f"{source.sha256}/{source.path}", 1, 1, kind="failure")
        document = encode_failure(failure, failure_id=identity, epoch=None, seq=None, device=settings.device)
        print(document.decode(), flush=True)
    else:
        print(f"{source.path}\n  FAILED     {error.code}: {error.message}", flush=True)


class _Names:
    """Writes results into a folder, never over another image's of the same stem."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._taken: dict[str, tuple[Path, int]] = {}
        if out:
            out.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, inspection: Inspection, document: bytes) -> None:
        if not self._out:
            return
        page = inspection.micrograph.page
        stem = display_path(path.stem) + (f".page{page + 1}" if inspection.micrograph.pages > 1 else "")
        name, number = stem, 1
        while self._taken.setdefault(name, (path, page)) != (path, page):
            number += 1
            name = f"{stem}-{number}"
        picture = overlay.encode(overlay.draw(inspection), "png")
        (self._out / f"{name}.overlay.png").write_bytes(picture)
        (self._out / f"{name}.inspection.json").write_bytes(document + b"\n")
