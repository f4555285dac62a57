"""Two pipelines and a few images in, whether they agree out: the gate before a lower precision may speak for float32."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.backends import table
from edge.backends.table import Backend
from edge.backends.tensorrt.device import choose as choose_gpu
from edge.config import InspectionSettings, SeveritySettings
from edge.errors import BackendError
from edge.inspection.pipeline import Pipeline, region_judge
from edge.models.card import ModelCard, load_card
from edge.models.card import resolve as resolve_model
from edge.records import Inspection, Micrograph, Source
from edge.samples import sample_micrographs
from edge.whole_file import write_whole

log = logging.getLogger(__name__)

LEAST_MASK_IOU = 0.99
FLIP_MARGIN = 0.05
"""A changed label counts as a flip only when the reference preferred its own by more than this."""
DOMAIN_MARGIN = 0.05
"""An image that enters or leaves the domain counts only when its distance in the reference is off the limit by more than
this part of it."""

SCORE_MARGIN = 0.02
"""A region that only one of both finds counts only when its score is above the least one by more than this."""

MOST_REGION_CHANGES = 0.2
"""Many regions are hardly one severity more than another, and the slightest difference tips them over; what computes
wrongly changes half of them or more."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a candidate's inspections are from the reference's.

    mean_mask_iou: over images, intersection over union of the union of all masks (1 where both found nothing). A region of
        a score within `SCORE_MARGIN` of the least counts where both have it.
    flips: images whose severity label differs although the reference was surer than `FLIP_MARGIN`.
    domain_flips: images that are in the classifier's domain for one and not for the other, beyond `DOMAIN_MARGIN`.
    region_changes: part of the regions that both outline alike whose severity label differs.
    """

    images: int
    mean_mask_iou: float
    worst_mask_iou: float
    flips: int
    domain_flips: int
    largest_probability_difference: float
    region_changes: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the candidate may take the reference's place."""
        same = not self.flips + self.domain_flips and self.region_changes <= MOST_REGION_CHANGES
        return self.images > 0 and self.mean_mask_iou >= LEAST_MASK_IOU and same


def compare(reference: Pipeline, candidate: Pipeline, micrographs: Iterable[Micrograph]) -> Parity:
    """Run both pipelines over the same images."""
    ious, differences, flips, domain_flips, region_changes = [], [0.0], 0, 0, []
    for micrograph in micrographs:
        source = Source("parity", "parity", None)
        ours, theirs = reference.inspect(micrograph, source), candidate.inspect(micrograph, source)
        first, second = unions(ours, theirs, reference.least_score)
        region_changes += _region_changes(ours, theirs)
        either = np.count_nonzero(first | second)
        ious.append(np.count_nonzero(first & second) / either if either else 1.0)
        if ours.severity and theirs.severity:
            first_answer, second_answer = ours.severity.answer, theirs.severity.answer
            reference_says, candidate_says = first_answer.probabilities or {}, second_answer.probabilities or {}
            sure = sorted(reference_says.values())
            margin = sure[-1] - sure[-2] if len(sure) > 1 else 1.0
            flips += first_answer.label != second_answer.label and margin > FLIP_MARGIN
            domain_flips += is_domain_flip(ours.severity.domain_ratio, theirs.severity.domain_ratio)
            differences += [abs(p - candidate_says[name]) for name, p in reference_says.items()]
    return Parity(
        images=len(ious),
        mean_mask_iou=float(np.mean(ious)) if ious else 0.0,
        worst_mask_iou=float(min(ious, default=0.0)),
        flips=flips,
        domain_flips=domain_flips,
        largest_probability_difference=float(max(differences)),
        region_changes=float(np.mean(region_changes)) if region_changes else 0.0,
    )


def is_domain_flip(reference: float | None, candidate: float | None) -> bool:
    """Whether an image of these two `domain_ratio` enters or leaves the domain, beyond `DOMAIN_MARGIN`."""
    if reference is None or candidate is None:
        return reference is not candidate
    return (reference > 1) != (candidate > 1) and abs(reference - 1) > DOMAIN_MARGIN


