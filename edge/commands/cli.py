"""What people type: arguments in, exit status out (0 done, 1 some input failed, 2 wrong usage or configuration).

Results go to stdout, everything else to stderr. Heavy modules are imported by the command that needs them, so that
`--help` and a wrong argument answer at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.arguments import Actions, length_nm, new_action, new_parser, number, whole_number
from edge.backends import table
from edge.commands.command_line import as_command, need_linux

if TYPE_CHECKING:
    from edge.config import CommandSettings


def log_to_stderr(level: int = logging.INFO) -> None:
    """One line a record; under systemd the journal adds the time and takes the level from the prefix."""
    under_systemd = "JOURNAL_STREAM" in os.environ
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(message)s" if under_systemd else "%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    for library in ("watchdog", "tifffile", "PIL"):  # their own accounts would drown ours
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    if under_systemd:
        syslog_levels = {logging.ERROR: "<3>", logging.WARNING: "<4>", logging.INFO: "<6>", logging.DEBUG: "<7>"}
        for python_level, prefix in syslog_levels.items():
            logging.addLevelName(python_level, prefix)
        logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(levelname)s%(message)s"))


def _settings(config: str | None, arguments: Mapping[str, Mapping[str, Any]]) -> CommandSettings:
    """Settings of a command that watches nothing: its file's, if it has one, with what its arguments say instead."""
    from edge.config import change, load_for_command

    return change(load_for_command(Path(config) if config else None), arguments)


@as_command
def inspect(argv: Sequence[str] | None = None) -> int:
    """`edge-inspect`: inspect files once."""
    parser = new_parser(
        "edge-inspect",
        "Inspect images, or all images in folders, once, and print what was found.",
        "edge-inspect export/AN_60_7days_003.tif --json --out results/",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder that is searched for images")
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON for each image: edge.inspection/2 or edge.failure/1"
    )
    parser.add_argument("--csv", metavar="FILE", help="also write a table, one row an image, as it goes; - for stdout")
    parser.add_argument("--out", metavar="DIR", help="also write <stem>.overlay.png and <stem>.inspection.json there")
    parser.add_argument(
        "--pixel-size-nm", type=length_nm, metavar="X", help="edge of a pixel in nanometres, for files that do not say it"
    )
    parser.add_argument("--backend", choices=table.names())
    parser.add_argument("--stages", choices=["both", "segment", "classify"])
    parser.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, thresholds, sample patterns")
    arguments = parser.parse_args(argv)
    if arguments.json and arguments.csv == "-":
        parser.error("--json and --csv - both go to stdout: name a file for one of them")
    wanted = {"stages": arguments.stages, "pixel_size_nm": arguments.pixel_size_nm}
    settings = _settings(arguments.config, {"models": {"backend": arguments.backend}, "inspect": wanted})
    from edge.commands.inspect_files import Wanted, find_images, inspect_paths

    how = Wanted(as_json=arguments.json, out=Path(arguments.out) if arguments.out else None, table=arguments.csv)
    return inspect_paths(find_images(arguments.paths, settings.watch), settings, how)


