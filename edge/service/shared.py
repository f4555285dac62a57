"""What two threads of the service both touch, and what protects it.

    what            written by                        read by                  protected by
    --------------  --------------------------------  -----------------------  ------------------------------------
    the journal     scanner, decoder, inspector,      all                      its own mutex
                    suspects, recorder, upkeep,
                    publisher,
                    attendant
    decoded         decoder                           inspector                a bounded queue
    suspects        decoder                           suspects                 a bounded queue
    inspected       inspector, suspects               recorder                 a bounded queue
    offers          recorder                          shadow                   a lock in `Offers`
    events          see `Shared`                      see `Shared`             `threading.Event`
    status          all                               main, publisher          a lock in `Status`
    begun           decoder, suspects, recorder       main, at the end         a lock in `Names`
    being_drawn     main, inspector, recorder         publisher                a lock in `Names`
    arrivals        scanner, decoder, suspects        decoder                  a lock in `Arrivals`
    suspected       scanner                           decoder                  a lock in `Suspected`
    gone            recorder                          scanner                  a lock in `Names`
    releases        publisher                         fleet                    a lock in `Newest`
    figures         see `Figures`                     publisher                one writer each, which replaces it whole
    in_use          inspector                         suspects, commands,      replaced whole
                                                      attendant
    failure         the thread that fails             main                     replaced whole, before `failed` is set

Everything else belongs to one thread alone.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from edge.config import Settings
from edge.errors import ImageError
from edge.journal import Entry
from edge.records import Fingerprint, Inspection, Micrograph, Source, Timing
from edge.service.health import Latencies
from edge.service.shadow_child import Judged
from edge.wire.documents import AnnouncedFields, ShadowFields

log = logging.getLogger(__name__)

AHEAD: Final = 2
"""Images that are decoded and wait for the networks."""
OFFERED: Final = 4
OFFERED_BYTES: Final = 64 << 20
"""Images, and bytes of their pixels, that wait for a candidate at most; one may always wait."""
WATCHED_THREADS: Final = ("scanner", "decoder", "inspector", "recorder")
"""Threads that must show signs of life."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an image came.

    changed_at: when it was first seen as it is, monotonic seconds: a file that may still grow is waited for from then on.
    closed: its writer was seen to be done.
    old: it had been as it is for longer than anything is waited for when it was first seen.
    refused_at: since when it cannot be read, monotonic seconds, None where it can, or nobody tried.
    """

    changed_at: float
    closed: bool = False
    old: bool = False
    refused_at: float | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image on its way from the decoder to the inspector.

    outcome: its pages, why there are none, or None for a suspect, which is read and inspected in a child.
    content: sha256 of all that was read, None where nothing was.
    """

    entry: Entry
    source: Source
    outcome: tuple[Micrograph, ...] | ImageError | None
    spent: Timing
    arrival: Arrival
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """One image on its way from the inspector to the recorder: an inspection for each page, or why there is none."""

    entry: Entry
    source: Source
    outcome: list[Inspection] | ImageError
    changed_at: float
    content: str | None = None


class Names:
    """A set of names that several threads change, under one lock."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._names: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Add all of `names`."""
        with self._mutex:
            self._names.update(names)

    def discard(self, names: Iterable[str]) -> None:
        """Take `names` away, those that are there."""
        with self._mutex:
            self._names.difference_update(names)

    def __contains__(self, name: object) -> bool:
        with self._mutex:
            return name in self._names

    def all(self) -> tuple[str, ...]:
        """Those that are there now."""
        with self._mutex:
            return tuple(self._names)


