"""What `edge-bench` was asked for in, one `edge.bench/1` document out, and what it says as a table and a picture."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.backends import table
from edge.cache import cache_folder
from edge.commands.bench import comparison, end_to_end, environment, profile, report, rival
from edge.commands.bench.scenarios import METRICS, STAGES, TRANSFERS, WARM_UP_ROUNDS, Bench, Run, Scenario, with_backend
from edge.commands.bench.statistics import drift, relative_to_own, summarise
from edge.config import CommandSettings
from edge.errors import BrokerError, ConfigError, ImageError
from edge.inspection import parity
from edge.records import Inspection
from edge.samples import sample_files

MOST_HOST_SHARE = 0.15
MOST_UNREST = 0.10
MOST_DRIFT = 0.05
MOST_OTHERS = 0.05
"""Part of the cores that something else may use."""
MOST_STEAL = 0.01
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments. paths: image files; none: the shipped samples.  fail_above: see `comparison.Change.worse_than`."""

    paths: tuple[Path, ...] = ()
    backends: tuple[str, ...] = ()
    scenarios: tuple[Scenario, ...] = ("single-stream",)
    duration_s: float = 30.0
    json: Path | None = None
    plot: Path | None = None
    compare: Path | None = None
    fail_above: float = 1.10
    mqtt: bool = False
    profile: bool = False
    rival: str | None = None
    rival_python: str | None = None
    checkpoint: Path | None = None
    classifier_checkpoint: Path | None = None


def run(options: Options, settings: CommandSettings) -> int:
    """Measure, print, write; 1 when an image failed or a comparison is worse than its limit.

    Raises ConfigError (an earlier run that cannot be compared is refused), ModelError, BackendError.
    """
    earlier = comparison.load(options.compare) if options.compare else None
    weights = None
    if options.rival:
        named = options.checkpoint, options.classifier_checkpoint
        weights = rival.require_weights(settings, *named, options.rival_python)
    backends = _backends(options.backends or (settings.models.backend,))
    document: dict[str, Any] = {
        "schema": comparison.SCHEMA,
        "environment": environment.describe(),
        "settings": {**settings.inspect.model_dump(mode="json"), "overlay": settings.mqtt.overlay},
        "method": _method(options),
    }
    runs: list[Run] = []
    layers: list[dict[str, Any]] = []
    about_mqtt: dict[str, Any] | None = None
    contest: rival.Contest | None = None
    failed = 0
    paths = tuple(options.paths) or tuple(sample_files())
    for number, backend in enumerate(backends):
        chosen = with_backend(settings, backend)
        precision, _why = parity.gated_precision(chosen, cache_folder())
        with Bench(chosen, precision) as bench:
            if number == 0:
                paths, failed = _readable(bench, paths)
            _print_progress(f"{_runs_on(bench)}: warming up with {len(paths)} images")
            found = bench.warm_up(paths)
            if number == 0:
                document["models"] = _models(bench)
                document["images"] = [_image(path, pages) for path, pages in zip(paths, found, strict=True)]
            if earlier is not None:
                comparison.require_same(earlier, document, options.rival)
            for scenario in options.scenarios:
                _print_progress(f"{_runs_on(bench)}: {scenario} for {options.duration_s:g} s")
                runs.append(bench.run(scenario, paths, options.duration_s))
            if options.profile:
                _print_progress(f"{_runs_on(bench)}: layers")
                layers.append(profile.profile(bench))
            if weights and number == 0:
                contest = _compete(options, bench, chosen, paths, weights)
        if options.mqtt and number == 0:
            about_mqtt = _end_to_end(chosen, paths, options.duration_s, runs)
    document["profile"] = layers or None
    document |= _outcome(runs, about_mqtt, contest, _busy_before(document["environment"]))
    worse = earlier is not None and _compare(options, earlier, document)
    _publish(options, document)
    return 1 if worse or failed else 0


def _outcome(
    runs: Sequence[Run], about_mqtt: dict[str, Any] | None, contest: rival.Contest | None, warnings: Sequence[str]
) -> dict[str, Any]:
    """What was measured, as the part of the document that follows what it was measured on."""
    scenarios = [_scenario(one) for one in runs]
    doubts = [*warnings, *(contest.warnings() if contest else ()), *(doubt for one in runs for doubt in _doubts(one))]
    return {
        "scenarios": scenarios,
        "stages": scenarios[0]["stages"],
        "mqtt": about_mqtt,
        "rival": contest.document() if contest else None,
        "comparison": None,
        "warnings": list(dict.fromkeys(doubts)),
    }


def _compare(options: Options, earlier: comparison.Document, document: dict[str, Any]) -> bool:
    """Whether it became worse; what was compared goes into the document. Raises ConfigError."""
    compared = comparison.compare(earlier, document).document(options.fail_above)
    document["comparison"] = {"with": str(options.compare), **compared}
    return bool(compared["failed"])


