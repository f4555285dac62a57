"""This machine and perhaps a configuration in, findings with their cures out."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from edge import __version__
from edge.backends import table
from edge.backends.tensorrt import device, engine, passport
from edge.cache import cache_folder
from edge.commands.doctor_fleet import look_at_fleet, settings_in_use
from edge.commands.doctor_kserve import look_at_server
from edge.commands.doctor_metrics import look_at_metrics
from edge.commands.doctor_opcua import look_at_opcua
from edge.commands.doctor_page import look_at_page
from edge.commands.doctor_sinks import look_at_sinks
from edge.commands.doctor_state import look_at_state
from edge.commands.finding import Finding, Level
from edge.config import CommandSettings, InspectionSettings, Settings
from edge.errors import EdgeError, ModelError
from edge.folder.events import network_file_system
from edge.folder.reach import require, unreached
from edge.folder.scan import FolderGone, scan
from edge.inspection import parity
from edge.inspection.limits import require_known_classes
from edge.inspection.pipeline import Pipeline, region_judge
from edge.inspection.taught_shelf import adaptation_of, cards_of
from edge.models.card import load_card
from edge.models.card import resolve as resolve_model
from edge.models.signature import PublicKey
from edge.mqtt.connection import probe
from edge.samples import sample_micrographs
from edge.service.cures import cure_of
from edge.sinks.table import SINKS
from edge.wire.table import CHANNELS

SYMBOLS: dict[Level, str] = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
LEAST_WATCHES = 8192
LEAST_OPEN_FILES = 1024


def diagnose(settings: CommandSettings | None, *, as_json: bool = False) -> int:
    """Print every finding on stdout; 1 when there is a problem."""
    return _report(_all_findings(settings), as_json)


def check(settings: Settings) -> int:
    """What `edge-daemon --check` says: configuration, folder, models, state, sinks and broker; 1 when there is a problem."""
    return _report(_looked(settings), as_json=False)


def _report(findings: Iterator[Finding], as_json: bool) -> int:
    seen = []
    for finding in findings:
        seen.append(finding)
        if not as_json:
            print(f"{SYMBOLS[finding.level]} {finding.area:<9} {finding.text}", flush=True)
            if finding.cure:
                print(f"{'':18}→ {finding.cure}", flush=True)
    problems = sum(finding.level == "problem" for finding in seen)
    if as_json:
        print(json.dumps({"schema": "edge.doctor/1", "problems": problems, "findings": [asdict(finding) for finding in seen]}))
    else:
        print(f"\n{problems} problem{'s' * (problems != 1)} in {len(seen)} things looked at")
    return 1 if problems else 0


def _all_findings(settings: CommandSettings | None) -> Iterator[Finding]:
    yield from _machine()
    yield from _limits()
    yield from _backends(settings)
    yield from _gpu(settings or InspectionSettings())
    if not isinstance(settings, Settings):
        yield from _models(settings or InspectionSettings())
        why = "no --config given" if settings is None else "the configuration names no watch.folder"
        yield Finding("config", "note", f"{why}: folder, state and broker were not looked at")
        return
    yield from _looked(settings)


def _looked(settings: Settings) -> Iterator[Finding]:
    """All of LOOKS; one that may not see something says so and keeps no other from looking."""
    for look in LOOKS:
        try:
            yield from look(settings)
        except OSError as error:
            about = look.__name__.removeprefix("look_at_").strip("_")
            where = f"{error.filename}: " if error.filename else ""
            cure = "let this user read it, and search every folder above it"
            yield Finding(about, "problem", f"{where}{error.strerror or error}", cure)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    yield Finding(
        "machine", "ok", f"{platform.platform()}, {cores} cores, Python {platform.python_version()}, edge {__version__}"
    )
    version = metadata.version("watchdog")
    yield Finding("machine", "ok", f"watchdog {version}, paho-mqtt {metadata.version('paho-mqtt')}")


def _limits() -> Iterator[Finding]:
    watches = Path("/proc/sys/fs/inotify/max_user_watches")
    if watches.is_file():
        allowed = int(watches.read_text())
        if allowed < LEAST_WATCHES:
            cure = "sysctl fs.inotify.max_user_watches=65536 (rescans find every file until then, only later)"
            yield Finding("limits", "note", f"{allowed} folders can be watched for events", cure)
        else:
            yield Finding("limits", "ok", f"{allowed} folders can be watched for events")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < LEAST_OPEN_FILES:
        yield Finding("limits", "problem", f"only {soft} files may be open", "raise LimitNOFILE= in the unit, or ulimit -n")
    else:
        yield Finding("limits", "ok", f"{soft} files may be open")


def _backends(settings: CommandSettings | None) -> Iterator[Finding]:
    here = table.installed()
    for name, backend in table.BACKENDS.items():
        if name in here:
            yield Finding("backend", "ok", f"{name} is installed")
        else:
            yield Finding("backend", "note", f"{name} is not installed", backend.cure)
    if not here:
        yield Finding("backend", "problem", "no inference library is installed", "pip install onnxruntime")
        return
    subject = InspectionSettings() if settings is None else settings_in_use(settings)[0]
    memory = settings.state.folder if settings and os.access(settings.state.folder, os.W_OK) else cache_folder()
    yield from _tried("backend", lambda: _tried_pipeline(subject, memory))


def _tried_pipeline(settings: InspectionSettings, memory: Path) -> str:
    micrographs = sample_micrographs()
    precision, why = parity.gated_precision(settings, memory)
    with Pipeline(settings, precision=precision) as pipeline:
        from edge.records import Source

        spent = [pipeline.inspect(one, Source("sample", "sample", None)).timing.total for one in micrographs]
        models = pipeline.models
    middle = sorted(spent)[len(spent) // 2]
    return (
        f"{settings.models.backend} means {models.backend} in {models.precision}: {middle:.0f} ms for a shipped image "
        f"(median of {len(spent)}); {why}"
    )


def _gpu(settings: InspectionSettings) -> Iterator[Finding]:
    device.choose(settings.models.device)
    gpu = passport.this_gpu()
    if gpu is None:
        found, hardware = device.first_gpu(), device.hardware()
        if isinstance(found, device.NoGpu) and (hardware or shutil.which("nvidia-smi")):
            yield Finding(
                "gpu", "problem", f"{hardware or 'nvidia-smi'} is here and cannot be used: {found.why}", "docs/use/gpu.md"
            )
        else:
            yield Finding("gpu", "ok", "no NVIDIA GPU: models run on the processor")
        return
    try:
        reason = table.BACKENDS["tensorrt"].refusal(parity.models_of(settings))
    except ModelError as error:
        reason = str(error)
    if reason is None:
        yield Finding("gpu", "ok", f"{gpu.name}: both models have an engine")
        yield from _doubts(settings)
    else:
        yield Finding("gpu", "note", f"{gpu.name} is not used: {reason}", "docs/use/gpu.md: edge-export tensorrt")


def _doubts(settings: InspectionSettings) -> Iterator[Finding]:
    """What was left open when the engines were built."""
    for model in parity.models_of(settings):
        for doubt in engine.find_engine(model)[0].passport.doubts:
            yield Finding("gpu", "note", f"{model.name}: {doubt}", "docs/use/gpu.md: When it fails")


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.watch.folder
    if not folder.is_dir():
        yield Finding("folder", "problem", f"{folder} is no folder", "create or mount it, or correct watch.folder")
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        cure = "give this user read and search permission"
        yield Finding("folder", "problem", f"{folder} cannot be read by this user", cure)
        return
    watch, denied = settings.watch, dict[str, str]()
    present = partial(require, folder, watch.marker, watch.must_be_mount)
    try:
        count = sum(1 for _ in scan(folder, watch.patterns, watch.recursive, denied=denied, present=present))
    except FolderGone as error:
        yield Finding("folder", "problem", str(error), cure_of(str(error)))
        return
    yield Finding("folder", "ok", f"{folder} can be read and holds {count} images")
    if text := unreached(denied):
        yield Finding("folder", "problem", text, cure_of(text))
    if kind := network_file_system(folder, Path("/proc/self/mounts").read_text(errors="replace")):
        level: Level = "ok" if settings.watch.settle_s >= 3 else "note"
        cure = "" if level == "ok" else "set watch.settle_s = 3 or more: shares show files late and out of date"
        yield Finding(
            "folder", level, f"it is a network share ({kind}): it is looked at every {settings.watch.rescan_s:g} s", cure
        )


def _models(settings: InspectionSettings) -> Iterator[Finding]:
    stages = settings.inspect.stages
    tasks: list[tuple[Literal["segment", "classify"], str]] = []
    if stages != "classify":
        tasks.append(("segment", settings.models.segmenter))
    if stages != "segment":
        tasks.append(("classify", settings.models.classifier))
    for task, name in tasks:
        yield from _tried("models", lambda task=task, name=name: _described_model(name, task, settings.models.public_key))  # type: ignore[misc]
    yield from _region_weights(settings)
    if settings.models.taught:
        yield from _adaptation(settings)
    if settings.severity.rule == "limits":
        yield from _tried("severity", lambda: _described_limits(settings))


def _models_in_use(settings: Settings) -> Iterator[Finding]:
    used, why_not = settings_in_use(settings)
    if why_not:
        yield Finding("models", "problem", f"the chosen release is not used: {why_not}", "edge-models list")
    yield from _models(used)


def _described_limits(settings: InspectionSettings) -> str:
    limits, models = settings.severity, settings.models
    require_known_classes(limits, load_card(resolve_model(models.segmenter, "segment"), "segment", models.public_key))
    rows = []
    for name, limit in (("moderate", limits.moderate), ("severe", limits.severe)):
        measures = " or ".join(f"{measure} {least:g}" for measure, least in limit.given().items()) or "never"
        rows.append(f"{name} from {measures}" + (f" of {limit.class_}" if limit.class_ else ""))
    return "it follows from limits: " + "; ".join(rows)


def _described_model(name: str, task: Literal["segment", "classify"], public_key: str) -> str:
    path = resolve_model(name, task)
    card = load_card(path, task, public_key)
    signed = f", which {PublicKey.parse(public_key).name} signed" if public_key else ""
    return f"{card.name} {card.version} ({path.name}) to {task}: {', '.join(card.classes)}; its hash matches its card{signed}"


def _adaptation(settings: InspectionSettings) -> Iterator[Finding]:
    try:
        taught, untaught = adaptation_of(settings, *cards_of(settings))
    except EdgeError as error:
        yield Finding("taught", "problem", str(error))
        return
    if untaught:
        told = f"the chosen adaptation is not used: {untaught}"
        yield Finding("taught", "problem", told, cure_of(told))
    elif taught is None:
        yield Finding("taught", "ok", "no adaptation is chosen: the models are used as they are")
    else:
        of = f"{taught.file.reviews} reviews of {len(taught.file.images)} images"
        yield Finding("taught", "ok", f"the adaptation {taught.sha256[:12]}… is used, taught by {of}")


def _region_weights(settings: InspectionSettings) -> Iterator[Finding]:
    try:
        judge = region_judge(settings)
    except EdgeError as error:
        yield Finding("models", "problem", str(error))
        return
    if judge:
        yield Finding("models", "ok", f"{judge.identity.name} {judge.identity.version} to judge single regions")


def _broker(settings: Settings) -> Iterator[Finding]:
    mqtt = settings.mqtt
    if not mqtt.host:
        sinks = [row.name for row in SINKS if row.wanted(settings)]
        told = f"mqtt.host is empty: there is no broker; verdicts go to {' and '.join(sinks) or 'the journal alone'}"
        yield Finding("broker", "ok" if sinks else "note", told)
        return
    where = f"{mqtt.host}:{mqtt.port}"
    try:
        probe(mqtt, settings.topic_prefix)
    except EdgeError as error:
        cure = "the daemon keeps trying and stores everything until it comes back" if "refused" in str(error) else ""
        yield Finding("broker", "problem", f"{where}: {error}", cure)
    else:
        yield Finding("broker", "ok", f"{where} took a connection; topics are below {settings.topic_prefix}")


def _formats(settings: Settings) -> Iterator[Finding]:
    """Of wire formats beside the contract's JSON, those that are wanted."""
    for row in CHANNELS:
        if row.wanted(settings):
            yield from _tried("formats", lambda row=row: f"{row.open(settings).name} is sent too")  # type: ignore[misc]


def _tried(area: str, look: Callable[[], str]) -> Iterator[Finding]:
    """A finding from something that can fail."""
    try:
        yield Finding(area, "ok", look())
    except EdgeError as error:
        yield Finding(area, "problem", str(error))


LOOKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    *(_folder, _models_in_use, look_at_server, look_at_fleet, look_at_state),
    *(look_at_page, look_at_metrics, look_at_opcua, look_at_sinks),
    *(_broker, _formats),
)
"""What is looked at of a service, in this order."""
