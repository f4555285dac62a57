"""Settings in, a running service out: the one place that wires folder, journal, pipeline and broker together.

    thread      does                                                                  waits for
    ---------   --------------------------------------------------------------------  ---------------------
    main        signals, systemd's watchdog, whether the others still move            a signal
    scan        folder → the journal's ledger (`edge.folder.watch` decides what is finished) an event, the next look
    decode      the ledger's next image → pixels, at most two images ahead            new work
    inspect     pixels → verdict                                                      a decoded image
    tell        verdict → messages, stored in one transaction; then → picture         a verdict
    publisher   the journal's outbox → the broker (`edge.mqtt.publisher`)                    new messages
    upkeep      forgets what is older than the configuration wants                    its next turn

Threads meet only in the journal and in two bounded queues, so that a kill at any moment leaves nothing but rows to take
up again. What can break for good (a network, our own defects in a loop) ends the process; systemd starts it anew.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from edge import __version__, sem
from edge.config import Settings
from edge.errors import BackendError, ConfigError, EdgeError, ImageError, ModelError, StateError, StateFullError
from edge.folder import watch
from edge.folder.file import read_file
from edge.inspection import overlay, parity
from edge.inspection.pipeline import Pipeline, limits_of
from edge.journal import Entry, Journal, Message, Undrawn, Verdict
from edge.mqtt.publisher import Publisher, StatusText
from edge.records import Failure, FileBytes, Fingerprint, Inspection, Micrograph, Source, Timing
from edge.samples import sample_micrographs
from edge.service import health, isolated, systemd
from edge.wire import encode as wire

log = logging.getLogger(__name__)
T = TypeVar("T")

AHEAD = 2
STOP_S = 4.0
"""systemd and people expect an answer within 5 s."""
FINISH_S = 2.5
"""Of those, what an inspection under way may take to end; then it is given back to the ledger."""
UPKEEP_S = 300.0
FULL_UPKEEP_S = 5.0
RETRY_S = 5.0
LOOKING_SHARE = 0.1
"""A look at 100,000 files takes seconds: no more than this part of the time goes into looking at everything."""
ADMIT_S = 1.0
"""Finished files are admitted at least so often while many are looked at."""
SILENT_S = 180.0
"""A look at the folder that takes so long is a reason to doubt the share behind it."""
STUCK_S = 900.0
"""A thread that shows no sign of life for so long is dead: the watchdog is no longer fed."""
LEAST_FREE_BYTES = 64 << 20
ZERO_TAIL_S = 5.0
"""A real detector writes black rows too, so zeros at the end are not waited for as long as a missing end."""
READS = 3
"""An image that changes while it is read is read so often, then it fails; once it is quiet it is a new revision."""
DEATHS = 2
"""So many deaths that the parent saw are needed to give an image up."""
BLANK = Micrograph(np.zeros((64, 64), np.uint8), 64, 64)
BROKEN = 70
"""Exit status (sysexits.h, EX_SOFTWARE) for what a restart may mend."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image on its way from the decode thread to the inspect thread.

    outcome: its pages, why there are none, or None for a suspect, which is read and inspected in a child.
    """

    entry: Entry
    source: Source
    outcome: tuple[Micrograph, ...] | ImageError | None
    spent: Timing
    settled_at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One image on its way from the inspect thread to the tell thread: an inspection for each page, or why there is none."""

    entry: Entry
    source: Source
    outcome: list[Inspection] | ImageError
    settled_at: float


