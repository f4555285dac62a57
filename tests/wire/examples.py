"""Inspections and failures as the pipeline gives them, known and random; and one message of every kind that is sent."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edge.config import DeviceSettings
from edge.records import (
    REASONS,
    Acquisition,
    ClassMeasures,
    Failure,
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
)
from edge.wire import documents
from edge.wire.command import encode_response
from edge.wire.failure import encode_failure, encode_tombstone
from edge.wire.inspection import encode_inspection
from edge.wire.status import encode_health, encode_status
from edge.wire.summary import encode_summary

DEVICE = DeviceSettings(site="plant-1", area="lab", id="sem-01")

EPOCH = "3f2b8c1e-8a41-4a55-9c2d-6f6f0a1b2c3d"

ID = "0b7a4d1c-9a53-5d3e-8f10-1c2d3e4f5a6b"

AT = datetime(2024, 5, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))


def example() -> Inspection:
    """Two regions, one with a hole, on a calibrated field of 200 x 100 px with a bar of 20 px."""
    ring = np.ones((10, 20), bool)
    ring[4:6, 4:6] = False
    return Inspection(
        source=Source("AN5_24h.tif", "batch/AN5_24h.tif", "ab" * 32, revision=2, run=1),
        micrograph=Micrograph(
            np.zeros((100, 200), np.uint8),
            200,
            120,
            20,
            pixel_size_nm=250.0,
            pixel_size_source="metadata",
            acquisition=Acquisition("Thermo Fisher", "Apreo 2", datetime(2024, 4, 30, 9, 15), None, 5.0, 1000.0),  # noqa: DTZ001
            grey_window=(12.0, 240.0),
            warnings=("the last rows are black",),
        ),
        sample={"annealing_min": 5.0, "exposure_h": 24.0, "operator": "ab"},
        regions=Regions(
            np.array([[10, 20, 20, 10], [50, 60, 3, 3]], np.int32),
            np.array([0.91, 0.4], np.float32),
            np.array([0, 0], np.int32),
            (ring, np.ones((3, 3), bool)),
            ("corrosion",),
        ),
        measures=Measures(
            np.array([196, 9], np.int64),
            np.array([15.797, 3.385]),
            np.array([0.71234567, np.nan]),
            np.array([False, True]),
            (np.array([[10, 20], [29, 20], [29, 29], [10, 29]], np.int32), np.array([[50, 60], [52, 62]], np.int32)),
            ((np.array([[14, 24], [15, 25]], np.int32),), ()),
            union_px=205,
            area_fraction=205 / 20_000,
            field_px=20_000,
            in_frame=np.array([True, True]),
            by_class={"corrosion": ClassMeasures(205 / 20_000, 2, 2, 196)},
            counted_from_px=2.0,
            counted_from_um=0.5,
        ),
        severity=Severity(
            "moderate",
            0.712345678,
            {"low": 0.2, "moderate": 0.712345678, "severe": 0.087654322},
            ("low", "moderate"),
            True,
            ("ambiguous: two classes are plausible",),
            True,
            np.array([[0, 0.5], [0.33333334, 1]], np.float32),
        ),
        region_severities=(RegionSeverity("severe", 0.6), None),
        quality=Quality(0.123456789, 0.25, 0.001, True, ("low contrast", "the last rows are black")),
        models=ModelsUsed(
            ModelIdentity("segmenter", "1", "cd" * 32), ModelIdentity("classifier", "1", "ef" * 32), "onnxruntime", "float32"
        ),
        smallest_region_px=8.0,
        settings_sha256="01" * 32,
        timing=Timing(wait=1.23456, total=98.76543),
        made_at=AT,
    )


def uncalibrated() -> Inspection:
    whole = example()
    picture = dataclasses.replace(whole.micrograph, pixel_size_nm=None, pixel_size_source=None)
    return dataclasses.replace(whole, micrograph=picture)


def classified_only() -> Inspection:
    whole = example()
    nothing = Regions(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), np.zeros(0, np.int32), (), ())
    unmeasured = Measures(
        np.zeros(0, np.int64),
        np.zeros(0),
        np.zeros(0),
        np.zeros(0, bool),
        (),
        (),
        union_px=0,
        area_fraction=0,
        field_px=20_000,
        in_frame=np.zeros(0, bool),
        by_class={},
    )
    models = dataclasses.replace(whole.models, segmenter=None)
    return dataclasses.replace(whole, regions=nothing, measures=unmeasured, region_severities=(), models=models)


def segmented_only() -> Inspection:
    whole = example()
    models = dataclasses.replace(whole.models, classifier=None)
    return dataclasses.replace(whole, severity=None, region_severities=(None, None), models=models)


def abstained() -> Inspection:
    whole = example()
    assert whole.severity is not None
    severity = whole.severity.doubted(["no_contrast: there is nothing to judge"])
    return dataclasses.replace(whole, severity=severity, region_severities=(None, None))


def limited() -> Inspection:
    """Severe by the plant's own limits, where the network said moderate."""
    whole = example()
    assert whole.severity is not None
    nothing: dict[str, Any] = {"confidence": None, "probabilities": None, "prediction_set": None}
    severity = dataclasses.replace(
        whole.severity,
        label="severe",
        reasons=(),
        needs_review=False,
        source="limits",
        network=whole.severity.answer,
        **nothing,
    )
    return dataclasses.replace(whole, severity=severity)


