"""Two models in, their cards with everything that rests on what stage 1 measures of a field out, and how well it holds.

Fitted are: the domain, which fields are foreign, the severity that follows the measures, its prediction sets, intervals,
and the weights that judge single regions.
The fields are inspected once, with the edge's own code and default settings, and kept in a file; all else takes seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.config import CommandSettings
from edge.errors import ConfigError, EdgeError
from edge.inspection.classify import domain_distance
from edge.inspection.judge import NETWORK, evidence, foreignness, severity_probabilities
from edge.inspection.region_severity import RegionWeights
from edge.models.card import FieldFit, FittedWith, IntervalFit, ModelCard, SeverityFit, Training, load_card
from edge.records import SEVERITIES
from training.draw.relief import GENERATOR as RELIEF_GENERATOR
from training.draw.synthetic import GENERATOR
from training.learn.calibration import (
    COVERAGE,
    cautious_quantile,
    domain_statistics,
    expected_calibration_error,
    softmax,
    wilson_interval,
)
from training.learn.field_fits import Numbers, fit_foreign, fit_severity, fit_spread, holds, rows_of
from training.learn.field_records import SIZES_PX, Records, collect, jobs, steps_of
from training.learn.region_weights import examples, fit, score
from training.score.baselines import oracle_hits

FIELDS, GROWN, SEED = 1000, 100, 1_200_000
FOREIGN_PART: Final = 0.03
"""Part of the drawn fields that may be called foreign."""
OWN_KINDS: Final = ("painted", "relief", "blended")
Floats = NDArray[np.float64]


def main(argv: Sequence[str] | None = None) -> int:
    """Inspect, fit, write the cards; 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m training.learn.fields",
        description="Fit what rests on the measures of a field: abstaining, severity, intervals; write it into both cards.",
        epilog="example: python -m training.learn.fields --models edge/models/files --real real_masks --oxide ebc_oxide",
    )
    parser.add_argument("--models", type=Path, default=Path("edge/models/files"), metavar="DIR", help="(%(default)s)")
    parser.add_argument("--work", type=Path, default=Path("runs/fields"), metavar="DIR", help="inspected fields (%(default)s)")
    parser.add_argument("--real", type=Path, metavar="DIR", help="superalloy/, nanocomposite/ and clean/, with masks")
    parser.add_argument("--oxide", type=Path, metavar="DIR", help="images/ with sections of oxide")
    parser.add_argument("--fields", type=int, default=FIELDS, metavar="N", help="of each generator (%(default)s)")
    parser.add_argument("--grown", type=int, default=GROWN, metavar="N", help="growing scenes of each (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="(%(default)s)")
    parser.add_argument("--model-version", default="0.6.1", metavar="V", help="of classifier and regions (%(default)s)")
    parser.add_argument("--again", action="store_true", help="inspect nothing, use what the last run kept")
    parser.add_argument("--dry-run", action="store_true", help="print the figures, write no card")
    arguments = parser.parse_args(argv)
    kept = arguments.work / "fields.npz"
    try:
        if not arguments.again:
            todo = jobs(SEED, arguments.fields, arguments.grown, arguments.real, arguments.oxide)
            collect(arguments.models, todo, arguments.processes).save(kept)
        found = fitted_of(arguments.models, kept, arguments.model_version)
    except (EdgeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if not arguments.dry_run:
        found.write(arguments.models)
    print(json.dumps(found.figures, indent=1))
    return 0


def fitted_of(models: Path, kept: Path, version: str) -> Fitted:
    """All fits for the models of a folder from the inspected fields in `kept`. Raises EdgeError, OSError."""
    segmenter, classifier = load_card(models / "segmenter.onnx", "segment"), load_card(models / "classifier.onnx", "classify")
    return fitted(Records.load(kept), segmenter, classifier, version)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Both cards with their fits, the weights for single regions, and figures on fields that were not fitted on."""

    segmenter: ModelCard
    classifier: ModelCard
    regions: RegionWeights
    figures: dict[str, Any]

    def write(self, models: Path) -> None:
        """Both cards and `regions.json` into the folder of the models."""
        for name, card in (("segmenter", self.segmenter), ("classifier", self.classifier), ("regions", self.regions)):
            text = card.model_dump_json(by_alias=True, indent=1) + "\n"
            (models / f"{name}.json").write_text(text, encoding="utf-8")


def fitted(records: Records, segmenter: ModelCard, classifier: ModelCard, version: str = "1") -> Fitted:
    """All fits.

    Drawn fields are dealt by their number: a quarter is learnt from, one gives limits and margins, half are measured on.
    A field's other views and blended ones go with it.
    """
    wanted = CommandSettings().inspect
    with_ = FittedWith(segmenter_sha256=segmenter.sha256, confidence=wanted.confidence, iou=wanted.iou)
    turn = _turns(records)
    own = np.isin(records.kinds, OWN_KINDS)
    plain = np.isin(records.kinds, OWN_KINDS[:2]) & (records.views == "")
    learnt, limited, checked = own & (turn == 0), own & (turn == 1), plain & (turn > 1)
    domain = domain_statistics(records.embeddings[own & (turn == 0)], records.embeddings[limited & plain])
    calibration = classifier.calibration.model_copy(update={"domain": domain})
    numbers = _numbers(records, calibration.temperature, domain)

    foreign_rows = records.kinds == "foreign"
    if not foreign_rows.any():
        raise ConfigError("no foreign fields to learn from: name images of other materials with --real or --oxide")
    of_limited = records.whats[limited] // 4, plain[limited]
    foreign = fit_foreign(_of(numbers, limited), _of(numbers, foreign_rows), *of_limited, FOREIGN_PART)
    weights, limits = fit_severity(_of(numbers, learnt), records.severities[learnt])
    severity = SeverityFit(weights=weights, limits=limits, conformal_quantile=1.0)
    quantile = _set_quantile(severity, _of(numbers, limited & plain), records.severities[limited & plain])
    severity = severity.model_copy(update={"conformal_quantile": quantile})
    field = FieldFit(fitted_with=with_, severity=severity, foreign=foreign)

    one, other = (records.where(rows & plain) for rows in (learnt, limited))
    spreads = {
        name: fit_spread(
            _of(numbers, learnt & plain),
            _of(numbers, limited & plain),
            [_roots(each, name)[0] for each in (one, other)],
            [_roots(each, name)[1] for each in (one, other)],
            COVERAGE,
        )
        for name in MEASURES
    }
    intervals = IntervalFit(level=COVERAGE, fitted_with=with_, **spreads)
    judged = calibration.model_copy(update={"field": field})
    classifier = classifier.model_copy(update={"calibration": judged, "version": version})
    of_segmenter = segmenter.calibration.model_copy(update={"intervals": intervals})
    segmenter = segmenter.model_copy(update={"calibration": of_segmenter})
    regions, of_regions = _regions(records, _probabilities(severity, numbers), limited & plain, checked, with_, version)
    figures = {
        "severity": _severity_figures(records, numbers, severity, calibration.temperature, checked),
        "grown": _grown_figures(records, numbers, field),
        "abstaining": _abstaining(records, numbers, field),
        "intervals": {name: _interval_figures(records, numbers, intervals, name, checked) for name in MEASURES},
        "regions": of_regions,
    }
    return Fitted(segmenter, classifier, regions, figures)


MEASURES: Final = {"area": (0, "area"), "counted": (1, "regions"), "largest": (2, "largest")}
"""Column of the truths, and name of the measured square root."""


def _roots(records: Records, name: str) -> tuple[Floats, Floats]:
    """Measured and true, as square roots."""
    column, measured = MEASURES[name]
    return records.number(measured), np.sqrt(records.truths[:, column])


def _turns(records: Records) -> NDArray[np.int64]:
    """int64 [N], 0…3, who is learnt from and who measured on; each turn has drawings of every size."""
    return np.asarray(records.whats // len(SIZES_PX) % 4, np.int64)


def _regions(
    records: Records,
    probabilities: Floats,
    learnt: NDArray[np.bool_],
    checked: NDArray[np.bool_],
    with_: FittedWith,
    version: str,
) -> tuple[RegionWeights, dict[str, Any]]:
    """Fit on the fields that the field's own fit did not see, score on the others."""
    n = int(learnt.sum())
    training = Training(
        data=f"found regions of {n} drawn fields of two generators, versions {GENERATOR} and {RELIEF_GENERATOR}, with their"
        " degree; the field's verdict is one of the measures",
        data_sha256=sha256(repr((GENERATOR, RELIEF_GENERATOR, with_, n)).encode()).hexdigest(),
        initialised_from="none",
        epochs=1,
        images=n,
        seed=0,
        command="python -m training.learn.fields",
    )
    weights = fit(examples(records.where(learnt), probabilities[learnt]), training, version)
    scores: dict[str, Any] = {}
    for kind in ("painted", "relief"):
        rows = checked & (records.kinds == kind)
        scores |= score(weights, examples(records.where(rows), probabilities[rows]), f"{int(rows.sum())} {kind} fields", kind)
    figures = {name: each["value"] for name, each in scores.items()}
    return weights.model_copy(update={"scores": scores}), figures


def _numbers(records: Records, temperature: float, domain: Any) -> dict[str, Floats]:
    """All that is weighed, float64 [N] by name: what was measured, the network's answer, and its view of the texture."""
    ratio = domain_distance(records.embeddings, domain) / domain.threshold
    own = {name: records.number(name) for name in records.names}
    probabilities = softmax(records.logits, temperature)
    return {
        **own,
        NETWORK: np.array([evidence(row, {})[NETWORK] for row in probabilities]),
        "texture": np.log(np.maximum(ratio, 1e-3)),
    }


def _of(numbers: Numbers, chosen: NDArray[np.bool_]) -> dict[str, Floats]:
    return {name: values[chosen] for name, values in numbers.items()}


def _probabilities(fit: SeverityFit, numbers: Numbers) -> Floats:
    return np.array([severity_probabilities(fit, row) for row in rows_of(numbers)])


def _set_quantile(fit: SeverityFit, numbers: Numbers, severities: NDArray[np.int64]) -> float:
    of_true = _probabilities(fit, numbers)[np.arange(len(severities)), severities]
    return float(min(1.0, cautious_quantile(1 - of_true, COVERAGE)))


# --- figures ---------------------------------------------------------------------------------------------------------


def _severity_figures(
    records: Records, numbers: Numbers, fit: SeverityFit, temperature: float, checked: NDArray[np.bool_]
) -> dict[str, Any]:
    """Together and the network alone, beside an oracle that knows the true corroded area; by generator."""
    found = {}
    for kind in ("painted", "relief"):
        rows = checked & (records.kinds == kind)
        truth = records.severities[rows]
        together, alone = _probabilities(fit, _of(numbers, rows)), softmax(records.logits[rows], temperature)
        right = together.argmax(axis=1) == truth
        kept = 1 - together <= fit.conformal_quantile
        kept[np.arange(len(kept)), together.argmax(axis=1)] = True
        groups = np.array([str(index % 20) for index in range(len(truth))])
        found[kind] = {
            "n": len(truth),
            "accuracy": _rounded(right.mean()),
            "accuracy_95": [_rounded(end) for end in wilson_interval(int(right.sum()), len(truth))],
            "network_alone": _rounded((alone.argmax(axis=1) == truth).mean()),
            "oracle": _rounded(oracle_hits(records.truths[rows, 0], truth, groups).mean()),
            "expected_calibration_error": _rounded(expected_calibration_error(together.max(axis=1), right)),
            "set_coverage": _rounded(kept[np.arange(len(kept)), truth].mean()),
            "set_size": _rounded(kept.sum(axis=1).mean()),
        }
    return found


def _grown_figures(records: Records, numbers: Numbers, fit: FieldFit) -> dict[str, Any]:
    """How often the expected severity falls while a scene corrodes, by how much at most, and by a class without review."""
    rank, every = np.arange(len(SEVERITIES)), np.arange(len(records))
    found: dict[str, dict[str, list[Floats]]] = {}
    for scene in steps_of(records):
        rows = np.isin(every, np.flatnonzero((records.kinds == scene.kinds[0]) & (records.whats == scene.whats[0])))
        probabilities = _probabilities(fit.severity, _of(numbers, rows))
        expected, label = probabilities @ rank, probabilities.argmax(axis=1)
        several = (1 - probabilities <= fit.severity.conformal_quantile).sum(axis=1) > 1
        doubted = several | _foreign(_of(numbers, rows), fit)
        kept = found.setdefault(str(scene.kinds[0]), {"drop": [], "unseen": []})
        kept["drop"].append(expected[:-1] - expected[1:])
        kept["unseen"].append((label[1:] < label[:-1]) & ~doubted[1:] & ~doubted[:-1])
    return {
        kind: {
            "scenes": len(each["drop"]),
            "steps": int(np.size(each["drop"])),
            "falls": _rounded((np.array(each["drop"]) > 1e-3).mean()),
            "falls_over_0.1": _rounded((np.array(each["drop"]) > 0.1).mean()),
            "largest": _rounded(np.max(each["drop"])),
            "falls_by_a_class_without_review": int(np.sum(each["unseen"])),
        }
        for kind, each in found.items()
    }


def _foreign(numbers: Numbers, fit: FieldFit) -> NDArray[np.bool_]:
    """bool [N]: by the measures or by the texture that the network sees."""
    odds = np.array([foreignness(fit.foreign, row)[0] for row in rows_of(numbers)])
    return np.asarray((odds > 0) | (numbers["texture"] > 0))


def _abstaining(records: Records, numbers: Numbers, fit: FieldFit) -> dict[str, Any]:
    """The part that is out of the domain, by kind of field and by beginning of the name."""
    out = _foreign(numbers, fit)
    checked = _turns(records) > 1
    groups = {
        "painted": (records.kinds == "painted") & (records.views == "") & checked,
        "relief": (records.kinds == "relief") & (records.views == "") & checked,
        "other settings": np.isin(records.kinds, OWN_KINDS[:2]) & (records.views != "") & checked,
        "drawn corrosion on real grounds": (records.kinds == "blended") & checked,
        "drawn corrosion on clean sections": records.kinds == "control",
        "clean sections": records.kinds == "clean",
        "foreign, fitted on": (records.kinds == "foreign") & (records.whats == 0),
        "foreign, held out": records.kinds == "held_out",
    }
    found: dict[str, Any] = {
        name: {"n": int(rows.sum()), "null": _rounded(out[rows].mean()) if rows.any() else None}
        for name, rows in groups.items()
    }
    missed = groups["foreign, held out"] & ~out
    found["foreign, held out"]["missed"] = records.groups[missed].tolist()
    return found


def _interval_figures(
    records: Records, numbers: Numbers, fit: IntervalFit, name: str, checked: NDArray[np.bool_]
) -> dict[str, Any]:
    """Coverage of all, and in each third of the true area; width of the value itself; by generator."""
    found = {}
    for kind in ("painted", "relief", "both"):
        rows = checked & (np.True_ if kind == "both" else records.kinds == kind)
        measured, true = _roots(records.where(rows), name)
        held, ends = holds(getattr(fit, name), _of(numbers, rows), measured, true)
        areas = records.truths[rows, 0]
        third = np.argsort(np.argsort(areas, kind="stable"), kind="stable") * 3 // max(len(true), 1)
        widths = np.square(ends[:, 1]) - np.square(ends[:, 0])
        found[kind] = {
            "n": len(true),
            "coverage": _rounded(held.mean()),
            "thirds": [_rounded(held[third == number].mean()) for number in range(3)],
            "median_width": _rounded(np.median(widths)),
        }
    return found


def _rounded(value: Any) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    sys.exit(main())
