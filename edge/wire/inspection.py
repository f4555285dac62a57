"""An inspection in, its `edge.inspection/2` out: areas and diameters in µm where a scale is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import DeviceSettings
from edge.records import Guess, Inspection, Interval, Measures, ModelIdentity, Quality, RegionSeverity, Severity, Timing
from edge.wire import inspection_documents as documents
from edge.wire.encode import (
    device_fields,
    milliseconds,
    scale,
    serialise,
    timestamp,
    to_decimals,
    to_finite,
    to_significant,
    to_significant_or_none,
)


def encode_inspection(
    inspection: Inspection, *, inspection_id: str, epoch: str | None, seq: int | None, device: DeviceSettings
) -> bytes:
    """An `edge.inspection/2`. `epoch` and `seq` are None when no journal stands behind it.

    Raises ValueError naming the field when a number that the verdict rests on is not finite or out of range.
    """
    used = inspection.models
    return serialise(
        documents.InspectionDocument(
            schema_="edge.inspection/2",
            inspection_id=inspection_id,
            epoch=epoch,
            seq=seq,
            ts=timestamp(inspection.made_at),
            ts_ms=milliseconds(inspection.made_at),
            device=device_fields(device),
            image=image_fields(inspection),
            sample=sample_fields(inspection),
            severity=None if inspection.severity is None else _severity(inspection.severity),
            corrosion=corrosion_fields(inspection),
            regions=_regions(inspection),
            regions_truncated=inspection.regions.truncated,
            quality=_quality(inspection.quality, warnings_of(inspection)),
            model=documents.ModelFields(
                segmenter=_model_file(used.segmenter),
                classifier=_model_file(used.classifier),
                regions=_model_file(used.regions),
                taught=None if used.taught_sha256 is None else documents.TaughtFields(sha256=used.taught_sha256),
                backend=used.backend,
                precision=used.precision,
                engine_sha256=used.engine_sha256,
            ),
            settings_sha256=inspection.settings_sha256,
            timing_ms=_timing(inspection.timing),
        )
    )


def image_fields(inspection: Inspection) -> documents.ImageFields:
    """The file, and how it was taken. Sizes are those stored; the field of view is without the data bar."""
    source, picture = inspection.source, inspection.micrograph
    taken, um = picture.acquisition, picture.pixel_size_um
    dark, bright = picture.grey_window
    return documents.ImageFields(
        name=source.name,
        path=source.path,
        sha256=source.sha256,
        revision=source.revision,
        run=source.run,
        page=picture.page,
        width_px=picture.stored_width_px,
        height_px=picture.stored_height_px,
        databar_px=picture.databar_px,
        captured_at=None if taken.captured_at is None else taken.captured_at.isoformat(),
        captured_tz=taken.captured_tz,
        instrument=documents.InstrumentFields(vendor=taken.vendor, model=taken.model),
        acceleration_kv=to_significant_or_none(taken.acceleration_kv),
        magnification=to_significant_or_none(taken.magnification),
        detector=taken.detector,
        working_distance_mm=to_significant_or_none(taken.working_distance_mm),
        tilt_deg=to_significant_or_none(taken.tilt_deg),
        pixel_size_nm=to_significant_or_none(picture.pixel_size_nm, 9),
        pixel_size_source=picture.pixel_size_source,
        scale_uncertainty=to_significant_or_none(picture.scale_uncertainty),
        field_um2=scale(picture.width_px * picture.height_px, um, um),
        smallest_region_um=scale(inspection.smallest_region_px, um),
        grey_window=(to_significant(dark, 9), to_significant(bright, 9)),
    )


def sample_fields(inspection: Inspection) -> documents.SampleFields:
    """What the file's path says of the sample; what the configuration's patterns name beside the two stays as found."""
    found = dict(inspection.sample)
    annealing_min, exposure_h = found.pop("annealing_min", None), found.pop("exposure_h", None)
    others = {name: _sample_value(value) for name, value in found.items()}
    return documents.SampleFields(annealing_min=to_finite(annealing_min), exposure_h=to_finite(exposure_h), **others)


def _sample_value(value: Any) -> bool | float | str | None:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return to_finite(value)
    return str(value)


def corrosion_fields(inspection: Inspection) -> documents.CorrosionFields | None:
    """The measures of the whole field of view; None when stage 1 was not run."""
    if inspection.models.segmenter is None:
        return None
    measures, um = inspection.measures, inspection.micrograph.pixel_size_um
    count = len(inspection.regions)
    return documents.CorrosionFields(
        area_fraction=to_significant(measures.area_fraction),
        area_fraction_interval=_interval(measures.area_fraction_interval, 1.0),
        region_count=count,
        regions_below=inspection.regions.below,
        counted_from=documents.CountedFromFields(
            px=to_significant(measures.counted_from_px), um=to_significant_or_none(measures.counted_from_um)
        ),
        area_um2=scale(measures.union_px, um, um),
        density_per_mm2=_density(int(np.count_nonzero(measures.in_frame)), measures, um),
        density_per_mm2_interval=_interval(measures.counted_interval, _density(1, measures, um)),
        largest_um2=scale(int(measures.area_px.max()), um, um) if count else None,
        largest_um2_interval=_interval(measures.largest_px_interval, um, um),
        largest_touches_edge=bool(measures.touches_edge[measures.area_px.argmax()]) if count else None,
        equivalent_diameter_um=_diameters(measures, um),
        by_class={
            name: documents.ClassFields(
                area_fraction=to_significant(found.area_fraction),
                count=found.count,
                density_per_mm2=_density(found.counted, measures, um),
                largest_um2=scale(found.largest_px, um, um),
            )
            for name, found in measures.by_class.items()
        },
    )


def _interval(ends: Interval | None, *factors: float | None) -> Interval | None:
    """Both ends times each factor; None where the interval or a factor is unknown."""
    lowest, highest = (scale(end, *factors) for end in ends or (None, None))
    return None if lowest is None or highest is None else (lowest, highest)


def _density(counted: int, measures: Measures, um: float | None) -> float | None:
    """Regions per mm² of the field. counted: regions of the counting frame."""
    field_um2 = scale(measures.field_px, um, um)
    return to_significant_or_none(counted / field_um2 * 1e6) if field_um2 else None


def _diameters(measures: Measures, um: float | None) -> documents.DiametersFields | None:
    """Of the regions that no edge cuts; of the others nobody knows how large they are."""
    diameters: NDArray[np.float64] = measures.equivalent_diameter_px[~measures.touches_edge]
    if um is None or not len(diameters):
        return None
    p50_px, p95_px = np.percentile(diameters, [50, 95])
    mean, p50, p95 = (scale(float(value), um) for value in (diameters.mean(), p50_px, p95_px))
    largest = scale(float(diameters.max()), um)
    if mean is None or p50 is None or p95 is None or largest is None:
        return None
    return documents.DiametersFields(mean=mean, p50=p50, p95=p95, max=largest)


def _severity(severity: Severity) -> documents.SeverityFields:
    return documents.SeverityFields(
        label=severity.label,
        class_=severity.own_class,
        confidence=_confidence(severity.confidence),
        probabilities=_probabilities(severity.probabilities),
        prediction_set=None if severity.prediction_set is None else list(severity.prediction_set),
        abstained=severity.abstained,
        guess=_guess(severity.guess),
        network=_guess(severity.network),
        source=severity.source,
        needs_review=severity.needs_review,
        reasons=list(severity.reasons),
        cam=np.round(severity.cam.astype(np.float64), 4).tolist(),
    )


def _guess(guess: Guess | None) -> documents.GuessFields | None:
    if guess is None:
        return None
    return documents.GuessFields(
        label=guess.label,
        class_=guess.own_class,
        confidence=_confidence(guess.confidence),
        probabilities=_probabilities(guess.probabilities),
    )


def _confidence(confidence: float | None) -> float | None:
    return None if confidence is None else to_decimals(confidence, 5)


def _probabilities(probabilities: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if probabilities is None else {name: to_decimals(value, 5) for name, value in probabilities.items()}


def _regions(inspection: Inspection) -> list[documents.RegionFields]:
    regions, measures, um = inspection.regions, inspection.measures, inspection.micrograph.pixel_size_um
    if inspection.models.segmenter is None:
        return []
    # Lists are read much faster than arrays element by element.
    columns = zip(
        regions.class_ids.tolist(),
        regions.scores.tolist(),
        (regions.scores if regions.network_scores is None else regions.network_scores).tolist(),
        regions.boxes_px.tolist(),
        measures.area_px.tolist(),
        measures.equivalent_diameter_px.tolist(),
        measures.circularity.tolist(),
        measures.touches_edge.tolist(),
        inspection.region_severities,
        measures.outlines_px,
        measures.holes_px,
        strict=True,
    )
    return [
        documents.RegionFields(
            index=index,
            class_=regions.class_names[class_id],
            score=to_decimals(score, 4),
            score_network=to_decimals(heard, 4),
            box_px=box,
            area_px=area,
            area_um2=scale(area, um, um),
            equivalent_diameter_um=scale(diameter, um),
            circularity=to_significant_or_none(circularity, 4),
            touches_edge=touches,
            severity=None if severity is None else _region_severity(severity),
            outline_px=outline.tolist(),
            holes_px=[hole.tolist() for hole in holes],
        )
        for index, (class_id, score, heard, box, area, diameter, circularity, touches, severity, outline, holes) in enumerate(
            columns
        )
    ]


def _region_severity(severity: RegionSeverity) -> documents.RegionSeverityFields:
    return documents.RegionSeverityFields(
        label=severity.label, confidence=to_decimals(severity.confidence, 5), weak=severity.weak, basis=severity.basis
    )


def _quality(quality: Quality, warnings: list[str]) -> documents.QualityFields:
    return documents.QualityFields(
        sharpness=to_significant_or_none(quality.sharpness),
        contrast=to_decimals(quality.contrast, 5),
        saturated_fraction=to_decimals(quality.saturated_fraction, 6),
        in_domain=quality.in_domain,
        warnings=warnings,
    )


def warnings_of(inspection: Inspection) -> list[str]:
    """The file's and the picture's, each once."""
    return list(dict.fromkeys((*inspection.micrograph.warnings, *inspection.quality.warnings)))


def _model_file(identity: ModelIdentity | None) -> documents.ModelFileFields | None:
    if identity is None:
        return None
    return documents.ModelFileFields(name=identity.name, version=identity.version, sha256=identity.sha256)


def _timing(timing: Timing) -> documents.TimingFields:
    return documents.TimingFields(
        wait=to_decimals(timing.wait, 3),
        read=to_decimals(timing.read, 3),
        decode=to_decimals(timing.decode, 3),
        segment=to_decimals(timing.segment, 3),
        masks=to_decimals(timing.masks, 3),
        measure=to_decimals(timing.measure, 3),
        classify=to_decimals(timing.classify, 3),
        total=to_decimals(timing.total, 3),
    )
