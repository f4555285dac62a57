"""Micrographs in, inspections out: both stages, the measures and the reasons for doubt, in the order in which they run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.backends import table
from edge.backends.network import Network, Pending
from edge.backends.server import Remote
from edge.backends.tensorrt.device import choose as choose_gpu
from edge.config import InspectionSettings
from edge.errors import ConfigError
from edge.inspection import memory
from edge.inspection.classify import Classifier
from edge.inspection.covered import without_drawn
from edge.inspection.describe import Described, describe
from edge.inspection.intervals import with_intervals
from edge.inspection.limits import by_limits, require_known_classes
from edge.inspection.measure import counted_regions, measure, quality
from edge.inspection.region_severity import RegionJudge
from edge.inspection.segment import Found, Segmenter, no_regions
from edge.inspection.taught import LOW_FLOOR, taught_regions
from edge.inspection.taught_file import Taught
from edge.inspection.taught_severity import by_taught, numbers_of
from edge.inspection.taught_shelf import adaptation_of
from edge.models.card import FieldFit, IntervalFit, ModelCard, load_card
from edge.models.card import resolve as resolve_model
from edge.records import (
    REASONS,
    FileBytes,
    Inspection,
    Measures,
    Micrograph,
    ModelIdentity,
    ModelsUsed,
    Quality,
    Regions,
    RegionSeverity,
    Severity,
    Source,
    Timing,
    code_of,
)
from edge.sem.calibration import calibrated

MUCH_CORROSION = 0.25
"""Part of the area from which on stage 1 contradicts a severity of "low"."""

_NO_STAGE_1 = 'inspect.stages = "classify" leaves out the regions: take "both" or "segment"'

_NO_STAGE_2 = 'inspect.stages = "segment" leaves out the severity: take "both" or "classify"'

OpenNetwork = Callable[[str, Path, str], Network]
Call = Callable[[], None]
UNSPENT = Timing()


@dataclass(frozen=True, slots=True, eq=False)
class FieldSeen:
    """What speaks for a field's severity: `numbers_of`, the embedding float32 [D], and what the network alone judges."""

    numbers: Described
    embedding: NDArray[np.float32]
    untaught: Severity


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What stage 1 found and what was measured of it. found: regions, those too small to count included.

    asked: stage 2's network, launched while stage 1's ran; None where stage 2 is not run.
    """

    regions: Regions
    found: int
    measures: Measures
    trust: Quality
    described: Described | None
    asked: Pending | None
    segment_ms: float
    masks_ms: float
    measure_ms: float


def limits_of(settings: InspectionSettings) -> sem.Limits:
    """What the settings refuse before anything is read or allocated."""
    wanted = settings.inspect
    most = memory.allowance() if wanted.max_memory_mib is None else int(wanted.max_memory_mib * 2**20)
    return sem.Limits(int(wanted.max_megapixels * 1e6), int(wanted.max_file_mib * 2**20), most)


def remembering(settings: InspectionSettings, folder: Path | None, remote: Remote | None = None) -> OpenNetwork:
    """What opens networks and keeps in `folder` what was compiled, for the next start. remote: who hears of a server.

    Not where models have to be signed: what was compiled carries no signature.
    """
    memory = None if settings.models.public_key else folder
    return partial(table.open_network, memory=memory, remote=remote or Remote(settings.kserve))


class Pipeline:
    """Both stages with their models loaded; opened, used and closed by one thread.

    untaught: why a chosen adaptation is not used, which every inspection then says; None where nothing is amiss.
    stages of the settings: "both", "segment" or "classify", the paper's three uses.
    precision: what both networks are asked to run in.
    """

    def __init__(
        self,
        settings: InspectionSettings,
        *,
        precision: str = "float32",
        open_network: OpenNetwork | None = None,
        taught: Taught | None = None,
    ) -> None:
        """Load what the settings name. taught: an adaptation at hand, in place of the one that they name.

        Raises ModelError, BackendError, or ConfigError for a limit on a class unknown to it.
        """
        self._settings = settings
        self._settings_sha256 = settings.inspection_sha256()
        choose_gpu(settings.models.device)
        open_network = open_network or remembering(settings, None)
        wanted = settings.inspect
        backend = table.resolve(settings.models.backend, precision)
        networks: list[Network] = []
        self._segmenter: Segmenter | None = None
        self._following: tuple[Micrograph, Micrograph] | None = None
        self._classifier: Classifier | None = None
        self._judge = region_judge(settings)
        stage_1 = _model(settings.models.segmenter, "segment", settings) if wanted.stages != "classify" else None
        stage_2 = _model(settings.models.classifier, "classify", settings) if wanted.stages != "segment" else None
        cards = stage_1[1] if stage_1 else None, stage_2[1] if stage_2 else None
        self._taught, self.untaught = (taught, None) if taught else adaptation_of(settings, *cards)
        with ExitStack() as opened:
            if stage_1:
                path, card = stage_1
                require_known_classes(settings.severity, card)
                networks.append(opened.enter_context(open_network(backend, path, precision)))
                self._segmenter = Segmenter(
                    networks[-1],
                    card,
                    confidence=least_score(settings, self._taught),
                    iou=wanted.iou,
                    tile=wanted.tile,
                    max_regions=wanted.max_regions,
                )
            if stage_2:
                path, card = stage_2
                networks.append(opened.enter_context(open_network(backend, path, precision)))
                self._classifier = Classifier(networks[-1], card)
            self._opened = opened.pop_all()
        self._networks = tuple(networks)

    @property
    def models(self) -> ModelsUsed:
        """What made the last inspection, or will make the first: a server that is away is stood in for."""
        return ModelsUsed(
            segmenter=_identity(self._segmenter.card) if self._segmenter else None,
            classifier=_identity(self._classifier.card) if self._classifier else None,
            backend="/".join(dict.fromkeys(network.name for network in self._networks)),
            precision="/".join(dict.fromkeys(network.precision for network in self._networks)),
            engine_sha256=_engine_sha256(self._networks),
            regions=self._judge.identity if self._judge else None,
            taught_sha256=self._taught.sha256 if self._taught else None,
        )

    def inspect(
        self, micrograph: Micrograph, source: Source, *, spent: Timing = UNSPENT, following: Micrograph | None = None
    ) -> Inspection:
        """The verdict on one micrograph. Raises BackendError when a network fails.

        spent: milliseconds that went into waiting, reading and decoding before.
        following: the one that is inspected next, where it is known: its stage 1 is launched behind this one's networks.
        """
        started = time.perf_counter()
        micrograph = self._calibrated(micrograph)
        seen = self._seen(micrograph, following)
        regions, measures, trust = seen.regions, seen.measures, seen.trust
        measured = time.perf_counter()
        severity: Severity | None = None
        region_severities: tuple[RegionSeverity | None, ...] = (None,) * len(regions)
        answer = self._classifier.answer(seen.asked) if self._classifier and seen.asked else None
        if self._classifier and answer:
            severity = self._classifier.judge(answer, self._weighed(seen))
        classified = time.perf_counter()
        doubts = self._doubts(micrograph, trust)
        if severity:
            severity = severity.doubted(doubts + _conflicts(severity, seen.found if self._segmenter else None, measures))
        trusted = severity is not None and not severity.abstained
        if self._judge and severity and severity.probabilities:
            most = self._settings.inspect.region_crops
            region_severities = self._judge.judge(micrograph.grey, regions, measures, severity.probabilities, most)
        if seen.described and trusted:
            measures = self._with_intervals(measures, regions, seen.described)
        if self._settings.severity.rule == "limits":
            severity = by_limits(self._settings.severity, regions, measures, micrograph, severity).doubted(doubts)
        elif severity and answer and self._taught and self._taught.file.severity:
            given = numbers_of(seen.described, measures, severity)
            severity = by_taught(self._taught.file.severity, given, answer.embedding, severity).doubted(doubts)
        trust = replace(trust, in_domain=severity.in_domain if severity else None)
        if severity is None or severity.abstained:
            region_severities = (None,) * len(regions)
        finished = time.perf_counter()
        return Inspection(
            source=source,
            micrograph=micrograph,
            sample=self._settings.sample.fields(source.path),
            regions=regions,
            measures=measures,
            severity=severity,
            region_severities=region_severities,
            quality=trust,
            models=self.models,
            smallest_region_px=self._smallest_region_px(micrograph),
            settings_sha256=self._settings_sha256,
            timing=replace(
                spent,
                segment=seen.segment_ms,
                masks=seen.masks_ms,
                measure=seen.measure_ms + (finished - classified) * 1e3,
                classify=(classified - measured) * 1e3,
                total=spent.read + spent.decode + (finished - started) * 1e3,
            ),
            made_at=datetime.now(timezone.utc),
        )

    def field(self, micrograph: Micrograph) -> FieldSeen:
        """What speaks for the severity of a field, to be taught; nothing taught of severities and no limit decides here.

        Raises BackendError; and ConfigError where stage 2 is not run.
        """
        if not self._classifier:
            raise ConfigError(_NO_STAGE_2)
        micrograph = self._calibrated(micrograph)
        seen = self._seen(micrograph)
        assert seen.asked is not None
        answer = self._classifier.answer(seen.asked)
        untaught = self._classifier.judge(answer, self._weighed(seen))
        doubts = self._doubts(micrograph, seen.trust) + _conflicts(
            untaught, seen.found if self._segmenter else None, seen.measures
        )
        untaught = untaught.doubted(doubts)
        return FieldSeen(numbers_of(seen.described, seen.measures, untaught), answer.embedding, untaught)

    def _seen(self, micrograph: Micrograph, following: Micrograph | None = None) -> _Seen:
        """Stage 1 and the measures of a calibrated micrograph, stage 2's network under way behind. following: see `inspect`."""
        asked: list[Pending] = []

        def ask() -> None:
            asked.extend([self._classifier.submit(micrograph.grey)] if self._classifier else [])

        def ahead() -> None:
            if self._segmenter and following is not None:
                self._following = following, self._calibrated(following)
                taught = bool(self._taught and self._taught.file.for_stage_1)
                self._segmenter.prepare(self._following[1].grey, with_features=taught)

        regions, segment_ms, masks_ms, unsure = self._segment(micrograph, ask, ahead)
        segmented = time.perf_counter()
        found = len(regions)
        least_px, least_um, doubts = self._counted_from(micrograph)
        regions = counted_regions(regions, least_px)
        measures = measure(regions, (micrograph.height_px, micrograph.width_px), micrograph.drawn_px)
        measures = replace(measures, counted_from_px=least_px, counted_from_um=least_um)
        if self.untaught:
            unsure += (f"taught_unsure: the chosen adaptation is not used: {self.untaught}",)
        trust = quality(micrograph.grey, micrograph.saturated_fraction, None, micrograph.warnings + doubts + unsure)
        described = describe(regions, measures, micrograph.grey, trust) if self._segmenter else None
        measure_ms = (time.perf_counter() - segmented) * 1e3
        under_way = asked[0] if asked else None
        return _Seen(regions, found, measures, trust, described, under_way, segment_ms, masks_ms, measure_ms)

    def _weighed(self, seen: _Seen) -> Described | None:
        """What stage 1 measured, where the classifier's card has a fit that rests on it."""
        fits = self._classifier is not None and self._belongs(self._classifier.card.calibration.field)
        return seen.described if fits else None

    def inspect_file(self, file: FileBytes, source: Source, spent: Timing = UNSPENT) -> list[Inspection]:
        """The verdicts on a file's pages, which share what was `spent` on reading it. Raises ImageError or BackendError."""
        started = time.perf_counter()
        pages = sem.read(file.data, source.name, file.sidecars, limits_of(self._settings), self._settings.inspect.pixel_size_nm)
        spent = replace(spent, decode=(time.perf_counter() - started) * 1e3).shared_by(len(pages))
        return [self.inspect(page, source, spent=spent) for page in pages]

    def close(self) -> None:
        """Free both networks."""
        self._opened.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def least_score(self) -> float:
        """From which on a region is reported."""
        return self._settings.inspect.confidence

    @property
    def segmenter_card(self) -> ModelCard:
        """The card of stage 1's model. Raises ConfigError where stage 1 is not run."""
        if not self._segmenter:
            raise ConfigError(_NO_STAGE_1)
        return self._segmenter.card

    def look(self, micrograph: Micrograph, *, beside: Call | None = None, ahead: Call | None = None) -> Found:
        """What stage 1 alone finds, with what the network sees around each place; nothing taught is applied.

        beside, ahead: as for `Segmenter.look`.
        Raises BackendError; and ConfigError where stage 1 is not run.
        """
        if not self._segmenter:
            raise ConfigError(_NO_STAGE_1)
        found = self._segmenter.look(micrograph.grey, with_features=True, beside=beside, ahead=ahead)
        if micrograph.drawn_px is not None:
            found = replace(found, regions=without_drawn(found.regions, micrograph.drawn_px))
        return found

    def _segment(self, micrograph: Micrograph, beside: Call, ahead: Call) -> tuple[Regions, float, float, tuple[str, ...]]:
        """Regions, milliseconds of the network and of the rest, and why what was taught is not used here.

        beside: called once, when stage 1's network is launched, or where it is not run. ahead: as for `Segmenter.look`.
        """
        if not self._segmenter:
            beside()
            return no_regions(), 0.0, 0.0, ()
        unsure: tuple[str, ...] = ()
        if self._taught and self._taught.file.for_stage_1:
            found = self.look(micrograph, beside=beside, ahead=ahead)
            started = time.perf_counter()
            assert found.features is not None
            regions, unsure = taught_regions(
                self._taught, micrograph.grey, found.regions, found.features, self._settings.inspect.confidence
            )
            if micrograph.drawn_px is not None:
                regions = without_drawn(regions, micrograph.drawn_px)
            return regions, found.timing.network_ms, found.timing.masks_ms + (time.perf_counter() - started) * 1e3, unsure
        regions, timing = self._segmenter.find(micrograph.grey, beside=beside, ahead=ahead)
        if micrograph.drawn_px is not None:
            regions = without_drawn(regions, micrograph.drawn_px)
        return regions, timing.network_ms, timing.masks_ms, unsure

    def _smallest_region_px(self, micrograph: Micrograph) -> float | None:
        """Shortest diameter that the finest view resolves, in pixels of the image."""
        if not self._segmenter or self._segmenter.card.smallest_region_px is None:
            return None
        return self._segmenter.card.smallest_region_px / self._segmenter.finest_scale(micrograph.grey.shape)

    def _counted_from(self, micrograph: Micrograph) -> tuple[float, float | None, tuple[str, ...]]:
        """Least diameter of a region that counts, in px and in µm, the latter None without a scale; and a warning.

        Of `inspect.min_diameter_px` and `min_diameter_um` the larger one rules.
        """
        px, um = self._settings.inspect.min_diameter_px, self._settings.inspect.min_diameter_um
        pixel_um = micrograph.pixel_size_um
        if pixel_um is not None:
            px = max(px, um / pixel_um)
            return px, px * pixel_um, ()
        doubt = f"min_diameter_px_alone: µm are unknown here, so regions count from {px:g} px and not from {um:g} µm"
        return px, None, (doubt,) if um and self._segmenter else ()

    def _calibrated(self, micrograph: Micrograph) -> Micrograph:
        """The very one that was prepared, if it was: its pixels are known by their array."""
        following, self._following = self._following, None
        if following and following[0] is micrograph:
            return following[1]
        device = self._settings.device
        return calibrated(
            micrograph, factor=device.scale_factor, uncertainty=device.scale_uncertainty, checked=device.scale_checked
        )

    def _belongs(self, fit: FieldFit | IntervalFit | None) -> bool:
        """Whether a card's fit rests on measures of this segmenter with these settings, and nothing taught changed them."""
        taught = self._taught is not None and self._taught.file.for_stage_1
        if fit is None or self._segmenter is None or taught:
            return False
        wanted, of = self._settings.inspect, fit.fitted_with
        return (of.segmenter_sha256, of.confidence, of.iou) == (self._segmenter.card.sha256, wanted.confidence, wanted.iou)

    def _with_intervals(self, measures: Measures, regions: Regions, described: Described) -> Measures:
        """With the card's intervals where they are promised: nowhere else are they known to cover."""
        fit = self._segmenter.card.calibration.intervals if self._segmenter else None
        all_counted = not measures.counted_from_px and not regions.truncated
        if fit is None or not self._belongs(fit) or not all_counted:
            return measures
        return with_intervals(fit, measures, described)

    def _doubts(self, micrograph: Micrograph, trust: Quality) -> list[str]:
        """What is in the picture or its file to have a person look, whatever the severity follows from."""
        reasons = [warning for warning in trust.warnings if code_of(warning) in REASONS]
        if not self._segmenter or micrograph.pixel_size_nm is None:  # a tilt spoils µm², which are not given here anyway
            reasons = [reason for reason in reasons if code_of(reason) != "tilted"]
        return reasons