def limited_alone() -> Inspection:
    """The same where no network of severity is loaded."""
    whole = segmented_only()
    severity = limited().severity
    assert severity is not None
    severity = dataclasses.replace(severity, network=None, in_domain=None, cam=np.zeros((0, 0), np.float32))
    return dataclasses.replace(whole, severity=severity)


def unmeasured() -> Inspection:
    """A limit in µm on an image without a scale."""
    whole = uncalibrated()
    severity = limited().severity
    assert severity is not None
    return dataclasses.replace(
        whole, severity=severity.doubted(["limit_unmeasured: largest_um cannot be measured"]), region_severities=(None, None)
    )


def tilted(**changed: Any) -> Inspection:
    """Taken at 52°, which nothing corrected."""
    whole = example()
    taken = dataclasses.replace(whole.micrograph.acquisition, **{"tilt_deg": 52.0, "tilt_corrected": False, **changed})
    return dataclasses.replace(whole, micrograph=dataclasses.replace(whole.micrograph, acquisition=taken))


def failure(**changed: Any) -> Failure:
    source = Source("a.tif", "a.tif", None)
    return dataclasses.replace(Failure(source, "truncated", "a.tif ends in the middle of strip 7", AT), **changed)


def encoded(inspection: Inspection) -> dict[str, Any]:
    message: dict[str, Any] = strict(encode_inspection(inspection, inspection_id=ID, epoch=EPOCH, seq=42, device=DEVICE))
    return message


def summarised(inspection: Inspection) -> dict[str, Any]:
    message: dict[str, Any] = strict(encode_summary(inspection, inspection_id=ID, epoch=EPOCH, seq=42, device=DEVICE))
    return message


