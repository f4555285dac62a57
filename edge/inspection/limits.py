"""What was measured in a field of view and the plant's own limits in, the severity that follows out.

A measure is compared as it is published, to six significant digits, so that whoever reads the message finds the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge.config import LimitSettings, SeveritySettings
from edge.errors import ConfigError
from edge.models.card import ModelCard
from edge.records import OF_NETWORK, SEVERITIES, ClassMeasures, Interval, Measures, Micrograph, Regions, Severity, code_of


@dataclass(frozen=True, slots=True)
class _Reading:
    """One measure beside its limit.

    level: index into `SEVERITIES` of the severity that the limit stands for.
    lowest, value, highest: ends of the measure's interval, both the value where there is none. An unknown value is None,
    and lies between 0 and infinity.
    """

    level: int
    name: str
    limit: float
    lowest: float
    value: float | None
    highest: float

    @property
    def straddles(self) -> bool:
        """Whether the measure is known and may lie on either side of its limit."""
        return self.value is not None and self.lowest < self.limit <= self.highest

    @property
    def doubt(self) -> str:
        ends = f"{_published(self.lowest):g} to {_published(self.highest):g}" if self.highest < math.inf else "or more"
        severity = SEVERITIES[self.level]
        return f"{self.name} is {self.value:g} ({ends}) and may lie on either side of the limit for {severity}, {self.limit:g}"


def require_known_classes(limits: SeveritySettings, card: ModelCard) -> None:
    """Refuse limits on a class that the segmenter of `card` never finds. Raises ConfigError."""
    if limits.rule != "limits":
        return
    for severity, limit in (("moderate", limits.moderate), ("severe", limits.severe)):
        if limit.class_ and limit.class_ not in card.classes:
            raise ConfigError(
                f"severity.{severity}.class: the segmenter {card.name} knows no class {limit.class_!r}; it has "
                f"{', '.join(card.classes)}"
            )


def by_limits(
    limits: SeveritySettings, regions: Regions, measures: Measures, micrograph: Micrograph, network: Severity | None
) -> Severity:
    """The severity whose limits are reached: severe, else moderate, else low. A limit is reached by what equals it.

    network: the network's own severity, if one was asked; it stays visible and decides no label. Where it
    finds the image foreign, or contradicts the measures, a person should look.
    A measure that is not known makes it abstain, and an interval that holds a limit asks for review, where the label could be
    another for it.
    """
    readings = [
        *_readings(1, limits.moderate, regions, measures, micrograph),
        *_readings(2, limits.severe, regions, measures, micrograph),
    ]
    label = max((one.level for one in readings if one.value is not None and one.value >= one.limit), default=0)
    known = [one for one in readings if one.value is not None]
    least = max((one.level for one in known if one.lowest >= one.limit), default=0)
    reasons = [f"limit_straddled: {one.doubt}" for one in known if one.straddles and one.level > least]
    if unknown := [one.name for one in readings if one.value is None and one.level > label]:
        why = "the length of a pixel is unknown" if micrograph.pixel_size_nm is None else "the tilt was not corrected"
        names = " and ".join(dict.fromkeys(unknown))
        reasons.append(f"limit_unmeasured: {names} cannot be measured, because {why}, and a limit on it could decide")
    reasons += _doubts_of_measures(network)
    severity = Severity(
        label=SEVERITIES[label],
        confidence=None,
        probabilities=None,
        prediction_set=None,
        needs_review=False,
        reasons=(),
        in_domain=network.in_domain if network else None,
        cam=network.cam if network else np.zeros((0, 0), np.float32),
        domain_ratio=network.domain_ratio if network else None,
        source="limits",
        network=network.answer if network else None,
    )
    return severity.doubted(reasons)


def _doubts_of_measures(network: Severity | None) -> Iterator[str]:
    """Where the network's doubt is one of what was measured: what is foreign to it was learnt by neither stage."""
    return (reason for reason in (network.reasons if network else ()) if code_of(reason) in OF_NETWORK)


def _readings(
    level: int, limits: LimitSettings, regions: Regions, measures: Measures, micrograph: Micrograph
) -> Iterator[_Reading]:
    """Every measure that `limits` look at."""
    whole = _whole(measures)
    found = measures.by_class.get(limits.class_, ClassMeasures(0.0, 0, 0, None)) if limits.class_ else whole
    # Intervals are of all classes together; of one class nothing is promised.
    area, counted, largest = (
        (None, None, None)
        if limits.class_
        else (measures.area_fraction_interval, measures.counted_interval, measures.largest_px_interval)
    )
    um = micrograph.pixel_size_um
    field_um2 = _published(measures.field_px * um * um) if um else 0.0
    per_mm2 = (lambda counted: counted / field_um2 * 1e6) if field_um2 else None
    across_um = (lambda area_px: math.sqrt(4 * area_px / math.pi) * um) if um else None
    named: dict[str, tuple[float, Interval | None, Callable[[float], float] | None]] = {
        "area_fraction": (found.area_fraction, area, lambda fraction: fraction),
        "density_per_mm2": (found.counted, counted, per_mm2),
        "largest_um": (found.largest_px or 0, largest, across_um),
    }
    of_class = f" of {limits.class_}" if limits.class_ else ""
    for name, limit in limits.given().items():
        measured, interval, in_units = named[name]
        lowest, highest = interval or (measured, measured)
        if in_units is None and not highest:  # nothing is nothing in every unit
            yield _Reading(level, name + of_class, limit, 0.0, 0.0, 0.0)
        elif in_units is None:
            yield _Reading(level, name + of_class, limit, 0.0, None, math.inf)
        else:
            ends = (_published(in_units(one)) for one in (lowest, measured, highest))
            reading = _Reading(level, name + of_class, limit, *ends)
            # Of too many regions the largest were kept; how much the others are, nobody counted.
            yield replace(reading, highest=math.inf) if regions.truncated and name != "largest_um" else reading


def _whole(measures: Measures) -> ClassMeasures:
    """What there is of all classes together."""
    count = len(measures.area_px)
    return ClassMeasures(
        area_fraction=measures.area_fraction,
        count=count,
        counted=int(np.count_nonzero(measures.in_frame)),
        largest_px=int(measures.area_px.max()) if count else None,
    )


def _published(value: float) -> float:
    return float(f"{value:.6g}")
