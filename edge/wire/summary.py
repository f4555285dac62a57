"""An inspection in, its `edge.summary/2` out: the same figures on one level, for those who draw curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from edge.config import DeviceSettings
from edge.records import Inspection, Severity, SeverityLabel, code_of
from edge.wire.documents import Flag
from edge.wire.encode import milliseconds, serialise, shorten, timestamp, to_decimals, to_significant_or_none
from edge.wire.inspection import corrosion_fields, image_fields, sample_fields, warnings_of
from edge.wire.inspection_documents import SummaryDocument

_SEVERITY_INDEX: Final[Mapping[SeverityLabel, Literal[0, 1, 2]]] = {"low": 0, "moderate": 1, "severe": 2}


def encode_summary(
    inspection: Inspection, *, inspection_id: str, epoch: str | None, seq: int | None, device: DeviceSettings
) -> bytes:
    """An `edge.summary/2`. `epoch` and `seq` are None when no journal stands behind it.

    Raises ValueError naming the field when a number that the verdict rests on is not finite or out of range.
    """
    severity, corrosion = inspection.severity, corrosion_fields(inspection)
    diameters = corrosion.equivalent_diameter_um if corrosion else None
    interval = corrosion.area_fraction_interval if corrosion else None
    lowest, highest = interval or (None, None)
    image, sample = image_fields(inspection), sample_fields(inspection)
    return serialise(
        SummaryDocument(
            schema_="edge.summary/2",
            epoch=epoch,
            seq=seq,
            ts=timestamp(inspection.made_at),
            ts_ms=milliseconds(inspection.made_at),
            site=device.site,
            area=device.area,
            device_id=device.id,
            inspection_id=inspection_id,
            image_name=shorten(inspection.source.name, 120),
            image_revision=inspection.source.revision,
            image_run=inspection.source.run,
            severity_state=_state(severity),
            abstained=_flag(severity is not None and severity.abstained),
            severity=severity.label if severity else None,
            severity_index=_SEVERITY_INDEX[severity.label] if severity and severity.label else None,
            severity_confidence=to_decimals(severity.confidence, 5) if severity and severity.confidence is not None else None,
            severity_reason=_reason(severity),
            severity_source=severity.source if severity else None,
            needs_review=_flag(severity.needs_review) if severity else None,
            area_fraction=corrosion.area_fraction if corrosion else None,
            area_fraction_lo=lowest,
            area_fraction_hi=highest,
            region_count=corrosion.region_count if corrosion else None,
            area_um2=corrosion.area_um2 if corrosion else None,
            density_per_mm2=corrosion.density_per_mm2 if corrosion else None,
            largest_um2=corrosion.largest_um2 if corrosion else None,
            equivalent_diameter_mean_um=diameters.mean if diameters else None,
            equivalent_diameter_p50_um=diameters.p50 if diameters else None,
            equivalent_diameter_p95_um=diameters.p95 if diameters else None,
            equivalent_diameter_max_um=diameters.max if diameters else None,
            annealing_min=sample.annealing_min,
            exposure_h=sample.exposure_h,
            pixel_size_nm=image.pixel_size_nm,
            field_um2=image.field_um2,
            calibrated=_flag(inspection.micrograph.pixel_size_um is not None),
            in_domain=None if inspection.quality.in_domain is None else _flag(inspection.quality.in_domain),
            sharpness=to_significant_or_none(inspection.quality.sharpness),
            total_ms=to_decimals(inspection.timing.total, 3),
            warnings_count=len(warnings_of(inspection)),
            backend=inspection.models.backend,
        )
    )


def _state(severity: Severity | None) -> Literal["judged", "abstained", "not_run"]:
    if severity is None:
        return "not_run"
    return "abstained" if severity.abstained else "judged"


def _reason(severity: Severity | None) -> str:
    """Code of the first reason: why it abstained, where it did. Empty without one, as text that null would not clear."""
    return code_of(severity.reasons[0]) if severity and severity.reasons else ""


def _flag(condition: bool) -> Flag:
    return 1 if condition else 0