@as_command
def daemon(argv: Sequence[str] | None = None) -> int:
    """`edge-daemon`: the service."""
    parser = new_parser(
        "edge-daemon",
        "Watch a microscope's export folder and publish an inspection of every finished image.",
        "edge-daemon --config /etc/sem-corrosion-edge/config.toml --check",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the TOML file, see docs/use/configuration.md")
    parser.add_argument("--check", action="store_true", help="check configuration, folder, models and broker; start nothing")
    parser.add_argument("--alive", action="store_true", help="say whether the daemon of a container moves (its health check)")
    parser.add_argument("--verbose", action="store_true", help="log every decision")
    arguments = parser.parse_args(argv)
    need_linux()
    if arguments.alive:
        from edge.service import pulse

        is_alive, words = pulse.alive()
        print(words)
        return 0 if is_alive else 1
    from edge import config as configuration

    settings = configuration.load(Path(arguments.config))
    log_to_stderr(logging.DEBUG if arguments.verbose else logging.INFO)
    if arguments.check:
        from edge.commands.doctor import check

        return check(settings)
    from edge.service.daemon import run

    return run(settings)


@as_command
def doctor(argv: Sequence[str] | None = None) -> int:
    """`edge-doctor`: what this machine has and lacks."""
    parser = new_parser(
        "edge-doctor",
        "Say what this machine has and lacks for the daemon, each problem with its cure.",
        "edge-doctor --config /etc/sem-corrosion-edge/config.toml",
    )
    parser.add_argument("--config", metavar="FILE", help="also check the folder, models and broker that it names")
    parser.add_argument("--json", action="store_true", help="the findings as one line of JSON")
    arguments = parser.parse_args(argv)
    need_linux()
    from edge import config as configuration
    from edge.commands.doctor import diagnose

    settings: CommandSettings | None = None
    if arguments.config:
        settings = configuration.load_for_command(Path(arguments.config))
        if settings.watch.folder is not None:
            settings = configuration.load(Path(arguments.config))
    return diagnose(settings, as_json=arguments.json)


@as_command
def review(argv: Sequence[str] | None = None) -> int:
    """`edge-review`: what could not be inspected, and trying it again; reviews in and out."""
    parser = new_parser(
        "edge-review",
        "Show the images that could not be inspected (the quarantine), and have them inspected again; hand reviews to the "
        "service, list and export them.",
        "edge-review list --config /etc/sem-corrosion-edge/config.toml",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="{list,retry,dead-letters,add,reviews,export}")
    listing = _action(actions, "list", "Print what is in quarantine and why, the newest first.", "edge-review list --json")
    listing.add_argument("--json", action="store_true", help="one line of JSON: edge.quarantine/1")
    retrying = _action(
        actions,
        "retry",
        "Have images in quarantine inspected again, as a new run. A service that runs takes them within seconds, one that "
        "is stopped at its next start. Run it as the service's user or as root.",
        "edge-review retry coupon7/AN_60_7days_003.tif",
    )
    retrying.add_argument("paths", nargs="*", metavar="PATH", help="as `list` shows it, or where the file lies")
    retrying.add_argument("--all", action="store_true", help="all of them")
    retrying.add_argument("--code", metavar="CODE", help="those that failed with this code, as `list` shows it")
    letters = _action(
        actions,
        "dead-letters",
        "Print the messages that the broker never took, the newest first; or the originals of those that are named.",
        "edge-review dead-letters 17",
    )
    letters.add_argument("named", nargs="*", metavar="NUMBER", help="its number or its id: prints the verdict as JSON")
    letters.add_argument("--json", action="store_true", help="one line of JSON a message")
    _review_actions(actions)
    arguments = parser.parse_args(argv)
    from edge.commands.review import list_quarantine, retry

    settings = _settings(arguments.config, {})
    state = Path(arguments.state) if arguments.state else settings.state.folder
    if arguments.action == "list":
        return list_quarantine(state, as_json=arguments.json)
    if arguments.action == "dead-letters":
        from edge.commands import dead_letters

        if arguments.named:
            return dead_letters.originals(state, arguments.named)
        return dead_letters.list_dead_letters(state, as_json=arguments.json)
    if arguments.action != "retry":
        from edge.commands import reviews

        if arguments.action == "add":
            return reviews.add(state, arguments.file)
        if arguments.action == "export":
            return reviews.export(state, arguments.out)
        return reviews.list_reviews(state, as_json=arguments.json)
    if bool(arguments.paths) == (arguments.all or arguments.code is not None):
        retrying.error("name PATHs, or --all, or --code")
    return retry(state, settings, arguments.paths, code=arguments.code)


def _review_actions(actions: Actions) -> None:
    """What `edge-review` does with reviews."""
    adding = _action(
        actions,
        "add",
        "Hand the reviews of a file to the service. One that runs takes them within seconds, one that is stopped at its next "
        "start. Nothing is handed over when any of them is wrong.",
        "edge-review add reviews.jsonl",
    )
    adding.add_argument("file", type=Path, metavar="FILE.jsonl", help="one edge.review/1 a line")
    listing = _action(actions, "reviews", "Print the stored reviews and who disagrees.", "edge-review reviews --json")
    listing.add_argument("--json", action="store_true", help="one line of JSON a review")
    exporting = _action(
        actions,
        "export",
        "Write all reviews and the images they are of into a new folder, for edge-teach.",
        "edge-review export --out reviews",
    )
    exporting.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")


def _action(actions: Actions, name: str, about: str, example: str) -> argparse.ArgumentParser:
    """A subcommand of `edge-review`."""
    action = new_action(actions, name, about, example)
    action.add_argument("--state", metavar="DIR", help="the state folder, in place of the one that the file names")
    return action


@as_command
def teach(argv: Sequence[str] | None = None) -> int:
    """`edge-teach`: reviews into an adaptation."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["next"]:
        return _next(words[1:])
    if words[:1] == ["install"]:
        return _install(words[1:])
    parser = new_parser(
        "edge-teach",
        "Learn from reviews which regions and pixels count here and how severe fields are, and write an adaptation file for "
        "[models] taught. `edge-teach next PATH` asks for the clicks that teach most; `edge-teach install FILE` gives a file "
        "to the service.",
        "edge-teach --reviews reviews.jsonl --images reviewed/ --out plant.json",
    )
    parser.add_argument("--reviews", required=True, type=Path, metavar="FILE", help="edge.review/1, one a line")
    parser.add_argument("--images", required=True, type=Path, metavar="DIR", help="where the reviewed images are")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the adaptation; one that is there is kept")
    parser.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, thresholds")
    parser.add_argument(
        "--classes",
        default="",
        metavar="NAME=LABEL,…",
        help="severity classes of your own, lowest first, and which of low, moderate, severe each stands for, if any",
    )
    parser.add_argument("--json", action="store_true", help="one object with before, after and how")
    arguments = parser.parse_args(words)
    from edge.commands.teach import run
    from edge.fleet.shelf import in_use

    settings = in_use(_settings(arguments.config, {}))

    return run(arguments.reviews, arguments.images, arguments.out, settings, as_json=arguments.json, classes=arguments.classes)


def _next(words: Sequence[str]) -> int:
    parser = new_parser(
        "edge-teach next", "Inspect images and list what to click next: the clicks that teach most.", "edge-teach next export/"
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder that is searched for images")
    parser.add_argument("--clicks", type=whole_number, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, thresholds")
    parser.add_argument("--json", action="store_true", help="one object: edge.next/1")
    arguments = parser.parse_args(words)
    if arguments.clicks < 1:
        parser.error("--clicks must be at least 1")
    from edge.commands.inspect_files import find_images
    from edge.commands.teach_next import run
    from edge.fleet.shelf import in_use

    settings = in_use(_settings(arguments.config, {}))

    return run(find_images(arguments.paths, settings.watch), settings, clicks=arguments.clicks, as_json=arguments.json)


def _install(words: Sequence[str]) -> int:
    parser = new_parser(
        "edge-teach install",
        'Check an adaptation and keep it in the state folder, for [models] taught = "state"; the command `taught` chooses it.',
        "edge-teach install plant.json --config /etc/sem-corrosion-edge/config.toml",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an adaptation of edge-teach")
    parser.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, state folder")
    arguments = parser.parse_args(words)
    from edge.commands.teach import install
    from edge.fleet.shelf import in_use

    return install(arguments.file, in_use(_settings(arguments.config, {})))


@as_command
def demo(argv: Sequence[str] | None = None) -> int:
    """`edge-demo`: the whole product on this machine, in a minute."""
    parser = new_parser(
        "edge-demo",
        "Start a broker and the real daemon, let sample images arrive, and show every inspection as it is published.",
        "edge-demo --images 12 --out demo-out",
    )
    parser.add_argument(
        "--images", type=whole_number, default=10, metavar="N", help="images that arrive, one of them broken (default 10)"
    )
    parser.add_argument("--out", metavar="DIR", default="demo-out", help="where pictures and messages go (default demo-out)")
    parser.add_argument("--broker", metavar="HOST:PORT", help="a real broker instead of the embedded one")
    parser.add_argument("--keep-open", action="store_true", help="go on until Ctrl-C, inspecting what you copy into the folder")
    arguments = parser.parse_args(argv)
    need_linux()
    from edge.commands.demo import run

    return run(images=arguments.images, out=Path(arguments.out), broker=arguments.broker, keep_open=arguments.keep_open)


@as_command
def bench(argv: Sequence[str] | None = None) -> int:
    """`edge-bench`: latency and throughput on this machine."""
    arguments = _bench_arguments(argv)
    need_linux()
    if arguments.later:
        from edge.commands.bench.command import compare

        return compare(arguments.compare, arguments.later, arguments.fail_above, arguments.json)
    # Without a file of the user's, images of the end-to-end measurement have no sidecars that would be worth a wait.
    settings = _settings(arguments.config, {} if arguments.config else {"watch": {"sidecar_wait_s": 0.0}})
    from edge.commands.bench.command import Options, run
    from edge.commands.inspect_files import find_images

    options = Options(
        paths=tuple(path for path, _ in find_images(arguments.paths, settings.watch)),
        backends=tuple(arguments.backend.split(",")) if arguments.backend else (),
        scenarios=arguments.scenario,
        duration_s=arguments.duration,
        json=arguments.json,
        plot=arguments.plot,
        compare=arguments.compare,
        fail_above=arguments.fail_above,
        mqtt=arguments.mqtt,
        profile=arguments.profile,
        rival=arguments.rival,
        rival_python=arguments.rival_python,
        checkpoint=arguments.checkpoint,
        classifier_checkpoint=arguments.classifier_checkpoint,
    )
    return run(options, settings)


def _bench_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Checked; `scenario` is a tuple of names, and what names a file to read or write is a path or None."""
    parser = new_parser(
        "edge-bench",
        "Measure latency and throughput, stage by stage, on real images (the shipped samples when none are named).",
        "edge-bench exports/ --backend openvino,onnxruntime --json today.json --plot today.svg",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="an image, or a folder that is searched for images")
    parser.add_argument("--backend", metavar="NAME,…", help=f"auto, all, or names: {', '.join(table.BACKENDS)} (the settings')")
    parser.add_argument("--scenario", default="single-stream,multi-stream,offline", metavar="NAME,…", help="%(default)s")
    parser.add_argument("--duration", type=number, default=20.0, metavar="S", help="of each scenario, in seconds (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there: edge.bench/1")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (SVG) of stages and latencies there")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="an earlier --json; the exit status is 1 when this run is worse. With another --json as the only PATH nothing is "
        "measured: --compare A.json B.json",
    )
    parser.add_argument(
        "--fail-above", type=number, default=1.10, metavar="RATIO", help="worse is so many times the time (1.10)"
    )
    parser.add_argument("--mqtt", action="store_true", help="also from the closed file to the broker, with the real daemon")
    parser.add_argument("--profile", action="store_true", help="also the layers of each network, as the library counts them")
    parser.add_argument(
        "--rival",
        choices=["ultralytics", "ultralytics-onnx"],
        help="also in turns with it, on the same images and weights (needs the extra training)",
    )
    parser.add_argument("--rival-python", metavar="FILE", help="a Python that has the extra training (this one)")
    parser.add_argument("--checkpoint", type=Path, metavar="W.pt", help="the rival's segmenter (read back from ours)")
    parser.add_argument(
        "--classifier-checkpoint", type=Path, metavar="W.pt", help="the rival's classifier (read back from ours)"
    )
    parser.add_argument("--config", metavar="FILE", help="the daemon's TOML file: models, thresholds, stages")
    arguments = parser.parse_args(argv)
    arguments.scenario = tuple(arguments.scenario.split(","))
    if unknown := set(arguments.scenario) - {"single-stream", "multi-stream", "offline"}:
        parser.error(f"--scenario {', '.join(sorted(unknown))}: choose among single-stream, multi-stream, offline")
    if arguments.duration <= 0:
        parser.error("--duration must be more than 0")
    if arguments.plot and arguments.plot.suffix != ".svg":
        parser.error(f"--plot {arguments.plot}: it is drawn as SVG, so name it .svg")
    for option in ("json", "plot"):  # said before minutes of measuring, not after
        wanted: Path | None = getattr(arguments, option)
        if wanted and (wanted.is_dir() or not wanted.absolute().parent.is_dir()):
            parser.error(f"--{option} {wanted}: " + ("is a folder" if wanted.is_dir() else "there is no such folder"))
    arguments.later = _later_result(parser, arguments)
    return arguments


def _later_result(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Path | None:
    """The second of two results that are compared without measuring; None where something is to be measured."""
    results = [path for path in arguments.paths if str(path).endswith(".json")]
    if not results:
        return None
    if arguments.compare is None or len(arguments.paths) > 1:
        parser.error(f"{results[0]} is no image; two results are compared with --compare A.json B.json")
    for option in ("backend", "mqtt", "plot", "profile", "rival"):
        if getattr(arguments, option):
            parser.error(f"--compare {arguments.compare} {results[0]} measures nothing: leave out --{option}")
    return Path(results[0])