def gated_precision(settings: InspectionSettings, memory: Path, *, may_run: bool = True) -> tuple[str, str]:
    """The precision that "auto" takes here, and why.

    That of a backend whose engines' passports fit these models, compared with float32 when they were built. Else, of what
    the chosen backend runs faster here, the first that passes `compare` on the shipped images with these very models.
    Outcomes are remembered in the folder `memory`. With may_run=False only remembered outcomes count.
    Raises ModelError, and BackendError when not even float32 runs.
    """
    choose_gpu(settings.models.device)
    chosen = settings.models.backend
    for backend in table.BACKENDS.values():
        if backend.gate == "passport" and chosen in {table.AUTO, backend.name}:
            reason = backend.refusal(models_of(settings))
            if reason is None:
                return backend.precisions[0], f"the engines of {backend.name} agreed with float32 when they were built"
            if device := backend.device():
                log.warning("%s is not used: %s", device, reason)
    here = table.BACKENDS[table.resolve(table.AUTO)] if chosen == table.AUTO else None
    if here is None or len(here.precisions) == 1:
        return "float32", "float32 is the reference precision"
    refused = []
    for precision in here.lower_precisions(models_of(settings)):
        agrees, why = _agreement(settings, here, precision, memory, may_run=may_run)
        if agrees:
            return precision, why
        refused.append(why)
    lower = " or ".join(here.precisions[1:])
    return "float32", "; ".join(refused) or f"{here.name} does not run these models faster here in {lower}"


def is_undecided(settings: InspectionSettings, memory: Path) -> bool:
    """Whether `gated_precision` would have to run the gate: no outcome is remembered that decides. Raises ModelError."""
    chosen, models = settings.models.backend, models_of(settings)
    for backend in table.BACKENDS.values():
        if backend.gate == "passport" and chosen in {table.AUTO, backend.name} and backend.refusal(models) is None:
            return False
    if chosen != table.AUTO:
        return False
    here = table.BACKENDS[table.resolve(table.AUTO)]
    for precision in here.lower_precisions(models):
        remembered = _recall(memory / f"parity-{precision}.json", _key(settings, here, precision))
        if remembered is None or remembered.passed:
            return remembered is None
    return False


def _agreement(
    settings: InspectionSettings, backend: Backend, precision: str, memory: Path, *, may_run: bool
) -> tuple[bool, str]:
    """Whether this precision gives the inspections of float32, and in which words; see `gated_precision`."""
    key = _key(settings, backend, precision)
    remembered = _recall(memory / f"parity-{precision}.json", key)
    if remembered is None:
        if not may_run:
            return False, f"{precision} has not been checked on this machine yet: edge-doctor does it"
        # Networks are compared, not what limits or reviews make of them; and the chosen adaptation may change meanwhile.
        untaught = settings.models.model_copy(update={"taught": ""})
        settings = settings.model_copy(update={"severity": SeveritySettings(), "models": untaught})
        with Pipeline(settings) as reference:
            try:
                with Pipeline(settings, precision=precision) as candidate:
                    remembered = compare(reference, candidate, sample_micrographs())
            except BackendError as error:
                return False, f"{precision} does not run here: {error}"
        _remember(memory / f"parity-{precision}.json", key, remembered)
    figures = (
        f"mean mask IoU {remembered.mean_mask_iou:.4f}, {remembered.flips} severities and {remembered.domain_flips} domains "
        f"changed on {remembered.images} images, and {remembered.region_changes:.0%} of the regions' severities"
    )
    if remembered.passed:
        return True, f"{precision} agrees with float32 ({figures})"
    return False, f"{precision} does not agree with float32 ({figures})"


def models_of(settings: InspectionSettings) -> list[Path]:
    """The model files that the settings name."""
    stages, models = settings.inspect.stages, []
    if stages != "classify":
        models.append(resolve_model(settings.models.segmenter, "segment"))
    if stages != "segment":
        models.append(resolve_model(settings.models.classifier, "classify"))
    return models