def run(settings: Settings) -> int:
    """Run until a signal comes; 0 after a clean stop, `BROKEN` after a failure that a restart may mend.

    Raises ConfigError or ModelError when the models cannot be used, StateError when the state folder cannot.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Journal.open(settings.state.folder) as journal:
        daemon = Daemon(settings, journal)
        daemon.start()
        feed_s = min((systemd.watchdog_s() or 60.0) / 3, 1.0)
        told_ready = False
        while daemon.failure is None and not stop.wait(feed_s if told_ready else 0.05):
            if daemon.ready and not told_ready:
                systemd.tell("READY=1", f"STATUS=watching {settings.watch.folder}")
                told_ready = True
            if told_ready and daemon.alive():
                systemd.tell("WATCHDOG=1")
        systemd.tell("STOPPING=1")
        idle = daemon.stop()
    log.info("stopped: %s", daemon.failure or "as asked")
    if isinstance(daemon.failure, ConfigError | ModelError):
        raise daemon.failure
    status = 0 if daemon.failure is None else BROKEN
    if not idle:
        # A thread still in native code would crash the interpreter's own shutdown; the journal is closed already.
        logging.shutdown()
        os._exit(status)
    return status


class Daemon:
    """The threads and what they share."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._folder = settings.watch.folder
        self._stopping = threading.Event()
        self._paused = threading.Event()
        self._new_work = threading.Event()
        self._look = threading.Event()
        self._decoded: queue.Queue[Decoded] = queue.Queue(maxsize=AHEAD)
        self._judged: queue.Queue[Judged] = queue.Queue(maxsize=1)
        self._inspected = threading.Event()
        self._running: set[str] = set()
        self._being_drawn: set[str] = set()
        self._settled_at: dict[str, float] = {}
        self._reasons = {"start": "the models are being loaded"}
        self._latencies = health.Latencies()
        self._beats = dict.fromkeys(("scan", "decode", "inspect", "tell"), time.monotonic())
        self._ready = threading.Event()
        self._started_at = time.monotonic()
        self._runs_on = ("none", "none")
        self._state_bytes = 0
        self.failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(name, loop), name=name, daemon=True)
            for name, loop in (
                ("scan", self._scan),
                ("decode", self._decode),
                ("inspect", self._inspect),
                ("tell", self._tell),
                ("upkeep", self._upkeep),
            )
        ]
        self._publisher = Publisher(
            settings.mqtt,
            settings.topic_prefix,
            journal,
            device=settings.device,
            status=self._status,
            health=self._health,
            on_command=self._command,
            being_drawn=self._being_drawn.__contains__,
        )

    def start(self) -> None:
        """Take up what an earlier life left and start every thread; `ready` once the models are loaded."""
        log.info("sem-corrosion-edge %s watches %s, state in %s", __version__, self._folder, self._journal.folder)
        if self._journal.renewed:
            log.warning("the journal was restored from a copy: a new epoch %s begins", self._journal.epoch)
        for entry in self._journal.recover():
            log.warning("%s was begun and not finished: it is inspected last, in a process of its own", shown(entry.path))
        self._being_drawn.update(one.picture for one in self._journal.undrawn())
        self._publisher.start()
        for thread in self._threads:
            thread.start()

    @property
    def ready(self) -> bool:
        """Whether the models are loaded."""
        return self._ready.is_set()

    def stop(self) -> bool:
        """End within `STOP_S`, with nothing lost; True when every thread has ended."""
        deadline = time.monotonic() + STOP_S
        self._stopping.set()
        for event in (self._new_work, self._look):
            event.set()
        for thread in self._threads:
            thread.join(max(0.0, deadline - (STOP_S - FINISH_S) - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        for path in tuple(self._running):
            try:
                self._journal.release(path)
            except (StateError, ValueError, KeyError) as error:
                log.debug("%s is not given back: %s", shown(path), error)
        return self._publisher.stop(max(0.5, deadline - time.monotonic())) and ended

    def alive(self) -> bool:
        """Whether every thread is there and has moved lately; a folder that hangs is said, and no reason to restart."""
        now = time.monotonic()
        silent = now - self._beats["scan"] > self._settings.watch.rescan_s + SILENT_S
        hangs = f"the watched folder {self._folder} does not answer: does the share behind it hang?"
        self._doubt("silence", hangs if silent else None)
        moved = min(self._beats[name] for name in ("decode", "inspect", "tell"))
        return self.failure is None and self._publisher.alive and now - moved < STUCK_S

    # The threads

    def _guarded(self, name: str, loop: Callable[[], None]) -> None:
        """Run one thread's loop; whatever escapes it ends the process, seen and logged."""
        try:
            loop()
        except EdgeError as error:
            if self._stopping.is_set():  # The journal was closed under a thread that took too long.
                log.debug("%s: %s", name, error)
                return
            self.failure = error
            log.error("%s: %s", name, error)
        except Exception as error:  # a defect of ours must not leave a half-dead daemon behind
            self.failure = error
            log.exception("the %s thread failed", name)

    def _scan(self) -> None:
        settings = self._settings.watch
        known = {path: entry.fingerprint for path, entry in self._journal.entries().items()}
        settler = watch.Settler(settings.settle_s, known.get)
        denied: set[str] = set()
        first = self._journal.first_start
        backlog: set[str] = set()
        next_full = 0.0
        with watch.FolderEvents(self._folder, self._look, recursive=settings.recursive, mode=settings.events) as events:
            while not self._stopping.is_set():
                self._beat("scan")
                told = self._look.is_set()
                self._look.clear()
                closed = events.take()
                now = time.monotonic()
                due = settler.due(now)
                # An event without an image's name (a folder came, a sidecar came, a command) asks for a look at everything.
                full = now >= next_full or (told and not any(watch.is_image(path, settings.patterns) for path in closed))
                try:
                    events.check()
                    only = None if full else due | set(closed)
                    found = watch.scan(self._folder, settings.patterns, settings.recursive, only=only, denied=denied)
                    sightings = list(found)
                    looked_s = time.monotonic() - now
                    if first:
                        backlog = self._first_look(sightings, known)
                        first = False
                    look = settler.observe(sightings, now, closed, partial=not full)
                    self._admit_finished(settler, look.ready, known, backlog)
                except (watch.FolderGone, StateFullError) as error:
                    self._doubt("scan", str(error))
                    next_full = 0.0
                    self._look.wait(min(settings.rescan_s, RETRY_S))
                    continue
                self._doubt("scan", None)
                now = time.monotonic()
                if full:
                    next_full = now + max(settings.rescan_s, min(looked_s / LOOKING_SHARE, SILENT_S / 2))
                next_due = settler.next_moment()
                self._look.wait(max(0.0, min(next_full, next_full if next_due is None else next_due) - now))

    def _admit_finished(
        self, settler: watch.Settler, ready: Sequence[watch.Sighting], known: dict[str, Fingerprint], backlog: set[str]
    ) -> None:
        """Admit what is not worth waiting for; the first ones while the last of many are still being looked at."""
        finished: list[watch.Sighting] = []
        next_admission = time.monotonic() + ADMIT_S
        for sighting in ready:
            if self._stopping.is_set():
                return
            self._beat("scan")
            if not self._awaits_more(settler, sighting, sighting.path in backlog):
                finished.append(sighting)
            if time.monotonic() >= next_admission:
                self._admit(finished, known, backlog)
                finished = []
                next_admission = time.monotonic() + ADMIT_S
        self._admit(finished, known, backlog)

    def _awaits_more(self, settler: watch.Settler, sighting: watch.Sighting, backlog: bool) -> bool:
        """Whether a quiet file is worth waiting for: it is not whole, may still be filled, or may get a sidecar.

        Only its structure is looked at, no pixel is decoded. Each wait happens once for each content.
        """
        settings = self._settings.watch
        longest_s = max(settings.incomplete_s, settings.sidecar_wait_s)
        if sighting.kind != "file" or (backlog and time.time() - sighting.mtime_ns / 1e9 > longest_s):
            return False
        path = self._folder / sighting.path
        try:
            file = read_file(path, limits_of(self._settings).max_bytes, within=self._folder)
        except (ImageError, MemoryError):
            return False  # The decode thread meets it again, where it is counted, and says so.
        whole = sem.completeness(file.data)
        waits: list[tuple[watch.Wait, float]] = []
        if whole.state is sem.State.INCOMPLETE:
            waits.append(("incomplete", settings.incomplete_s))
        elif whole.state is sem.State.ZERO_TAIL:
            waits.append(("zero_tail", min(settings.incomplete_s, ZERO_TAIL_S)))
        if not file.sidecars and settings.sidecar_wait_s and sem.needs_sidecar(file.data, path.name):
            waits.append(("sidecar", settings.sidecar_wait_s))
        for reason, for_s in waits:
            if reason not in sighting.waited and for_s > 0:
                log.debug("%s: %s: waiting for up to %g s", shown(sighting.path), whole.reason or reason, for_s)
                settler.defer(sighting.path, sighting.fingerprint, reason, for_s)
                return True
        return False

    def _admit(self, finished: Sequence[watch.Sighting], known: dict[str, Fingerprint], backlog: set[str]) -> None:
        """Enter finished files into the ledger; new ones before those that were there at the first start."""
        now = time.monotonic()
        for old in (False, True):
            batch = [(one.path, one.fingerprint) for one in finished if (one.path in backlog) == old]
            if not batch:
                continue
            self._settled_at.update({path: now for path, _ in batch})
            self._journal.admit_many(batch, backlog=old)
            known.update(batch)
            self._new_work.set()

    def _first_look(self, sightings: Sequence[watch.Sighting], known: dict[str, Fingerprint]) -> set[str]:
        """What lay in the folder before the first start: ignored, or inspected after everything new."""
        if self._settings.watch.existing == "ignore":
            there = {sighting.path: sighting.fingerprint for sighting in sightings}
            self._journal.admit_many(there.items(), ignore=True)
            known.update(there)
            log.info("%d files that are there already are ignored, as watch.existing says", len(there))
            return set()
        self._journal.admit_many([])
        return {sighting.path for sighting in sightings}

    def _decode(self) -> None:
        while not self._stopping.is_set():
            self._beat("decode")
            self._new_work.clear()
            try:
                entry = self._next_entry()
            except StateFullError as error:
                self._doubt("decode", str(error))
                self._stopping.wait(RETRY_S)
                continue
            if entry is None:
                self._new_work.wait(1.0)
                continue
            self._hand_over("decode", self._decoded, self._read(entry), self._stopping.is_set)

    def _next_entry(self) -> Entry | None:
        """The ledger's next image, its attempt counted; None when there is nothing to do or nothing may be begun."""
        if self._paused.is_set() or "state" in self._reasons or not self._ready.is_set():
            return None
        free = shutil.disk_usage(self._journal.folder).free
        if free < LEAST_FREE_BYTES:
            wanted = LEAST_FREE_BYTES >> 20
            self._doubt("decode", f"less than {wanted} MiB are free where the state lies: images wait until there is room")
            return None
        entry = None
        for first in self._journal.waiting(limit=1):
            self._running.add(first.path)
            entry = self._journal.begin(first.path)
        self._doubt("decode", None)
        return entry

    def _read(self, entry: Entry) -> Decoded:
        """Read and decode one image."""
        path = self._folder / entry.path
        settled_at = self._settled_at.pop(entry.path, time.monotonic())
        source = Source(wire.display_path(path.name), wire.display_path(entry.path), None, entry.revision, entry.run)
        started = time.perf_counter()
        waited = Timing(wait=(time.monotonic() - settled_at) * 1e3)
        outcome: tuple[Micrograph, ...] | ImageError | None
        if entry.attempts > 1:
            return Decoded(entry, source, None, waited, settled_at)
        try:
            limits = limits_of(self._settings)
            file = self._read_quiet(path, limits.max_bytes)
            source = replace(source, sha256=file.sha256)
            read = time.perf_counter()
            waited = replace(waited, read=(read - started) * 1e3)
            outcome = sem.read(file.data, source.name, file.sidecars, limits, self._settings.inspect.pixel_size_nm)
            waited = replace(waited, decode=(time.perf_counter() - read) * 1e3)
        except ImageError as error:
            outcome = error
        except Exception as error:  # a defect in a reader must cost this image alone
            log.exception("%s: reading it failed", shown(entry.path))
            outcome = ImageError("internal", f"reading it failed: {error!r}")
        return Decoded(entry, source, outcome, waited, settled_at)

    def _read_quiet(self, path: Path, max_bytes: int) -> FileBytes:
        """The file's bytes, read again a few times while it changes. Raises ImageError."""
        for _ in range(READS - 1):
            try:
                return read_file(path, max_bytes, within=self._folder)
            except ImageError as error:
                if error.code != "still_changing":
                    raise
            self._stopping.wait(self._settings.watch.settle_s)
        return read_file(path, max_bytes, within=self._folder)

    def _hand_over(self, thread: str, to: queue.Queue[T], item: T, given_up: Callable[[], bool]) -> None:
        while not given_up():
            try:
                to.put(item, timeout=0.2)
                return
            except queue.Full:
                self._beat(thread)

    def _inspect(self) -> None:
        try:
            self._inspect_until_stopped()
        finally:
            self._inspected.set()

    def _inspect_until_stopped(self) -> None:
        with self._working_pipeline() as pipeline:
            self._ready.set()
            self._doubt("start", None)
            self._draw_what_is_missing(pipeline)
            self._new_work.set()
            while not self._stopping.is_set():
                self._beat("inspect")
                try:
                    decoded = self._decoded.get(timeout=0.2)
                except queue.Empty:
                    continue
                judged = self._judge(pipeline, decoded)
                if judged is not None:
                    self._hand_over("inspect", self._judged, judged, lambda: self.failure is not None)

    def _working_pipeline(self) -> Pipeline:
        """The pipeline in the precision that passed its gate, or in float32 where that no longer runs. Raises BackendError."""
        precision, why = parity.gated_precision(self._settings, self._journal.folder)
        try:
            pipeline = self._tried_pipeline(precision)
        except BackendError as error:
            if precision == "float32":
                raise
            log.warning("%s does not run, so float32 does: %s", precision, error)
            pipeline, why = self._tried_pipeline("float32"), f"{precision} did not run"
        models = pipeline.models
        self._runs_on = (models.backend, models.precision)
        log.info("models run on %s in %s: %s", models.backend, models.precision, why)
        return pipeline

    def _tried_pipeline(self, precision: str) -> Pipeline:
        """One that has inspected a blank image and a shipped one: a library that loads but cannot run must end the service
        before any image is blamed for it, and what is compiled at its first use should not make the first image wait."""
        pipeline = Pipeline(self._settings, precision=precision)
        try:
            for tried in (BLANK, *sample_micrographs(1)):
                pipeline.inspect(tried, Source("sample", "sample", None))
        except BaseException:
            pipeline.close()
            raise
        return pipeline

    def _judge(self, pipeline: Pipeline, decoded: Decoded) -> Judged | None:
        """Inspect one image; None when that was stopped or has to be tried again."""
        entry, source = decoded.entry, decoded.source
        outcome: list[Inspection] | ImageError | None
        if decoded.outcome is None:
            outcome, source = self._judge_suspect(entry, source)
        elif isinstance(decoded.outcome, ImageError):
            outcome = decoded.outcome
        else:
            outcome = self._run_pipeline(pipeline, decoded.outcome, source, decoded.spent)
        return None if outcome is None else Judged(entry, source, outcome, decoded.settled_at)

    def _judge_suspect(self, entry: Entry, source: Source) -> tuple[list[Inspection] | ImageError | None, Source]:
        child = isolated.inspect_in_child(self._settings, self._folder / entry.path, source)
        if isinstance(child, isolated.Refused):
            return child.error, replace(source, sha256=child.sha256)
        if not isinstance(child, isolated.Died):
            return child, source
        deaths = entry.deaths + 1
        log.warning("%s: inspecting it killed the process (%s)", shown(entry.path), child.how)
        if deaths >= DEATHS:
            return ImageError("crashed", f"inspecting it killed the process {deaths} times ({child.how})"), source
        self._stored("inspect", lambda: self._journal.died(entry.path))
        self._running.discard(entry.path)
        self._new_work.set()
        return None, source

    def _run_pipeline(
        self, pipeline: Pipeline, pages: tuple[Micrograph, ...], source: Source, spent: Timing
    ) -> list[Inspection] | ImageError | None:
        each = spent.shared_by(len(pages))
        inspections = []
        try:
            for page in pages:
                if self._stopping.is_set():
                    return None
                self._beat("inspect")
                inspections.append(pipeline.inspect(page, source, spent=each))
        except BackendError:
            raise  # the network itself is broken: the process starts anew
        except Exception as error:  # a defect of ours must cost this image alone
            log.exception("%s: inspecting it failed", shown(source.path))
            return ImageError("internal", f"inspecting it failed: {error!r}")
        return inspections

    def _tell(self) -> None:
        """Beside the next image's networks: encoding, the disk and drawing take as long as they do."""
        while True:
            self._beat("tell")
            try:
                judged = self._judged.get(timeout=0.2)
            except queue.Empty:
                if self._inspected.is_set():
                    return
                continue
            self._conclude(judged.entry, judged.source, judged.outcome)
            self._latencies.add((time.monotonic() - judged.settled_at) * 1e3)

    def _conclude(self, entry: Entry, source: Source, outcome: list[Inspection] | ImageError) -> None:
        """Store the verdict with its messages; then draw its pictures, which nobody who waits for the verdict waits for."""
        inspections = outcome if self._settings.mqtt.overlay and not isinstance(outcome, ImageError) else []
        pictures = {self._picture_name(entry, inspection): inspection for inspection in inspections}
        self._being_drawn.update(pictures)
        try:
            seqs = self._stored("tell", lambda: self._journal.conclude(entry.path, self._verdicts(entry, source, outcome)))
        except StateError:
            raise
        except Exception as error:  # a defect in encoding must cost this image alone
            if isinstance(outcome, ImageError):
                raise
            log.exception("%s: its verdict cannot be told", shown(entry.path))
            self._being_drawn.difference_update(pictures)
            self._conclude(entry, source, ImageError("internal", f"its verdict cannot be told: {error!r}"))
            return
        if seqs is None:
            return
        self._running.discard(entry.path)
        self._publisher.wake()
        self._say(entry, outcome, seqs[0])
        for name, inspection in pictures.items():
            self._draw("tell", name, inspection)

    def _stored(self, thread: str, write: Callable[[], T]) -> T | None:
        """The result of `write`, tried until there is room on the disk; None when the daemon stops before."""
        while True:
            try:
                result = write()
            except StateFullError as error:
                self._doubt(thread, str(error))
                self._beat(thread)
                if self._stopping.wait(RETRY_S):
                    return None
            else:
                self._doubt(thread, None)
                return result

    def _say(self, entry: Entry, outcome: list[Inspection] | ImageError, seq: int) -> None:
        """One line of the log for each verdict."""
        if isinstance(outcome, ImageError):
            log.warning("%s: %s: %s (seq %d)", shown(entry.path), outcome.code, outcome.message, seq)
            return
        for number, inspection in enumerate(outcome, seq):
            severity = f"{inspection.severity.label} {inspection.severity.confidence:.0%}, " if inspection.severity else ""
            found = f"{len(inspection.regions)} regions, {inspection.measures.area_fraction:.2%} of the area"
            log.info("%s: %s%s in %.0f ms (seq %d)", shown(entry.path), severity, found, inspection.timing.total, number)

    def _upkeep(self) -> None:
        """Forget what may be forgotten; while the state folder is full and nothing may go, nothing new is begun."""
        while not self._stopping.is_set():
            self._doubt("state", self._forget_old())
            self._stopping.wait(FULL_UPKEEP_S if "state" in self._reasons else UPKEEP_S)

    def _forget_old(self) -> str | None:
        """Why there is no room for anything new, None when there is."""
        keep = self._settings.state
        try:
            report = self._journal.prune(keep.keep_days, int(keep.max_gib * 2**30), time.time())
        except StateError as error:
            return str(error)
        self._state_bytes = report.used_bytes
        if report.pictures or report.messages:
            log.info("forgot %d old messages and %d pictures", report.messages, report.pictures)
        if not report.full:
            return None
        return f"{report.used_bytes / 2**30:.1f} GiB of unsent messages fill state.max_gib: is the broker reachable?"

    # Verdicts

    def _verdicts(
        self, entry: Entry, source: Source, outcome: list[Inspection] | ImageError
    ) -> Callable[[int], Sequence[Verdict]]:
        """What the journal calls with the first free seq; pictures are on the disk before."""
        if isinstance(outcome, ImageError):
            failure = Failure(source, outcome.code, outcome.message, datetime.now(timezone.utc))
            return lambda seq: [self._failure_verdict(failure, entry, seq)]
        return lambda first: [self._inspection_verdict(inspection, entry, seq) for seq, inspection in enumerate(outcome, first)]

    def _id(self, entry: Entry, kind: Literal["inspection", "failure"], page: int = 0) -> str:
        return wire.verdict_id(self._journal.epoch, entry.path, entry.revision, entry.run, page=page, kind=kind)

    def _picture_name(self, entry: Entry, inspection: Inspection) -> str:
        return f"{self._id(entry, 'inspection', inspection.micrograph.page)}.webp"

    def _draw(self, thread: str, name: str, inspection: Inspection) -> None:
        """Store one picture; without it its overlay is not sent."""
        try:
            picture = overlay.encode(overlay.draw(inspection), "webp")
            self._stored(thread, lambda: self._journal.write_picture(name, picture))
        except StateError:
            raise
        except Exception:  # a defect in drawing must cost this picture alone
            log.exception("%s: its picture cannot be drawn", shown(inspection.source.path))
        finally:
            self._being_drawn.discard(name)
            self._publisher.wake()

    def _draw_what_is_missing(self, pipeline: Pipeline) -> None:
        """Inspect anew what was told before the process ended, but not drawn; only the pictures are kept."""
        for undrawn in self._journal.undrawn():
            if self._stopping.is_set():
                return
            self._beat("inspect")
            try:
                inspection = self._inspected_again(pipeline, undrawn)
            except BackendError:
                raise
            except Exception as error:  # the image is gone or another one; or a defect of ours, which costs this picture alone
                log.warning("%s: its picture cannot be drawn any more: %s", shown(undrawn.path), error)
                self._being_drawn.discard(undrawn.picture)
            else:
                self._draw("inspect", undrawn.picture, inspection)

    def _inspected_again(self, pipeline: Pipeline, undrawn: Undrawn) -> Inspection:
        """Raises ImageError when the image is not what it was, or when drawing it has ended the process before."""
        if undrawn.tries >= DEATHS:
            raise ImageError("crashed", f"drawing it killed the process {undrawn.tries} times")
        self._journal.tried([undrawn.id])
        told = json.loads(undrawn.verdict)["image"]
        path, limits = self._folder / undrawn.path, limits_of(self._settings)
        file = read_file(path, limits.max_bytes, within=self._folder)
        if file.sha256 != told["sha256"]:
            raise ImageError("unreadable", "the file is another one now")
        source = Source(wire.display_path(path.name), wire.display_path(undrawn.path), file.sha256)
        for page in sem.read(file.data, source.name, file.sidecars, limits, self._settings.inspect.pixel_size_nm):
            if page.page == told["page"]:
                return pipeline.inspect(page, source)
        raise ImageError("unreadable", "the page is gone")

    def _inspection_verdict(self, inspection: Inspection, entry: Entry, seq: int) -> Verdict:
        identity = self._id(entry, "inspection", inspection.micrograph.page)
        about: dict[str, Any] = {
            "inspection_id": identity,
            "epoch": self._journal.epoch,
            "seq": seq,
            "device": self._settings.device,
        }
        messages = [
            Message("verdict", "inspection", wire.encode_inspection(inspection, **about)),
            Message("summary", "summary", wire.summary(inspection, **about)),
        ]
        if self._settings.mqtt.overlay:
            messages.append(Message("overlay", f"overlay/{identity}", None, self._picture_name(entry, inspection)))
        return Verdict(identity, "inspection", tuple(messages))

    def _failure_verdict(self, failure: Failure, entry: Entry, seq: int) -> Verdict:
        identity = self._id(entry, "failure")
        payload = wire.encode_failure(
            failure, failure_id=identity, epoch=self._journal.epoch, seq=seq, device=self._settings.device
        )
        return Verdict(identity, "failure", (Message("verdict", "failure", payload),))

    # What the publisher asks for, in its thread

    def _status(self) -> StatusText:
        reasons = tuple(dict.fromkeys(self._reasons.values())) + (("paused: by command",) if self._paused.is_set() else ())
        counts = self._journal.info()
        return StatusText("degraded" if reasons else "online", reasons, counts["last_seq"], counts["dead_letters"])

    def _health(self) -> bytes:
        return wire.health(
            uptime_s=time.monotonic() - self._started_at,
            queue=health.queue(self._journal, time.time()),
            memory=health.memory(),
            disk=health.disk(self._journal.folder, self._state_bytes),
            gpu=None,
            latency_ms=self._latencies.figures(),
            clock_synced=health.clock_synced(),
            versions=health.versions(*self._runs_on),
            device=self._settings.device,
            at=datetime.now(timezone.utc),
        )

    def _command(self, name: str, fields: dict[str, Any]) -> Mapping[str, Any] | None:
        """Carry out one command of the contract; its fields are checked already. Raises ValueError with the reason."""
        if name == "replay":
            return {"messages": self._journal.replay(str(fields["epoch"]), fields["first"], fields["last"])}
        if name == "inspect":
            entry = self._journal.again(str(fields["inspection_id"]))
            if entry is None:
                raise ValueError("no inspection with this id is known here")
            self._new_work.set()
            return {"path": wire.display_path(entry.path), "revision": entry.revision, "run": entry.run}
        if name in ("pause", "resume"):
            (self._paused.set if name == "pause" else self._paused.clear)()
            log.info("%sd by command", name)
            self._new_work.set()
            self._publisher.refresh_status()
            return {"paused": self._paused.is_set()}
        if name == "rescan":
            self._look.set()
            return {}
        return self._info()

    def _info(self) -> dict[str, Any]:
        backend, precision = self._runs_on
        return {
            "version": __version__,
            "backend": backend,
            "precision": precision,
            "epoch": self._journal.epoch,
            "settings_sha256": self._settings.inspection_sha256(),
            **{key: value for key, value in self._journal.info().items() if key != "epoch"},
        }

    def _beat(self, name: str) -> None:
        self._beats[name] = time.monotonic()

    def _doubt(self, key: str, text: str | None) -> None:
        """Note a reason why the state is degraded, or that it is gone. Each key belongs to one thread."""
        if self._reasons.get(key) == text:
            return
        if text is None:
            log.info("over: %s", self._reasons.pop(key))
        else:
            log.warning("%s", text)
            self._reasons[key] = text
        self._publisher.refresh_status()


def shown(path: str) -> str:
    """A path on one line of the log."""
    return wire.display_path(path).encode("unicode_escape").decode() if not path.isprintable() else path