def compare(earlier: Path, later: Path, fail_above: float, json_file: Path | None) -> int:
    """Compare two documents, print it, write it; 1 when the later one is worse. Nothing is measured. Raises ConfigError."""
    documents = comparison.load(earlier), comparison.load(later)
    compared = {"with": str(earlier), **comparison.compare(*documents).document(fail_above)}
    print(report.comparison_table(str(later), documents, compared), flush=True)
    if json_file:
        _write(json_file, {"schema": comparison.COMPARED, "then": str(earlier), "now": str(later), **compared})
    return 1 if compared["failed"] else 0


def _publish(options: Options, document: dict[str, Any]) -> None:
    """As a table on stdout, and as the files that were asked for."""
    print(report.table(document), flush=True)
    if options.json:
        _write(options.json, document)
    if options.plot:
        options.plot.write_text(report.plot(document), encoding="utf-8")


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _runs_on(bench: Bench) -> str:
    return f"{bench.models.backend} {bench.models.precision}"


def _backends(names: Sequence[str]) -> tuple[str, ...]:
    """The backends named, "all" being every one that is installed. Raises ConfigError for one that is not."""
    wanted = [each for name in names for each in (table.local() if name == "all" else (name,))]
    for name in wanted:
        table.resolve(name)
    return tuple(dict.fromkeys(wanted))


def _readable(bench: Bench, paths: Sequence[Path]) -> tuple[tuple[Path, ...], int]:
    """The images that can be inspected, and how many cannot. Raises ConfigError when none can."""
    good = []
    for path in paths:
        try:
            bench.decode(path)
            good.append(path)
        except ImageError as error:
            _print_progress(f"left out {path}: {error.code}: {error.message}")
    if not good:
        raise ConfigError("no image to measure with: name image files, or folders that hold some")
    return tuple(good), len(paths) - len(good)


def _compete(
    options: Options, bench: Bench, settings: CommandSettings, paths: Sequence[Path], weights: tuple[Path, Path]
) -> rival.Contest:
    assert options.rival is not None
    if settings.inspect.stages != "both":
        raise ConfigError('a rival runs both stages: leave inspect.stages at "both"')
    _print_progress(f"in turns with {options.rival}, until ours has had {options.duration_s:g} s")
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        return rival.compete(
            options.rival,
            bench,
            settings,
            paths,
            Path(folder),
            options.duration_s,
            segmenter=weights[0],
            classifier=weights[1],
            python=options.rival_python,
        )


def _end_to_end(settings: CommandSettings, paths: Sequence[Path], duration_s: float, runs: Sequence[Run]) -> dict[str, Any]:
    """The `mqtt` part of the document; `reason` where it cannot be measured."""
    _print_progress(f"closed file to broker, through the daemon, for {duration_s:g} s")
    try:
        found = end_to_end.measure(settings, paths, duration_s)
    except BrokerError as error:
        return {"reason": str(error)}
    drawing = _drawing_ms(runs)
    arrivals = found.arrivals
    return {
        "reason": None,
        "broker": found.broker,
        "protocol": found.protocol,
        "backend": arrivals[0].ran_on,
        "n": len(arrivals),
        "latency_ms": summarise([arrival.total_ms for arrival in arrivals]).document(),
        "beside_networks_ms": summarise([arrival.beside_networks(drawing) for arrival in arrivals]).document(),
        "stages": {
            name: summarise([arrival.timing_ms[name] for arrival in arrivals]).document() for name in end_to_end.TOTAL_STAGES
        },
        "samples_ms": _rounded([arrival.total_ms for arrival in arrivals]),
        "settings": settings.watch.model_dump(mode="json", exclude={"folder", "patterns"}),
        "wall_s": round(found.meanwhile.wall_s, 3),
        "steal_fraction": round(found.meanwhile.steal_fraction, 4),
    }


def _drawing_ms(runs: Sequence[Run]) -> dict[str, float]:
    """Mean time of letterboxing and cropping by image: a verdict's own timing counts it to the networks."""
    spent: dict[str, list[float]] = {}
    for run in runs:
        for one in run.timings if run.scenario == "single-stream" and run.backend == runs[0].backend else ():
            spent.setdefault(one.image, []).append((one.stages["letterbox"] or 0.0) + (one.stages["crops"] or 0.0))
    return {image: sum(values) / len(values) for image, values in spent.items()}