class Arrivals:
    """How each image came, until it is begun, and which ones are held, until when. One lock guards both."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._arrivals: dict[str, Arrival] = {}
        self._held: dict[str, float] = {}

    def put(self, arrivals: Mapping[str, Arrival]) -> None:
        """These came, or changed."""
        with self._mutex:
            self._arrivals.update(arrivals)

    def take(self, path: str) -> Arrival:
        """How `path` came; as if now, where that was in an earlier life."""
        with self._mutex:
            self._held.pop(path, None)
            return self._arrivals.pop(path, None) or Arrival(time.monotonic())

    def hold(self, path: str, arrival: Arrival, until: float) -> None:
        """`path`, which came so, is not to be begun before `until`, monotonic seconds, unless it changes."""
        with self._mutex:
            self._arrivals.setdefault(path, arrival)
            self._held[path] = until

    def take_due(self, now: float) -> list[str]:
        """What was held until now."""
        with self._mutex:
            due = [path for path, until in self._held.items() if until <= now]
            for path in due:
                del self._held[path]
            return due

    def next_due(self) -> float | None:
        """When the next one is due, None when nothing is held."""
        with self._mutex:
            return min(self._held.values(), default=None)


class Suspected:
    """Files whose fingerprint is known and whose marks are new: their content is to be compared. One lock guards them."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._files: dict[str, Fingerprint] = {}

    def add(self, path: str, fingerprint: Fingerprint) -> None:
        """`path` is to be compared."""
        with self._mutex:
            self._files[path] = fingerprint

    def take(self) -> tuple[str, Fingerprint] | None:
        """The one that waits longest, None when none does."""
        with self._mutex:
            path = next(iter(self._files), None)
            return None if path is None else (path, self._files.pop(path))


class Newest:
    """The newest announcement, put by the publisher's thread and taken by the fleet's; one lock guards it.

    Only the newest counts: a flood of them costs one look at a time.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._payload: bytes | None = None

    def put(self, payload: bytes) -> None:
        """This was heard last; empty: it was withdrawn."""
        with self._mutex:
            self._payload = payload

    def take(self) -> bytes | None:
        """What was heard since the last look, None for nothing."""
        with self._mutex:
            payload, self._payload = self._payload, None
            return payload

    def __bool__(self) -> bool:
        with self._mutex:
            return self._payload is not None


class Status:
    """Why the service is degraded, and when each thread last moved; one lock guards both.

    changed: called after each change, without the lock; it must not block.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self._mutex = threading.Lock()
        self._problems = {"start": "the models are being loaded"}
        self._moved_at = dict.fromkeys(WATCHED_THREADS, time.monotonic())

    def report(self, key: str, problem: str | None) -> None:
        """Note a reason why the state is degraded, or that it is gone. Each key belongs to one thread."""
        with self._mutex:
            before = self._problems.get(key)
            if before == problem:
                return
            if problem is None:
                del self._problems[key]
            else:
                self._problems[key] = problem
        if problem is None:
            log.info("over: %s", before)
        else:
            log.warning("%s", problem)
        self.changed()

    def problems(self) -> tuple[str, ...]:
        """Each reason once, in the order in which they came up; none when all is well."""
        with self._mutex:
            return tuple(dict.fromkeys(self._problems.values()))

    def beat(self, thread: str) -> None:
        """A sign of life."""
        with self._mutex:
            self._moved_at[thread] = time.monotonic()

    def silent_s(self, *threads: str) -> float:
        """Seconds since the last sign of life of the one of `threads` that is silent longest."""
        with self._mutex:
            return time.monotonic() - min(self._moved_at[thread] for thread in threads)