def _region_changes(ours: Inspection, theirs: Inspection) -> list[bool]:
    """Of each region with a severity and the same box in both: whether the label differs."""
    first, second = (
        dict(zip(map(tuple, found.regions.boxes_px.tolist()), found.region_severities, strict=True)) for found in (ours, theirs)
    )
    pairs = [(verdict, second.get(box)) for box, verdict in first.items()]
    return [one.label != other.label for one, other in pairs if one and other]


def unions(one: Inspection, other: Inspection, least_score: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """All masks of each, bool [H, W], without those of a score near `least_score` that the other lacks."""
    first, second = _union(one), _union(other)
    near = np.zeros_like(first)
    for mine, theirs in ((one, second), (other, first)):
        regions = mine.regions
        for index in np.flatnonzero(regions.scores <= least_score + SCORE_MARGIN).tolist():
            x, y, width, height = regions.boxes_px[index].tolist()
            window, mask = (slice(y, y + height), slice(x, x + width)), regions.masks[index]
            if 2 * np.count_nonzero(theirs[window] & mask) < np.count_nonzero(mask):
                near[window] |= mask
    counted = ~near | (first & second)
    return first & counted, second & counted


def _union(inspection: Inspection) -> NDArray[np.bool_]:
    canvas = np.zeros(inspection.micrograph.grey.shape, np.bool_)
    for (x, y, width, height), mask in zip(inspection.regions.boxes_px.tolist(), inspection.regions.masks, strict=True):
        canvas[y : y + height, x : x + width] |= mask
    return canvas


def _key(settings: InspectionSettings, backend: Backend, precision: str) -> list[str]:
    """Everything that the outcome depends on."""
    wanted = settings.inspect
    stages = wanted.stages
    models: list[str] = []
    signer = settings.models.public_key
    if stages != "classify":
        models += _of_card(load_card(resolve_model(settings.models.segmenter, "segment"), "segment", signer))
    if stages != "segment":
        models += _of_card(load_card(resolve_model(settings.models.classifier, "classify"), "classify", signer))
    if judge := region_judge(settings):
        models.append(judge.identity.sha256)
    counted = f"{wanted.min_diameter_px} {wanted.min_diameter_um}"
    thresholds = f"{stages} {wanted.confidence} {wanted.iou} {wanted.tile} {wanted.max_regions} {counted}"
    library = backend.fingerprint(models_of(settings), precision)
    return [*models, backend.name, precision, thresholds, __version__, *library, processor()]


def _of_card(card: ModelCard) -> tuple[str, str]:
    """Hashes of the weights, and of what the card fits to them: it can be fitted again for the same weights."""
    return card.sha256, hashlib.sha256(card.calibration.model_dump_json().encode()).hexdigest()


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Which processor this is; `platform.processor` is empty on most Linux systems."""
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        first = ""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    known = [facts[name] for name in ("model name", "cpu family", "model", "stepping") if name in facts]
    return " ".join(known) or platform.processor() or platform.machine()


def _recall(path: Path, key: list[str]) -> Parity | None:
    """The outcome remembered for this key; None also when the file is damaged, for then the gate runs again."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] != key:
            return None
        values = stored["parity"]
        return Parity(**{name: type_(values[name]) for name, type_ in _TYPES.items()})
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


_TYPES = {
    "images": int,
    "mean_mask_iou": float,
    "worst_mask_iou": float,
    "flips": int,
    "domain_flips": int,
    "largest_probability_difference": float,
    "region_changes": float,
}


def _remember(path: Path, key: list[str], parity: Parity) -> None:
    """Best effort: an outcome that cannot be stored is found again at the next start."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps({"key": key, "parity": asdict(parity)}, indent=1).encode())
    except OSError as error:
        log.warning("cannot remember in %s that a lower precision was checked: %s", path, error)