def _scenario(run: Run) -> dict[str, Any]:
    shares = run.shares()
    stages = {
        name: {**summarise(values).document(), "share": round(shares[name], 5)} if (values := run.stage(name)) else None
        for name in STAGES
    }
    unrest, drifted = _unrest(run)
    return {
        "scenario": run.scenario,
        "backend": run.backend,
        "precision": run.precision,
        "mlperf_metric": METRICS[run.scenario],
        "images": len(run.timings),
        "images_a_query": run.images_a_query,
        "period": run.period,
        "throughput": round(run.throughput, 4),
        # all images of the offline scenario are one query: the time of one of them means nothing
        "latency_ms": None if run.scenario == "offline" else summarise(run.queries_ms).document(),
        "unrest": None if unrest is None else round(unrest, 4),
        "drift": None if drifted is None else round(drifted, 4),
        "host_share": round(run.host_share(), 4),
        "stages": stages,
        "energy": {
            "joules_an_image": {name: round(value / len(run.timings), 4) for name, value in run.energy.joules.items()},
            "reason": run.energy.reason,
        },
        "machine": run.meanwhile.document(),
        "queries_ms": _rounded(run.queries_ms),
        "samples": [{"image": one.image, "total_ms": round(one.total, 4), **_stage_values(one.stages)} for one in run.timings],
    }


def _unrest(run: Run) -> tuple[float | None, float | None]:
    """Standard deviation of times relative to those of the same images, and drift; None where no image came twice."""
    if len(run.queries_ms) < 2 * run.period:
        return None, None
    relative = relative_to_own(run.queries_ms, run.period)
    return float(relative.std()), drift(relative)


def _stage_values(stages: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in stages.items()}


def _doubts(run: Run) -> list[str]:
    """Why this run's figures may not be what they seem."""
    about = f"{run.scenario}, {run.backend}"
    seen, cores = run.meanwhile, environment.all_cores()
    unrest, drifted = _unrest(run)
    doubts = []
    if run.host_share() > MOST_HOST_SHARE:
        slowest = max((share, name) for name, share in run.shares().items() if name not in ("segment", "classify"))
        doubts.append(
            f"{about}: the networks do not run for {run.host_share():.0%} of the time: the host is the bottleneck, "
            f"{slowest[1]} above all ({slowest[0]:.0%})"
        )
    if len(run.queries_ms) < LEAST_ROUNDS * run.period:
        doubts.append(f"{about}: each image was seen fewer than {LEAST_ROUNDS} times: raise --duration")
    elif unrest is not None and unrest > MOST_UNREST:
        doubts.append(f"{about}: unstable, the same images vary by {unrest:.0%} (standard deviation)")
    if drifted is not None and abs(drifted - 1) > MOST_DRIFT:
        doubts.append(
            f"{about}: the second half took {drifted - 1:+.0%} of the first's time more: heat, or something else began"
        )
    if seen.cores_used_by_others > MOST_OTHERS * cores:
        doubts.append(
            f"{about}: something else used {seen.cores_used_by_others:.2f} of {cores} cores: repeat on a quiet machine"
        )
    if seen.steal_fraction > MOST_STEAL:
        doubts.append(f"{about}: the virtual machine's host took {seen.steal_fraction:.0%} of the time for others")
    if seen.cpu_throttled:
        doubts.append(f"{about}: the processor was slowed down by heat {seen.cpu_throttled} times")
    if seen.gpu_throttled:
        doubts.append(f"{about}: the GPU is slowed down by heat or power")
    if run.scenario != "offline" and (too_few := summarise(run.queries_ms).too_few):
        needs = ", ".join(f"{name.replace('_', '.')} needs {need}" for name, need in too_few.items())
        doubts.append(f"{about}: too few samples ({len(run.queries_ms)}): {needs}")
    return doubts


def _busy_before(about: Mapping[str, Any]) -> list[str]:
    load, cores = about["load_average_before"][0], about["cpu"]["cores_usable"]
    return [f"the machine was busy before the run: load average {load} on {cores} cores"] if load > cores / 4 else []


def _models(bench: Bench) -> dict[str, Any]:
    used = bench.models
    return {
        task: asdict(model) if model else None for task, model in (("segment", used.segmenter), ("classify", used.classifier))
    }


def _image(path: Path, pages: Sequence[Inspection]) -> dict[str, Any]:
    first = pages[0].micrograph
    return {
        "name": pages[0].source.name,
        "sha256": pages[0].source.sha256,
        "bytes": path.stat().st_size,
        "pages": len(pages),
        "width_px": first.width_px,
        "height_px": first.height_px,
        "regions": sum(len(page.regions) for page in pages),
    }


def _method(options: Options) -> dict[str, Any]:
    return {
        "duration_s": options.duration_s,
        "warm_up_rounds": WARM_UP_ROUNDS,
        "rounds": "whole ones over all images, in one order; files come from the page cache",
        "stages": STAGES,
        "not_told_apart": dict.fromkeys(TRANSFERS, "part of the networks' times where a GPU's backend does not tell them"),
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def _print_progress(text: str) -> None:
    print(f"edge-bench: {text}", file=sys.stderr, flush=True)