class Offers:
    """Images that have their verdict and may be shown to a candidate, as many as are wanted. One lock guards them.

    Nobody waits: one that comes while too many wait is counted and forgotten.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[Judged] = deque()
        self._wanted = False
        self._missed = 0
        self._came = threading.Event()

    def want(self, wanted: bool) -> None:
        """Whether there is a candidate; without one nothing is kept."""
        with self._mutex:
            if wanted != self._wanted:
                self._waiting.clear()
                self._missed = 0
                self._wanted = wanted

    def offer(self, judged: Judged) -> None:
        """This one has its verdict."""
        with self._mutex:
            if not self._wanted:
                return
            pixels = sum(one.micrograph.grey.nbytes for one in self._waiting)
            if self._waiting and (len(self._waiting) >= OFFERED or pixels + judged.micrograph.grey.nbytes > OFFERED_BYTES):
                self._missed += 1
                return
            self._waiting.append(judged)
        self._came.set()

    def take(self, within_s: float) -> Judged | None:
        """The one that waits longest; None where none comes within so many seconds."""
        if not self._came.wait(within_s):
            return None
        with self._mutex:
            judged = self._waiting.popleft() if self._waiting else None
            if not self._waiting:
                self._came.clear()
        return judged

    def missed(self) -> int:
        """How many were not kept since this was asked last."""
        with self._mutex:
            missed, self._missed = self._missed, 0
        return missed


class Figures:
    """What threads measure and the publisher's thread sends.

    backend, precision of the models that run: `runs_on`, and the hash of the adaptation: `taught`, set by the inspector.
    state_bytes: what the state folder holds, set by upkeep.
    announced: how far the announced models have come, set by the fleet.
    shadow: how the candidate does beside the present models, None where there is none; set by shadow.
    latencies: added to by the recorder; it has a lock of its own.
    The others are replaced whole by their one writer, so that no reader sees half of one.
    """

    def __init__(self) -> None:
        self.runs_on = ("none", "none")
        self.taught: str | None = None
        self.state_bytes = 0
        self.announced: AnnouncedFields | None = None
        self.shadow: ShadowFields | None = None
        self.latencies = Latencies()


class Shared:
    """Made once by the daemon and handed to every thread.

        event            set by                                    cleared by   waited for or read by
        ---------------  ----------------------------------------  -----------  ---------------------
        stopping         main                                      –            all
        failed           the thread that fails                     –            main, inspector
        models_loaded    inspector                                 –            main, decoder
        new_work         scanner, inspector, commands, main,       decoder      decoder
                         attendant
        scan_now         folder events, commands, main             scanner      scanner
        rescan_wanted    commands                                  scanner      scanner
        paused           commands                                  commands     decoder, publisher
        state_full       upkeep                                    upkeep       decoder
        inspector_ended  inspector                                 –            recorder
        suspect_tried    decoder                                   suspects     decoder
        models_wanted    commands, gate                            inspector    inspector
        shelf_changed    commands, inspector                       fleet        fleet

    failure: what ended a thread, which ends the process.
    in_use: the settings with the models that run, which a release may have brought; None until they are loaded.
    releases: the newest announcement of models.
    wake_publishers: the outbox or a picture is there; may be called from any thread, and does not block.
    """

    def __init__(self, *, wake_publishers: Callable[[], None], status_changed: Callable[[], None]) -> None:
        self.stopping = threading.Event()
        self.failed = threading.Event()
        self.models_loaded = threading.Event()
        self.new_work = threading.Event()
        self.scan_now = threading.Event()
        self.rescan_wanted = threading.Event()
        self.paused = threading.Event()
        self.state_full = threading.Event()
        self.inspector_ended = threading.Event()
        self.suspect_tried = threading.Event()
        self.models_wanted = threading.Event()
        self.shelf_changed = threading.Event()
        self.decoded: queue.Queue[Decoded] = queue.Queue(maxsize=AHEAD)
        self.suspects: queue.Queue[Decoded] = queue.Queue(maxsize=1)
        self.inspected: queue.Queue[Inspected] = queue.Queue(maxsize=1)
        self.offers = Offers()
        self.status = Status(status_changed)
        self.begun = Names()
        self.being_drawn = Names()
        self.arrivals = Arrivals()
        self.suspected = Suspected()
        self.gone = Names()
        self.figures = Figures()
        self.releases = Newest()
        self.in_use: Settings | None = None
        self.failure: BaseException | None = None
        self.wake_publishers = wake_publishers
        self._folder_problems: dict[str, str] = {}

    @property
    def folder_problem(self) -> str | None:
        """Why no images come from the microscope; None while its folder is there and answers."""
        return next(iter(self._folder_problems.copy().values()), None)

    def tell_folder(self, who: str, problem: str | None) -> None:
        """The watched folder is away or does not answer, or is back. who: one thread each."""
        if self._folder_problems.get(who) == problem:
            return
        if problem is None:
            del self._folder_problems[who]
        else:
            self._folder_problems[who] = problem
        self.wake_publishers()

    def fail(self, error: BaseException) -> None:
        """A thread has ended that must not: the process is to end."""
        self.failure = error
        self.failed.set()
