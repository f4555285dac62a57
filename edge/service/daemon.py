"""Settings in, a running service out: the one place that wires folder, journal, pipeline and broker together.

    thread      does                                                                      waits for
    ----------  ------------------------------------------------------------------------  ---------------------------
    main        signals, systemd's watchdog, whether the others still move                a signal
    scanner     folder → the journal's ledger, once a file is finished                    an event, the next look
    decoder     the ledger's next image → pixels, at most two images ahead                new work
    inspector   pixels → inspections; owns the models                                     a decoded image
    suspects    images that were begun and not finished → a child process → inspections   such an image
    recorder    inspections → verdicts and messages, in one transaction; then → pictures  an inspected image
    publisher   the journal's outbox → the broker (`edge.mqtt.publisher`)                 new messages
    publisher … the same for each further channel, on a connection of its own             new messages
    delivery …  a sink's rows of the outbox → a folder, a web server                      new rows
    upkeep      forgets what is older than the configuration wants                        its next turn
    fleet       announced models → fetched, checked, tried: a candidate                   an announcement, its next try
    attendant   requests that people left → work; is the microscope silent; problems.json its next turn
    page        keeps the live page's process running, where one is wanted                its next look
    metrics     serves Prometheus, where that is wanted                                   the end
    opcua       serves OPC UA's clients, where that is wanted                             its next look
    shadow      images that have their verdict → a candidate release's process → rows kept    such an image
    gate        has a lower precision compared with float32, once, in a child process     that child

Each thread is a class in a module of its name. Threads meet in what `edge.service.shared` lists, and nowhere else: above
all in the journal and in bounded queues, so that a kill at any moment leaves nothing but rows to take up again.
What can break for good (a network, our own defects in a loop) ends the process; systemd starts it anew.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.config import Settings
from edge.errors import ConfigError, EdgeError, ModelError, StateError, in_words
from edge.journal import Journal
from edge.mqtt.channel_publisher import ChannelPublisher
from edge.mqtt.publisher import Publisher
from edge.service import pulse, sinks, systemd
from edge.service.attendant import Attendant
from edge.service.commands import Commands
from edge.service.decoder import Decoder
from edge.service.fleet import Fleet
from edge.service.inspector import Inspector
from edge.service.page import PageKeeper
from edge.service.recorder import Recorder
from edge.service.reports import Reports
from edge.service.scanner import SILENT_S, Scanner
from edge.service.shadow import Shadow
from edge.service.shared import Shared
from edge.service.suspects import Suspects
from edge.service.upkeep import Upkeep
from edge.service.worker import Worker, printable
from edge.sinks.delivery import Delivery
from edge.sinks.sink import Sink
from edge.wire.channel import Channel
from edge.wire.table import CHANNELS

if TYPE_CHECKING:
    from edge.service.metrics import Metrics
    from edge.service.opcua import OpcUa

log = logging.getLogger(__name__)

STOP_S: Final = 4.0
"""systemd and people expect an answer within 5 s."""
FINISH_S: Final = 2.5
"""Of those, what an inspection under way may take to end; then it is given back to the ledger."""
STUCK_S: Final = 900.0
"""A thread that shows no sign of life for so long is dead: the watchdog is no longer fed."""
MORE_TIME: Final = "EXTEND_TIMEOUT_USEC=120000000"
"""Two minutes more to start, said again and again while a large journal becomes one of this version."""
BROKEN: Final = 70
"""Exit status (sysexits.h, EX_SOFTWARE) for what a restart may mend."""


def run(settings: Settings) -> int:
    """Run until a signal comes; 0 after a clean stop, `BROKEN` after a failure that a restart may mend.

    Raises ConfigError or ModelError when the models cannot be used, StateError when the state folder cannot.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    os.umask(0o077)  # whatever the one was that it was started with, and for files of libraries, too
    with Journal.open(settings.state.folder, alive=lambda: systemd.notify(MORE_TIME)) as journal:
        daemon = Daemon(settings, journal)
        daemon.start()
        feed_s = min((systemd.watchdog_s() or 60.0) / 3, 1.0)
        ready = False
        while daemon.failure is None and not stop.wait(feed_s if ready else 0.05):
            if daemon.ready and not ready:
                systemd.notify("READY=1", f"STATUS=watching {settings.watch.folder}")
                ready = True
            if ready and daemon.alive():
                systemd.notify("WATCHDOG=1")
                pulse.beat()
        systemd.notify("STOPPING=1")
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
    """The threads, their start and their end. Used by the main thread alone."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        """Wire everything; nothing runs before `start`."""
        self._settings = settings
        self._journal = journal
        self._shared = shared = Shared(wake_publishers=self._wake_publishers, status_changed=self._refresh_status)
        reports = Reports(settings, journal, shared)
        commands = Commands(settings, journal, shared)
        self._publisher = open_publisher(settings, journal, shared, reports, commands)
        further, broken = open_channels(settings, journal, shared) if self._publisher else ([], [])
        self._deliveries = sinks.open_sinks(settings, journal, shared)
        self._publishers: tuple[Publisher | ChannelPublisher | Delivery, ...] = (
            *((self._publisher,) if self._publisher else ()),
            *(publisher for _, publisher in further),
            *(delivery for _, delivery in self._deliveries),
        )
        channels: tuple[Channel | Sink, ...] = (
            *(channel for channel, _ in further),
            *(sink for sink, _ in self._deliveries),
        )
        self._channels = frozenset((*(channel.name for channel in channels), *broken))
        metrics, opcua = open_metrics(settings, journal, shared, self._reached), open_opcua(settings, journal, shared)
        hears = (*((metrics.counted,) if metrics else ()), *((opcua.told,) if opcua else ()))
        told = (*channels, *((opcua.told,) if opcua else ()))
        workers: tuple[Worker, ...] = (
            Scanner(settings, journal, shared),
            Decoder(settings, journal, shared),
            Inspector(settings, journal, shared),
            Suspects(settings, journal, shared),
            Recorder(settings, journal, shared, told, [one.stored for one in hears]),
            Upkeep(settings, journal, shared),
            Attendant(settings, journal, shared, commands, self._reached),
            *((Fleet(settings, journal, shared),) if settings.fleet.source else ()),
            *((Shadow(settings, journal, shared),) if settings.fleet.source and settings.fleet.shadow else ()),
            *((PageKeeper(settings, journal, shared),) if settings.web.listen else ()),
            *((metrics,) if metrics else ()),
            *((opcua,) if opcua else ()),
        )
        self._threads = [
            threading.Thread(target=run_guarded, args=(worker,), name=worker.name, daemon=True) for worker in workers
        ]

    def start(self) -> None:
        """Take up what an earlier life left and start every thread; `ready` once the models are loaded."""
        log.info(
            "sem-corrosion-edge %s watches %s, state in %s", __version__, self._settings.watch.folder, self._journal.folder
        )
        if self._journal.renewed:
            log.warning("the journal was restored from a copy: a new epoch %s begins", self._journal.epoch)
        for entry in self._journal.ledger.recover():
            log.warning(
                "%s was begun and not finished: it is inspected after all that is new, in a process of its own",
                printable(entry.path),
            )
        if forgotten := self._journal.outbox.forget_channels(self._channels):
            log.warning("%d messages wait for channels that the settings no longer want: they are dropped", forgotten)
        if self._publisher is None and (settled := self._journal.outbox.settle()):
            log.warning("mqtt.host is empty: %d messages that waited for a broker are kept for a replay and not sent", settled)
        self._shared.being_drawn.add(one.picture for one in self._journal.pictures.undrawn())
        for publisher in self._publishers:
            publisher.start()
        for thread in self._threads:
            thread.start()

    @property
    def ready(self) -> bool:
        """Whether the models are loaded."""
        return self._shared.models_loaded.is_set()

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread, None while all is well."""
        return self._shared.failure

    def stop(self) -> bool:
        """End within `STOP_S`, with nothing lost; True when every thread has ended.

        What was begun is given back, but for after a failure: then the next life takes it for suspects.
        """
        shared = self._shared
        deadline = time.monotonic() + STOP_S
        shared.stopping.set()
        for event in (shared.new_work, shared.scan_now):
            event.set()
        for thread in self._threads:
            thread.join(max(0.0, deadline - (STOP_S - FINISH_S) - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        # After a failure the attempts count: any of these may have caused it, and would at once cause it again.
        for path in shared.begun.all() if self.failure is None else ():
            try:
                self._journal.ledger.release(path)
            except (StateError, ValueError, KeyError) as error:
                log.debug("%s is not given back: %s", printable(path), error)
        for publisher in self._publishers:
            publisher.begin_stop(max(0.5, deadline - time.monotonic()))
        stopped = [publisher.stopped() for publisher in self._publishers]  # a list: each is waited for
        return all(stopped) and ended

    def alive(self) -> bool:
        """Whether every thread is there and has moved lately; a folder that hangs is reported, and no reason to restart.

        A state folder that is no longer this daemon's ends it.
        """
        try:
            self._journal.keep_lock()
        except StateError as error:
            log.error("%s", error)
            self._shared.fail(error)
        status, watch = self._shared.status, self._settings.watch
        silent = status.silent_s("scanner") > watch.rescan_s + SILENT_S
        hangs = f"the watched folder {watch.folder} does not answer: does the share behind it hang?"
        status.report("silence", hangs if silent else None)
        self._shared.tell_folder("silence", hangs if silent else None)
        sinks.report_hanging(self._deliveries, status)
        moved = status.silent_s("decoder", "inspector", "recorder") < STUCK_S
        return self.failure is None and all(publisher.alive for publisher in self._publishers) and moved

    def _wake_publishers(self) -> None:
        for publisher in self._publishers:
            publisher.wake()

    def _refresh_status(self) -> None:
        if self._publisher is not None:
            self._publisher.refresh_status()

    def _reached(self) -> bool:
        """Whether the broker is reached; true where there is none to reach."""
        return self._publisher is None or self._publisher.connected


def open_publisher(
    settings: Settings, journal: Journal, shared: Shared, reports: Reports, commands: Commands
) -> Publisher | None:
    """The contract's own connection, None where there is no broker."""
    if not settings.mqtt.host:
        return None
    return Publisher(
        settings.mqtt,
        settings.topic_prefix,
        journal,
        device=settings.device,
        status=reports.status,
        health=reports.health,
        on_command=commands.carry_out,
        being_drawn=shared.being_drawn.__contains__,
        on_trouble=lambda name, problem: shared.status.report(f"mqtt {name}", problem),
        release_topic=settings.fleet.topic if settings.fleet.source else "",
        on_release=shared.releases.put,
    )


def open_channels(
    settings: Settings, journal: Journal, shared: Shared
) -> tuple[list[tuple[Channel, ChannelPublisher]], list[str]]:
    """The channels that the settings want, each with its publisher, and the names of those that cannot be opened.

    Those are logged and in the status. Nothing is said on them in this life of the daemon; what waits for them is kept.
    Raises ConfigError where one lacks a library that its extra brings.
    """
    newest = journal.outbox.summary()
    opened: list[tuple[Channel, ChannelPublisher]] = []
    broken: list[str] = []
    for row in CHANNELS:
        report = partial(shared.status.report, f"channel {row.name}")
        try:
            if not row.wanted(settings):
                continue
            channel = row.open(settings)
            if channel.name != row.name:  # what waits in the journal has the channel's name, the table the row's
                raise ValueError(f"its row opens a channel named {channel.name!r}")
            if newest is not None:
                channel.recall(newest.payload)
            publisher = ChannelPublisher(
                settings.mqtt,
                channel,
                journal.outbox,
                epoch=journal.epoch,
                on_trouble=report,
                device=lambda: shared.folder_problem,
            )
        except ConfigError:
            raise
        except Exception as error:  # a defect in one wire format must stop neither inspecting nor the others
            log.exception("channel %s cannot be opened", row.name)
            report(f"channel {row.name} cannot be opened: {in_words(error)}")
            broken.append(row.name)
        else:
            opened.append((channel, publisher))
    return opened, broken


def open_metrics(settings: Settings, journal: Journal, shared: Shared, connected: Callable[[], bool]) -> Metrics | None:
    """What serves Prometheus, None where nobody wants it. Raises ConfigError without its library."""
    if not settings.metrics.prometheus:
        return None
    try:
        from edge.service.metrics import Metrics
    except ModuleNotFoundError as error:
        raise ConfigError("metrics.prometheus needs the extra metrics: pip install 'sem-corrosion-edge[metrics]'") from error
    return Metrics(settings, journal, shared, connected)


def open_opcua(settings: Settings, journal: Journal, shared: Shared) -> OpcUa | None:
    """What serves OPC UA, None where nobody wants it. Raises ConfigError without its library."""
    if not settings.opcua.listen:
        return None
    try:
        from edge.service.opcua import OpcUa
    except ModuleNotFoundError as error:
        raise ConfigError("opcua.listen needs the extra opcua: pip install 'sem-corrosion-edge[opcua]'") from error
    return OpcUa(settings, journal, shared)


def run_guarded(worker: Worker) -> None:
    """Run one thread's work; whatever escapes it ends the process, seen and logged."""
    try:
        worker.run()
    except EdgeError as error:
        if worker.shared.stopping.is_set():  # The journal was closed under a thread that took too long.
            log.debug("%s: %s", worker.name, error)
            return
        worker.shared.fail(error)
        log.error("%s: %s", worker.name, error)
    except BaseException as error:  # a library's panic or exit too: none may leave a half-dead daemon behind
        worker.shared.fail(error)
        log.exception("the %s thread failed", worker.name)
