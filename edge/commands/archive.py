"""`edge-archive`: many images to tables, on all cores; and what two such tables say differently."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.arguments import new_parser, whole_number
from edge.commands.command_line import DONE, SOME_FAILED, as_command
from edge.commands.progress import Progress


@as_command
def archive(argv: Sequence[str] | None = None) -> int:
    """Run `edge-archive`; 0 done, 1 a file failed, 2 wrong usage or what ends a run."""
    parser = new_parser(
        "edge-archive",
        "Inspect a whole archive, and compare what two models make of it.",
        "edge-archive inspect exports/ --out archive/",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser(
        "inspect",
        help="many images to Parquet",
        description="Inspect all images below a folder; say the same again to go on after an interruption.",
        epilog="example: edge-archive inspect exports/ --out archive/ --workers 2",
    )
    inspect.add_argument("source", type=Path, metavar="SOURCE", help="a folder that is searched for images")
    inspect.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for inspections/ and regions/, a new one")
    inspect.add_argument("--name", metavar="NAME", help="of the archive, for its ids (the name of SOURCE)")
    inspect.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, thresholds, sample patterns")
    inspect.add_argument("--backend", metavar="NAME", help="as models.backend")
    inspect.add_argument("--pictures", action="store_true", help="keep a picture of each inspection, too")
    inspect.add_argument("--workers", type=whole_number, metavar="N", help="side by side (one for each core)")
    inspect.add_argument("--cores", type=whole_number, default=1, metavar="N", help="that Ray reserves for each (%(default)s)")
    inspect.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster; without it, this machine alone")
    inspect.set_defaults(run=_inspect)
    compare = commands.add_parser(
        "compare",
        help="what changes between two results",
        description="Compare two results of one archive, image by image: by severity, area and size.",
        epilog="example: edge-archive compare archive/ archive-new/ --html changes.html",
    )
    compare.add_argument("before", type=Path, metavar="A", help="a folder of edge-archive inspect")
    compare.add_argument("after", type=Path, metavar="B", help="another, of the same images")
    compare.add_argument("--html", type=Path, metavar="FILE", help="a page with the images that changed most")
    compare.add_argument("--csv", type=Path, metavar="FILE", help="every image that changed")
    compare.add_argument("--most", type=whole_number, default=50, metavar="N", help="images on the page (%(default)s)")
    compare.set_defaults(run=_compare)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


class _Shown:
    """How far a run is, on stderr: the first count that is told is what earlier runs had done."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._done = 0

    def told(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(total - done, command="edge-archive", first="starting the workers")
        else:
            self._bar.begin("")
            for _ in range(done - self._done):
                self._bar.finish()
        self._done = done

    def hide(self) -> None:
        if self._bar is not None:
            self._bar.hide()


def _inspect(arguments: argparse.Namespace) -> int:
    from edge.archive.run import Plan, inspect
    from edge.config import change, load_for_command

    config = Path(arguments.config) if arguments.config else None
    settings = change(load_for_command(config), {"models": {"backend": arguments.backend}})
    source = arguments.source
    plan = Plan(
        source,
        arguments.out,
        arguments.name or source.resolve().name,
        workers=None if arguments.workers is None else max(arguments.workers, 1),
        cores=max(arguments.cores, 1),
        address=arguments.address,
        pictures=arguments.pictures,
    )
    shown = _Shown()
    try:
        outcome = inspect(plan, settings, shown.told)
    finally:
        shown.hide()
    new = outcome.found - outcome.before
    print(
        f"edge-archive: {outcome.found} files, {outcome.before} of them done before; {new} inspected now: "
        f"{outcome.verdicts} verdicts, {outcome.failed} failures; in {arguments.out}",
        file=sys.stderr,
    )
    for count, what in (
        (outcome.denied, "could not be looked at, see above: give yourself the right to, and say the same again"),
        (outcome.changed, "were written after they were inspected: their verdicts are of what they were"),
        (outcome.gone, "are not there any more; their verdicts are kept"),
    ):
        if count:
            print(f"edge-archive: {count} {what}", file=sys.stderr)
    return SOME_FAILED if outcome.failed or outcome.denied else DONE


def _compare(arguments: argparse.Namespace) -> int:
    from edge.archive.compare import compare
    from edge.compare import page

    changes = compare(arguments.before, arguments.after)
    print(changes.text())
    if arguments.csv:
        changes.write_csv(arguments.csv)
    if arguments.html:
        page.write(arguments.html, changes, arguments.most)
    return DONE
