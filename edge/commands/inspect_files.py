"""Paths in, printed inspections and pictures out: what `edge-inspect` does."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from edge.commands.ahead import MOST_BYTES, read_ahead
from edge.commands.behind import Behind
from edge.commands.closing import Closing
from edge.commands.progress import Progress
from edge.commands.table_file import STDOUT, TableFile
from edge.config import CommandSettings, ExportSettings
from edge.errors import ConfigError, ImageError
from edge.folder.scan import scan
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline
from edge.inspector import NO_JOURNALS_EPOCH, encode, opener_for, precision_for
from edge.records import Failure, Guess, Inspection, Severity, Source
from edge.wire.encode import display_path, verdict_id
from edge.wire.failure import encode_failure
from edge.wire.flat import flat


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


@dataclass(frozen=True)
class Wanted:
    """How results are given. out: a folder for pictures and documents.  table: a CSV file, `-` for stdout, None for none."""

    as_json: bool = False
    out: Path | None = None
    table: str | None = None


def inspect_paths(images: Iterable[tuple[Path, str]], settings: CommandSettings, wanted: Wanted) -> int:
    """Inspect each (path, name to call it by); the exit status is 1 when one failed, 2 when there was none."""
    images = list(images)
    if not images:
        looked_for = ", ".join(settings.watch.patterns)
        print(
            f"edge-inspect: no image found under the paths named: folders are looked through for {looked_for}", file=sys.stderr
        )
        return 2
    with TableFile(wanted.table) as table:
        run = _Run(settings, wanted, table, len(images))
        try:
            with Pipeline(settings, precision=precision_for(settings), open_network=opener_for(settings)) as pipeline:
                run.inspect(images, pipeline)
        finally:
            run.close()
    return 1 if run.failed else 0


class _Run:
    """One run over all files: prints, writes and counts each result."""

    def __init__(self, settings: CommandSettings, wanted: Wanted, table: TableFile, total: int) -> None:
        self._settings, self._wanted, self._table, self._total = settings, wanted, table, total
        self._files = _Names(wanted.out)
        self._progress, self._closing = Progress(total), Closing()
        self._began: float | None = None
        self._done = self.failed = 0
        self._warned = False

    def inspect(self, images: Sequence[tuple[Path, str]], pipeline: Pipeline) -> None:
        self._began = time.perf_counter()
        with contextlib.closing(read_ahead(images, self._settings)) as ahead, Behind() as behind:
            for _path, called in images:
                self._progress.begin(called)
                image = next(ahead)
                if isinstance(image.pages, ImageError):
                    behind.add(partial(self._failed, image.source, image.pages))
                    continue
                if isinstance(image.pages, Exception):
                    raise image.pages
                nexts = [*image.pages[1:], image.following]
                try:
                    inspections = [
                        pipeline.inspect(page, image.source, spent=image.spent, following=following)
                        for page, following in zip(image.pages, nexts, strict=True)
                    ]
                except ImageError as error:
                    behind.add(partial(self._failed, image.source, error))
                else:
                    behind.add(partial(self._written, image.path, inspections), large=image.weight > MOST_BYTES)

    def close(self) -> None:
        """Say what was done, on stderr; also where Ctrl-C ended it. A single file has said it all itself."""
        self._progress.hide()
        if self._total > 1 and self._began is not None:
            lines = self._closing.lines(self._done, self._total, time.perf_counter() - self._began)
            with contextlib.suppress(OSError):  # nobody reads it
                print("\n".join([f"edge-inspect: {lines[0]}", *lines[1:]]), file=sys.stderr)

    def _written(self, path: Path, inspections: Sequence[Inspection]) -> Callable[[], None]:
        """Write what one file came to; calling what is returned says it. In the order of the files, in any thread."""
        documents = [encode(inspection, self._settings.device) for inspection in inspections]
        for inspection, document in zip(inspections, documents, strict=True):
            self._files.write(path, inspection, document)
        texts = [describe(inspection) for inspection in inspections]
        doubt = next(filter(None, map(doubtful_scale, inspections)), None)
        return partial(self._say, list(zip(documents, texts, strict=True)), doubt)

    def _failed(self, source: Source, error: ImageError) -> Callable[[], None]:
        """As `_written`, of a file that could not be inspected."""
        failure = Failure(source, error.code, error.message, datetime.now(timezone.utc))
        identity = verdict_id(NO_JOURNALS_EPOCH, f"{source.sha256}/{source.path}", 1, 1, kind="failure")
        document = encode_failure(failure, failure_id=identity, epoch=None, seq=None, device=self._settings.device)
        text = f"{display_path(source.path)}\n  FAILED     {error.code}: {error.message}"
        return partial(self._say, [(document, text)], None, failed=True)

    def _say(self, told: Sequence[tuple[bytes, str]], doubt: str | None, *, failed: bool = False) -> None:
        for document, text in told:
            self._give(document, text)
        if doubt and not self._warned:
            self._warned = True
            print(f"edge-inspect: {doubt}", file=sys.stderr)
        self.failed += failed
        self._done += 1
        self._progress.finish()

    def _give(self, document: bytes, text: str) -> None:
        row = flat(json.loads(document))
        self._closing.add(row)
        self._progress.hide()
        if self._wanted.table != STDOUT:
            print(document.decode() if self._wanted.as_json else text, flush=True)
        self._table.write(row)


LEAST_FIELD_NM, MOST_FIELD_NM = 50.0, 50e6
"""Fields of view that microscopes have: from 50 nm to 50 mm."""


def doubtful_scale(inspection: Inspection) -> str | None:
    """A sentence where a pixel size that a person gave makes a field of view that no microscope has."""
    picture = inspection.micrograph
    if picture.pixel_size_source != "config" or picture.pixel_size_nm is None:
        return None
    across = picture.pixel_size_nm * picture.width_px
    if LEAST_FIELD_NM <= across <= MOST_FIELD_NM:
        return None
    mm = across / 1e6
    length = f"{mm:.4g} mm" if mm >= 1 else f"{across:.4g} nm"
    return (
        f"a pixel size of {picture.pixel_size_nm:.6g} nm makes {display_path(inspection.source.path)} {length} across: "
        f"is it in nanometres? 1 µm is 1000 nm"
    )


def describe(inspection: Inspection) -> str:
    """One inspection as a few lines for people."""
    lines = [
        display_path(inspection.source.path)
        + (f" page {inspection.micrograph.page + 1}" if inspection.micrograph.pages > 1 else "")
    ]
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


class _Names:
    """Writes results into a folder, never over another image's of the same stem."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._taken: dict[str, tuple[Path, int]] = {}
        if out:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise ConfigError(f"--out {out} is no folder: name one, or a new one") from error
            except OSError as error:
                raise ConfigError(f"--out {out} cannot be made: {error.strerror or error}") from error

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
        try:
            (self._out / f"{name}.overlay.png").write_bytes(picture)
            (self._out / f"{name}.inspection.json").write_bytes(document + b"\n")
        except OSError as error:
            raise ConfigError(f"{error.filename or self._out} cannot be written: {error.strerror or error}") from error
