"""Settings and image files in, measured runs of the very pipeline that the daemon runs out.

The scenarios are those of MLPerf Inference, for files instead of tensors:

* single-stream: the next image is read when the last verdict is encoded;
* multi-stream: eight images a query, the next query when the last is done;
* offline: all images at once, so only the throughput counts.

In the last two, images are decoded ahead in a thread of their own, as in the daemon. A query ends when each of its images
has its JSON document and, where the settings want one, its picture.

What a stage costs is measured where it is spent: from `Inspection.timing`, and from the networks, which are watched while
the pipeline runs them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from math import gcd
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.backends import table
from edge.backends.crop import Crop, CroppingNetwork, canvases, submit, submit_on_crops
from edge.backends.masks import MaskingNetwork, Masks
from edge.backends.network import Arrays, Network, Pending
from edge.backends.server import Remote
from edge.commands.bench import energy, environment
from edge.commands.bench.energy import Energy
from edge.commands.bench.environment import Meanwhile
from edge.config import CommandSettings
from edge.folder.file import read_file
from edge.inspection import overlay
from edge.inspection.classify import Classifier
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import encode, source_of
from edge.models.card import load_card
from edge.models.card import resolve as resolve_model
from edge.records import Grey, Inspection, Micrograph, Source, Timing

Scenario = Literal["single-stream", "multi-stream", "offline"]
SCENARIOS: tuple[Scenario, ...] = ("single-stream", "multi-stream", "offline")
IMAGES_A_QUERY: Mapping[Scenario, int] = {"single-stream": 1, "multi-stream": 8, "offline": 1}
METRICS: Mapping[Scenario, str] = {"single-stream": "p90", "multi-stream": "p99", "offline": "throughput"}
"""What MLPerf Inference judges each scenario by."""
AHEAD = 2
"""Images decoded ahead, as many as in the daemon."""
WARM_UP_ROUNDS = 2
"""The first round loads pages and code and compiles for each shape of input; the second meets all that as it will be."""

STAGES = {
    "read": "file and sidecars from disk, SHA-256",
    "decode": "format, metadata, data bar, 8 bits",
    "letterbox": "whole and tiles resized and padded",
    "h2d": "to the GPU",
    "segment": "network of stage 1",
    "masks": "NMS, masks, merging of views",
    "d2h": "from the GPU",
    "measure": "areas, outlines, quality",
    "crops": "field of view resized",
    "classify": "network of stage 2",
    "encode": "JSON document",
    "overlay": "picture drawn and compressed",
    "rest": "what is between the stages",
}
NETWORKS = ("segment", "classify")
TRANSFERS = ("h2d", "d2h")
"""Told apart where a network has `transfers_ms`: milliseconds to and from its device since it was last asked. Else, where there
is a bus to cross, they are part of the networks' times."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ImageTiming:
    """One image's milliseconds. stages: by the names of `STAGES`, None where one was not run.  total: all of them."""

    image: str
    stages: Mapping[str, float | None]
    total: float

    def until_measured(self) -> float:
        """Without the document and the picture."""
        return self.total - (self.stages["encode"] or 0.0) - (self.stages["overlay"] or 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One scenario on one backend.

    queries_ms: float64 [Q], latency of each query; of the offline scenario, the time between two finished images.
    period: after so many queries the same images come again.
    """

    scenario: Scenario
    backend: str
    precision: str
    queries_ms: NDArray[np.float64]
    images_a_query: int
    period: int
    timings: tuple[ImageTiming, ...]
    meanwhile: Meanwhile
    energy: Energy

    @property
    def throughput(self) -> float:
        """Images a second."""
        return len(self.timings) / self.meanwhile.wall_s

    def stage(self, name: str) -> list[float]:
        """Milliseconds of one stage, without images in which it was not run."""
        return [value for timing in self.timings if (value := timing.stages[name]) is not None]

    def shares(self) -> dict[str, float]:
        """Part of all the time that went into each stage that was run."""
        sums = {name: sum(self.stage(name)) for name in STAGES if self.stage(name)}
        total = sum(timing.total for timing in self.timings)
        return {name: value / total for name, value in sums.items()}

    def host_share(self) -> float:
        """Part of all the time that no network ran."""
        return 1.0 - sum(share for name, share in self.shares().items() if name in NETWORKS)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One file between the decoder and the pipeline."""

    source: Source
    pages: tuple[Micrograph, ...]
    spent: Timing


class Bench:
    """The pipeline with its networks watched; opened, used and closed by one thread, except for `decode`."""

    def __init__(self, settings: CommandSettings, precision: str) -> None:
        """Load the models that the settings name. Raises ModelError or BackendError."""
        self._settings = settings
        self._limits = limits_of(settings)
        self._networks: dict[str, list[Watched]] = {}
        self._pipeline = Pipeline(settings, precision=precision, open_network=self._open)
        self.models = self._pipeline.models

    def _open(self, backend: str, model: Path, precision: str) -> Network:
        inner = table.open_network(backend, model, precision, remote=Remote(self._settings.kserve))
        network = watched(inner)
        network.model = model
        wanted = self._settings
        segments = wanted.inspect.stages != "classify" and model == resolve_model(wanted.models.segmenter, "segment")
        stage = "segment" if segments and "segment" not in self._networks else "classify"
        self._networks.setdefault(stage, []).append(network)
        return network

    def decode(self, path: Path) -> Decoded:
        """Read and decode one file. Raises ImageError."""
        started = time.perf_counter()
        file = read_file(path, self._limits.max_bytes)
        read = time.perf_counter()
        pages = sem.read(file.data, path.name, file.sidecars, self._limits, self._settings.inspect.pixel_size_nm)
        decoded = time.perf_counter()
        source = source_of(path.name, path.name, file.sha256)
        return Decoded(source, pages, Timing(read=(read - started) * 1e3, decode=(decoded - read) * 1e3))

    def judge(self, file: Decoded) -> tuple[ImageTiming, list[Inspection]]:
        """Inspect, encode and draw every page of one file, as the daemon does. Raises BackendError."""
        stages: dict[str, float | None] = dict.fromkeys(STAGES)
        stages["read"], stages["decode"] = file.spent.read, file.spent.decode
        started = time.perf_counter()
        inspections = [self._judge_page(page, file, stages) for page in file.pages]
        total = file.spent.read + file.spent.decode + (time.perf_counter() - started) * 1e3
        stages["rest"] = total - sum(value for value in stages.values() if value is not None)
        return ImageTiming(file.source.name, stages, total), inspections

    def inspect(self, path: Path) -> tuple[ImageTiming, list[Inspection]]:
        """Read, decode and judge one file. Raises ImageError or BackendError."""
        return self.judge(self.decode(path))

    def warm_up(self, paths: Sequence[Path]) -> list[list[Inspection]]:
        """Whole rounds that are not measured; returns what was found in the last. Raises ImageError or BackendError."""
        return [[self.inspect(path)[1] for path in paths] for _ in range(WARM_UP_ROUNDS)][-1]

    def field_answer(self, path: Path) -> str | None:
        """The class that stage 2's network gives the first page's field, nothing weighed; None where it is not run.

        Raises ImageError or BackendError.
        """
        if "classify" not in self._networks:
            return None
        (network, *_) = self._networks["classify"]
        assert network.model is not None
        card = load_card(network.model, "classify", self._settings.models.public_key)
        answer = Classifier(network, card).ask(self.decode(path).pages[0].grey)
        return card.classes[int(answer.probabilities.argmax())]

    def shown(self) -> dict[str, tuple[Path, str, NDArray[np.uint8]]]:
        """By stage: the model, the precision it runs in, and the input of its last run."""
        found = {}
        for stage, (network, *_) in self._networks.items():
            shown = network.shown
            if network.model is not None and shown is not None:
                found[stage] = network.model, network.precision, shown
        return found

    def run(self, scenario: Scenario, paths: Sequence[Path], duration_s: float) -> Run:
        """Whole rounds over `paths`, until `duration_s` are over. Raises ImageError or BackendError."""
        with energy.metered() as joules, environment.watched() as meanwhile:
            measure = self._single_stream if scenario == "single-stream" else self._ahead
            queries_ms, timings = measure(scenario, paths, duration_s)
        a_query = IMAGES_A_QUERY[scenario]
        return Run(
            scenario,
            self.models.backend,
            self.models.precision,
            np.array(queries_ms),
            a_query,
            len(paths) // gcd(len(paths), a_query),
            tuple(timings),
            meanwhile,
            joules,
        )

    def close(self) -> None:
        """Free both networks."""
        self._pipeline.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _judge_page(self, page: Micrograph, file: Decoded, stages: dict[str, float | None]) -> Inspection:
        for network in chain.from_iterable(self._networks.values()):
            network.spent_ms = network.drawing_ms = 0.0
            network.transfers_ms = None
        inspection = self._pipeline.inspect(page, file.source, spent=file.spent)
        started = time.perf_counter()
        encode(inspection, self._settings.device)
        encoded = time.perf_counter()
        if self._settings.mqtt.overlay:
            overlay.encode(overlay.draw(inspection), "webp")
        drawn = time.perf_counter()
        timing = inspection.timing
        spent: dict[str, float] = {"measure": timing.measure, "encode": (encoded - started) * 1e3}
        for stage, networks in self._networks.items():
            spent[stage] = sum(network.spent_ms for network in networks)
            spent["letterbox" if stage == "segment" else "crops"] = sum(network.drawing_ms for network in networks)
        for one in chain.from_iterable(self._networks.values()):
            if one.transfers_ms:
                spent["h2d"], spent["d2h"] = (
                    spent.get(name, 0.0) + ms for name, ms in zip(TRANSFERS, one.transfers_ms, strict=True)
                )
        if "segment" in self._networks:
            spent["masks"] = timing.masks
        if self._settings.mqtt.overlay:
            spent["overlay"] = (drawn - encoded) * 1e3
        for name, value in spent.items():
            stages[name] = (stages[name] or 0.0) + value
        return inspection

    def _single_stream(self, _: Scenario, paths: Sequence[Path], duration_s: float) -> tuple[list[float], list[ImageTiming]]:
        queries_ms: list[float] = []
        timings: list[ImageTiming] = []
        end = time.perf_counter() + duration_s
        while not timings or time.perf_counter() < end:
            for path in paths:
                started = time.perf_counter()
                timing, _inspections = self.inspect(path)
                queries_ms.append((time.perf_counter() - started) * 1e3)
                timings.append(timing)
        return queries_ms, timings

    def _ahead(self, scenario: Scenario, paths: Sequence[Path], duration_s: float) -> tuple[list[float], list[ImageTiming]]:
        """Queries whose images are decoded ahead; one query without an end when all images are there at once."""
        a_query = IMAGES_A_QUERY[scenario]
        queries_ms: list[float] = []
        timings: list[ImageTiming] = []
        begun = time.perf_counter()
        if scenario == "offline":
            endless = (paths[number % len(paths)] for number in count())
            with self._decoding(endless) as files:
                while not timings or len(timings) % len(paths) or time.perf_counter() < begun + duration_s:
                    started = time.perf_counter()
                    timings.append(self.judge(files())[0])
                    queries_ms.append((time.perf_counter() - started) * 1e3)
            return queries_ms, timings
        position = 0
        while not timings or position % len(paths) or time.perf_counter() < begun + duration_s:
            query = [paths[(position + number) % len(paths)] for number in range(a_query)]
            position += a_query
            started = time.perf_counter()
            with self._decoding(iter(query)) as files:
                timings += [self.judge(files())[0] for _ in query]
            queries_ms.append((time.perf_counter() - started) * 1e3)
        return queries_ms, timings

    @contextmanager
    def _decoding(self, paths: Iterator[Path]) -> Iterator[Callable[[], Decoded]]:
        """Decode in a thread of its own, `AHEAD` images ahead; yields what gives the next one."""
        done: queue.Queue[Decoded | Exception] = queue.Queue(AHEAD)
        stop = threading.Event()

        def hand_over(result: Decoded | Exception) -> None:
            while not stop.is_set():
                try:
                    done.put(result, timeout=0.1)
                    return
                except queue.Full:
                    continue

        def work() -> None:
            try:
                for path in paths:
                    hand_over(self.decode(path))
                    if stop.is_set():
                        return
            except Exception as error:  # it is raised again where the image is waited for
                hand_over(error)

        def following() -> Decoded:
            result = done.get()
            if isinstance(result, Exception):
                raise result
            return result

        thread = threading.Thread(target=work, name="decode", daemon=True)
        thread.start()
        try:
            yield following
        finally:
            stop.set()
            while not done.empty():
                done.get_nowait()
            thread.join()


class Watched:
    """A network that notes how long its runs take, how long its input is drawn, and what it says of the bus.

    transfers_ms: to and from the device, None where the network does not tell; spent_ms is without them.
    model: its file.  drawn_there: of what the last run drew its input on its device.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.name, self.precision = network.name, network.precision
        self.spent_ms = self.drawing_ms = 0.0
        self.transfers_ms: tuple[float, float] | None = None
        self.model: Path | None = None
        self.drawn_there: tuple[Grey, Sequence[Crop], int, int] | None = None
        self._shown: NDArray[np.uint8] | None = None

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The input of the last run, drawn here where the device drew it; None before the first."""
        return canvases(*self.drawn_there) if self.drawn_there else self._shown

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        """As `edge.backends.crop.run_on_crops` does it for a network that draws nothing itself."""
        return self.run(self._drawn(grey, crops, rows, columns))

    def submit_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Pending:
        """See `edge.backends.crop.SubmittingNetwork`: launching and waiting count, not what the host does in between."""
        self._shown = self._drawn(grey, crops, rows, columns)
        with self._noted(ended=False):
            return WatchedRun(self, submit(self._network, self._shown).collect)

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """See `edge.backends.Network`."""
        self._shown = image
        with self._noted():
            return self._network.run(image)

    def close(self) -> None:
        """Close the network."""
        self._network.close()

    def __enter__(self) -> Watched:
        self._network.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._network.__exit__(kind, error, trace)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a backend's network has."""
        return getattr(self._network, name)

    def _drawn(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> NDArray[np.uint8]:
        started = time.perf_counter()
        drawn = canvases(grey, crops, rows, columns)
        self.drawing_ms += (time.perf_counter() - started) * 1e3
        return drawn

    @contextmanager
    def _noted(self, *, ended: bool = True) -> Iterator[None]:
        """ended: False where a run was only launched."""
        started = time.perf_counter()
        yield
        self.spent_ms += (time.perf_counter() - started) * 1e3
        told: tuple[float, float] | None = getattr(self._network, "transfers_ms", None)
        if told and ended:
            before = self.transfers_ms or (0.0, 0.0)
            # What the host did not wait for is no part of the image's time: the bus worked beside it.
            part = min(1.0, self.spent_ms / sum(told)) if sum(told) else 0.0
            self.transfers_ms = before[0] + part * told[0], before[1] + part * told[1]
            self.spent_ms -= part * sum(told)


class WatchedCroppingNetwork(Watched):
    """A network that draws its own input: drawing is then part of its runs."""

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        """See `edge.backends.crop.CroppingNetwork`."""
        self.drawn_there = grey, crops, rows, columns
        with self._noted():
            seen: Arrays = self._network.run_on_crops(grey, crops, rows, columns)  # type: ignore[attr-defined]
        return seen

    def submit_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Pending:
        """See `edge.backends.crop.SubmittingNetwork`: launching and waiting count, not what the host does in between."""
        self.drawn_there = grey, crops, rows, columns
        with self._noted(ended=False):
            return WatchedRun(self, submit_on_crops(self._network, grey, crops, rows, columns).collect)


class WatchedMaskingNetwork(WatchedCroppingNetwork):
    """A network that makes the masks, too: they are then part of its runs."""

    def submit_masks(
        self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int, confidence: float, iou: float
    ) -> WatchedRun[Sequence[Masks] | None] | None:
        """See `edge.backends.masks.MaskingNetwork`."""
        self.drawn_there = grey, crops, rows, columns
        with self._noted(ended=False):
            asked = grey, crops, rows, columns, confidence, iou
            pending = cast(MaskingNetwork, self._network).submit_masks(*asked)
        return None if pending is None else WatchedRun(self, pending.collect)


class WatchedRun(Generic[Answer]):
    """A run under way, whose wait is noted."""

    def __init__(self, watched: Watched, wait: Callable[[], Answer]) -> None:
        self._watched, self._wait = watched, wait

    def collect(self) -> Answer:
        """What the run gives, as `Pending` and `PendingMasks` say it."""
        with self._watched._noted():
            return self._wait()


def watched(network: Network) -> Watched:
    """The network, watched, with all that it can."""
    if isinstance(network, MaskingNetwork):
        return WatchedMaskingNetwork(network)
    return WatchedCroppingNetwork(network) if isinstance(network, CroppingNetwork) else Watched(network)


def with_backend(settings: CommandSettings, backend: str) -> CommandSettings:
    """The settings on another backend."""
    return settings.model_copy(update={"models": settings.models.model_copy(update={"backend": backend})})
