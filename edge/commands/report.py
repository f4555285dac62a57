"""`edge-report`: inspections in; one page that can be read and printed, and tables beside it, out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.arguments import day, new_parser, number, whole_number
from edge.commands.command_line import DONE, as_command
from edge.commands.progress import Progress
from edge.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from edge.report.reading import Source


@as_command
def report(argv: Sequence[str] | None = None) -> int:
    """`edge-report`: what was inspected, as a page and as tables."""
    arguments = _parser().parse_args(argv)
    if arguments.out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out {arguments.out}: the page is a file *.html; its tables get names from it")
    written, sentences = make(_source(arguments), arguments)
    for sentence in sentences:
        print(f"edge-report: {sentence}", file=sys.stderr)
    for path in written:
        print(path)
    return DONE


def make(source: Source, arguments: argparse.Namespace, *, told: bool = True) -> tuple[list[Path], tuple[str, ...]]:
    """Write the page and its tables; what was written, the page first, and sentences on what is missing.

    told: whether to show on stderr how far it is.
    """
    from edge.report import analysis, page, samples_file, table, tables_out

    paths = [str(document.said["image"].get("path")) for document in source.inspections]
    joined, parameters, notes = samples_file.join(arguments.samples, paths) if arguments.samples else ({}, (), ())
    rows = table.rows(source.inspections, joined)
    numbers, texts = table.path_columns(source.inspections)
    parameters = tuple(dict.fromkeys((*parameters, *numbers)))
    chapters, missing = analysis.chapters(
        source.inspections, rows, parameters, exposure_h=arguments.at, surface_mm2=arguments.surface_mm2
    )
    progress = Progress(len(source.inspections) if told else 0, command="edge-report", things="images", first="pictures")

    def begun(done: int, name: str) -> None:
        if done:
            progress.finish()
        progress.begin(name)

    text = page.pieces(
        source,
        chapters,
        (*missing, *notes),
        title=arguments.title,
        pictures=arguments.pictures,
        width_px=arguments.picture_px,
        most_regions=arguments.regions,
        joined=joined,
        begun=begun,
    )
    try:
        page.write(arguments.out, text)
    finally:
        progress.hide()
    written = tables_out.write_tables(arguments.out, rows, table.region_rows(source.inspections), parameters, texts)
    return [arguments.out, *written], (*missing, *notes, *source.notes)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "edge-report",
        "Make one page of what was inspected, and CSV and Parquet files beside it.",
        "edge-report --from results/ --samples samples.csv --out report.html",
    )
    where = parser.add_mutually_exclusive_group()
    usual = "journal.sqlite3, or the state folder that holds it; where nothing is named, the usual one"
    where.add_argument("--journal", type=Path, metavar="FILE", help=usual)
    where.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="what edge-inspect --out DIR wrote")
    where.add_argument("--config", type=Path, metavar="FILE", help="the daemon's configuration, which names the state folder")
    parser.add_argument("--samples", type=Path, metavar="FILE.csv", help="coupon, field, batch and parameters of each image")
    parser.add_argument("--out", type=Path, metavar="FILE.html", required=True, help="the page")
    parser.add_argument("--at", type=number, metavar="HOURS", help="rank annealing times at this exposure")
    parser.add_argument("--surface-mm2", type=number, metavar="MM2", help="surface for which the largest region is told")
    parser.add_argument("--title", default="Corrosion report", help="title of the page")
    parser.add_argument("--since", type=day, metavar="DATE", help="inspected on this day or later, UTC, as 2026-01-31")
    parser.add_argument("--until", type=day, metavar="DATE", help="inspected before this day")
    parser.add_argument("--pictures", choices=("all", "doubtful", "none"), default="all", help="which are embedded")
    parser.add_argument("--picture-px", type=whole_number, metavar="N", help="their width at most (900, less for many)")
    parser.add_argument(
        "--regions", type=whole_number, default=40, metavar="N", help="listed of each image at most (default 40)"
    )
    return parser


def of_state(folder: Path, out: Path, title: str) -> Path:
    """The page of a state folder, with everything as it is when nothing is asked for."""
    arguments = _parser().parse_args(["--journal", str(folder), "--out", str(out), "--title", title])
    return make(_source(arguments), arguments, told=False)[0][0]


def _source(arguments: argparse.Namespace) -> Source:
    from edge.report.reading import Period, read_folder, read_journal

    if arguments.picture_px is not None and arguments.picture_px < 64:
        raise ConfigError("--picture-px must be at least 64")
    if arguments.regions < 0:
        raise ConfigError("--regions must be 0 or more")
    for option, value in (("--at", arguments.at), ("--surface-mm2", arguments.surface_mm2)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{option} must be a number above 0")
    if None not in (arguments.since, arguments.until) and arguments.until <= arguments.since:
        raise ConfigError(f"--until {arguments.until.date()} must be later than --since {arguments.since.date()}")
    period = Period(arguments.since, arguments.until)
    if arguments.folder is not None:
        return read_folder(arguments.folder, period)
    if arguments.journal is not None:
        return read_journal(arguments.journal, period)
    from edge.config import StateSettings, load

    if arguments.config is not None:
        return read_journal(load(arguments.config).state.folder, period)
    usual = StateSettings().folder
    if not (usual / "journal.sqlite3").exists():
        raise ConfigError(f"say what to report on: --journal FILE, --from DIR or --config FILE; no journal lies in {usual}")
    return read_journal(usual, period)