def _conflicts(severity: Severity, found: int | None, measures: Measures) -> list[str]:
    """Where the network's severity contradicts stage 1. found: its regions, those too small included; None: it was not run."""
    if found is None:
        return []
    reasons = []
    label = severity.answer.label
    if label == "severe" and not found:
        reasons.append("stages_conflict: stage 2 says severe, stage 1 found no corroded region")
    if label == "low" and measures.area_fraction > MUCH_CORROSION:
        reasons.append(f"stages_conflict: stage 2 says low, stage 1 found {measures.area_fraction:.0%} corroded")
    return reasons


def region_judge(settings: InspectionSettings) -> RegionJudge | None:
    """What judges single regions; None where nobody asks for it. Raises ModelError."""
    if settings.inspect.stages != "both" or not settings.inspect.region_crops:
        return None
    return RegionJudge(settings.models.regions, settings.models.public_key)


def least_score(settings: InspectionSettings, taught: Taught | None) -> float:
    """Of the network's, from which on a region is looked at: a weak one can rise where scores are taught."""
    wanted = settings.inspect.confidence
    return min(wanted, LOW_FLOOR) if taught and taught.file.for_stage_1 else wanted


def _model(name: str, task: Literal["segment", "classify"], settings: InspectionSettings) -> tuple[Path, ModelCard]:
    path = resolve_model(name, task)
    return path, load_card(path, task, settings.models.public_key)


def _engine_sha256(networks: Sequence[Network]) -> str | None:
    """Of the file that runs instead of the ONNX file: a TensorRT engine. Of two, the hash of both hashes."""
    hashes = [sha256 for network in networks if (sha256 := getattr(network, "engine_sha256", None))]
    if len(hashes) < 2:
        return hashes[0] if hashes else None
    return hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()


def _identity(card: ModelCard) -> ModelIdentity:
    return ModelIdentity(card.name, card.version, card.sha256)