def strict(payload: bytes) -> Any:
    """Parse as a program would that knows no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(payload.decode("utf-8"), parse_constant=refuse)


def messages() -> dict[str, bytes]:
    """One message of every kind that is sent."""
    named: dict[str, Any] = {"epoch": EPOCH, "seq": 42, "device": DEVICE}
    return {
        "inspection": encode_inspection(example(), inspection_id=ID, **named),
        "failure": encode_failure(failure(), failure_id=ID, **named),
        "summary": encode_summary(example(), inspection_id=ID, **named),
        "tombstone": encode_tombstone(kind="inspection", verdict_id=ID, reason="Not authorized", at=AT, **named),
        "status": encode_status(
            state="degraded",
            reasons=["the folder is gone"],
            connected_at=AT,
            epoch=EPOCH,
            last_seq=42,
            dead_letters=0,
            device=DEVICE,
            at=AT,
        ),
        "health": encode_health(
            uptime_s=12.34,
            queue=documents.QueueFields(images_waiting=1, images_suspect=0, unsent=2, oldest_unsent_s=0.5, dead_letters=0),
            memory=documents.MemoryFields(process_mib=300, available_mib=4000),
            disk=documents.DiskFields(state_mib=10, free_mib=100_000),
            gpu=documents.GpuFields(
                name="NVIDIA",
                memory_used_mib=512,
                memory_total_mib=8192,
                utilisation=0.5,
                temperature_c=None,
                power_w=21.5,
                throttling=["sw_power_cap"],
                xid=None,
                unknown={"temperature_c": "NVML: Not Supported", "xid": "NVML: Not Supported"},
            ),
            latency_ms=documents.LatencyFields(count=10, p50=80, p95=120, p99=130),
            clock_synced=None,
            versions={"edge": "0.1.0"},
            today=documents.TodayFields(date="2024-05-01", inspections=12, failures=1),
            last_image_at=AT,
            newest_dead_letter=documents.DeadLetterFields(
                seq=7, topic="overlay/x", reason="too large", at="2024-05-01T11:00:00.000Z"
            ),
            quarantine=documents.QuarantineFields(given_up=1, crashed=0, suspects=0),
            problems={"paused: by command": "Send resume."},
            device=DEVICE,
            at=AT,
        ),
        "response": encode_response(command="replay", request_id=None, error=None, result={"count": 3}, device=DEVICE, at=AT),
    }


any_text = st.text(alphabet=st.characters(), max_size=20) | st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5)
any_float = st.floats(allow_nan=True, allow_infinity=True)
share = st.floats(0, 1)
reasons = st.builds("{}: {}".format, st.sampled_from(REASONS), any_text)
judged = st.builds(
    Severity,
    st.sampled_from(["low", "moderate", "severe"]),
    share,
    st.dictionaries(st.sampled_from(["low", "moderate", "severe"]), share),
    st.none() | st.just(("low",)),
    st.booleans(),
    st.tuples(reasons),
    st.booleans(),
    st.just(np.ones((2, 2), np.float32)),
)
by_limits = st.builds(
    Severity,
    st.sampled_from(["low", "moderate", "severe"]),
    st.none(),
    st.none(),
    st.none(),
    st.just(value=True),
    st.tuples(reasons),
    st.none() | st.booleans(),
    st.just(np.zeros((0, 0), np.float32)),
    source=st.just("limits"),
)
judged |= by_limits
severities = judged | st.builds(Severity.doubted, judged, st.lists(reasons, max_size=3))


@st.composite
def measures(draw: st.DrawFn, n: int) -> Measures:
    """Of `n` regions, with a circularity that may be no number."""
    return Measures(
        np.full(n, draw(st.integers(0, 2**40)), np.int64),
        np.full(n, draw(st.floats(0, 1e6))),
        np.full(n, draw(st.floats(0, 1) | st.just(math.nan) | st.just(math.inf))),
        np.zeros(n, bool),
        (np.zeros((1, 2), np.int32),) * n,
        ((),) * n,
        union_px=draw(st.integers(0, 20)),
        area_fraction=draw(share),
        field_px=20,
        in_frame=np.ones(n, bool),
        by_class={draw(any_text): ClassMeasures(draw(share), n, draw(st.integers(0, n)), draw(st.none() | st.integers(1, 9)))},
        counted_from_px=draw(st.floats(0, 1e6)),
        counted_from_um=draw(st.none() | st.floats(0, 1e6)),
        area_fraction_interval=draw(st.none() | st.tuples(share, share)),
        counted_interval=draw(st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6))),
        largest_px_interval=draw(st.none() | st.tuples(st.floats(0, 1e12), st.floats(0, 1e12))),
    )


@st.composite
def inspections(draw: st.DrawFn) -> Inspection:
    """Any inspection that the records allow: odd texts, no number where the file says none."""
    n = draw(st.integers(0, 3))
    size = draw(st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False))
    maybe = st.none() | any_float
    return Inspection(
        source=Source(draw(any_text), draw(any_text), None, draw(st.integers(1, 9)), 1),
        micrograph=Micrograph(
            np.zeros((4, 5), np.uint8),
            5,
            4,
            pixel_size_nm=size,
            pixel_size_source=None if size is None else "sidecar",
            acquisition=Acquisition(
                draw(st.none() | any_text),
                draw(st.none() | any_text),
                draw(st.none() | st.datetimes()),
                None,
                draw(maybe),
                draw(maybe),
                draw(st.none() | any_text),
                draw(maybe),
                draw(maybe),
                draw(st.none() | st.booleans()),
            ),
            warnings=(draw(any_text),),
            scale_uncertainty=draw(st.none() | st.floats(0, 1)),
        ),
        sample=draw(st.dictionaries(st.sampled_from(["annealing_min", "exposure_h", "who"]), any_text | any_float | st.none())),
        regions=Regions(
            np.ones((n, 4), np.int32),
            np.full(n, draw(share), np.float32),
            np.zeros(n, np.int32),
            (np.ones((1, 1), bool),) * n,
            (draw(any_text),),
        ),
        measures=draw(measures(n)),
        severity=draw(st.none() | severities),
        region_severities=(None,) * n,
        quality=Quality(draw(st.floats(0) | st.just(math.nan)), draw(share), draw(share), None, (draw(any_text),)),
        models=ModelsUsed(
            draw(st.none() | st.builds(ModelIdentity, any_text, any_text, any_text)), None, "openvino", "float32"
        ),
        smallest_region_px=draw(st.none() | st.floats(0)),
        settings_sha256="",
        timing=Timing(),
        made_at=AT + draw(st.timedeltas(timedelta(days=-18_000), timedelta(days=300_000))),
    )
