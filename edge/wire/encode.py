"""Inspections, failures and the daemon's own news in, JSON messages (UTF-8 bytes) out; and commands the other way.

Pure: no clock, no disk, no network. The fields themselves stand in `edge.wire.documents`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edge import __version__
from edge.config import DeviceSettings
from edge.errors import FailureCode
from edge.records import SEVERITIES, Failure, Inspection, Measures, Micrograph, ModelIdentity, RegionSeverity, Severity
from edge.wire import documents
from edge.wire.documents import printable

VerdictKind = Literal["inspection", "failure"]

_TOMBSTONE = b'{"schema":"edge.tombstone/1"'

_HINTS: dict[FailureCode, str] = {
    "empty": "Look at the file on the microscope's computer: the export may have been stopped, or its disk may be full.",
    "not_an_image": "Look at what writes into the folder, or narrow watch.patterns.",
    "truncated": "Export the image again; if files arrive slowly, raise watch.incomplete_s.",
    "damaged": "Open the file in the microscope's own software and export it again.",
    "too_large": "If this size is intended, raise inspect.max_megapixels or inspect.max_file_mib.",
    "unsupported": "Export the image as a grey or colour TIFF, PNG, BMP or JPEG.",
    "unreadable": "Look at the file's permissions and at the share or disk: the service's user must be able to read it.",
    "not_a_file": "Look at what lies in the folder under this name.",
    "outside_folder": "Copy the file into the watched folder in place of the link.",
    "still_changing": "Look at what keeps writing to the file; it is inspected again when it changes.",
    "crashed": "Keep the file and the service's log, and report both.",
    "internal": "The service's log has the traceback: report it with the file.",
}


def display_path(path: str) -> str:
    r"""A path as it can be shown and sent: bytes that are no UTF-8 become ``\xNN``. See `documents.printable`."""
    return printable(path)


def verdict_id(epoch: str, path: str, revision: int, run: int, *, page: int = 0, kind: VerdictKind = "inspection") -> str:
    """The id of a verdict: UUIDv5 (RFC 9562, 5.5), the same however often it is computed or sent.

    The namespace is `epoch`; the name is path, revision and run, joined by NUL (which no path can hold), then the
    page when it is not the first, then the word "failure" for a failure. `path` is relative to the watched folder, as
    `os.fsdecode` gives it; its raw bytes are what counts. Raises ValueError when `epoch` is no UUID.
    """
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogatepass")
    parts = [raw, str(revision).encode(), str(run).encode()]
    if page:
        parts.append(str(page).encode())
    if kind != "inspection":
        parts.append(kind.encode())
    # uuid.uuid5 takes bytes only from Python 3.12 on.
    digest = hashlib.sha1(uuid.UUID(epoch).bytes + b"\0".join(parts), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def encode_inspection(
    inspection: Inspection, *, inspection_id: str, epoch: str | None, seq: int | None, device: DeviceSettings
) -> bytes:
    """An `edge.inspection/1`. `epoch` and `seq` are None when no journal stands behind it.

    Raises ValueError naming the field when a number that the verdict rests on is not finite or out of range.
    """
    source, picture, used = inspection.source, inspection.micrograph, inspection.models
    return _encode(
        documents.Inspection,
        {
            "schema": "edge.inspection/1",
            "inspection_id": inspection_id,
            "epoch": epoch,
            "seq": seq,
            **_event(inspection.made_at, device),
            "image": {
                "name": source.name,
                "path": source.path,
                "sha256": source.sha256,
                "revision": source.revision,
                "run": source.run,
                **_picture(picture, inspection.smallest_region_px),
            },
            "sample": {name: _sample_value(value) for name, value in inspection.sample.items()}
            | {name: _finite(inspection.sample.get(name)) for name in ("annealing_min", "exposure_h")},
            "severity": None if inspection.severity is None else _severity(inspection.severity),
            "corrosion": _corrosion(inspection),
            "regions": _regions(inspection),
            "regions_truncated": inspection.regions.truncated,
            "quality": {
                "sharpness": _significant(inspection.quality.sharpness),
                "contrast": _decimals(inspection.quality.contrast, 5),
                "saturated_fraction": _decimals(inspection.quality.saturated_fraction, 6),
                "in_domain": inspection.quality.in_domain,
                "warnings": _warnings(inspection),
            },
            "model": {
                "segmenter": _model(used.segmenter),
                "classifier": _model(used.classifier),
                "backend": used.backend,
                "precision": used.precision,
                "engine_sha256": used.engine_sha256,
            },
            "settings_sha256": inspection.settings_sha256,
            "timing_ms": {name: _decimals(getattr(inspection.timing, name), 3) for name in documents.Timing.model_fields},
        },
    )


def encode_failure(failure: Failure, *, failure_id: str, epoch: str | None, seq: int | None, device: DeviceSettings) -> bytes:
    """An `edge.failure/1`. Raises ValueError when `failure.code` is none of `edge.errors.FAILURE_CODES`."""
    source = failure.source
    return _encode(
        documents.Failure,
        {
            "schema": "edge.failure/1",
            "failure_id": failure_id,
            "epoch": epoch,
            "seq": seq,
            **_event(failure.made_at, device),
            "image": {
                "name": source.name,
                "path": source.path,
                "sha256": source.sha256,
                "revision": source.revision,
                "run": source.run,
            },
            "error": {"code": failure.code, "message": failure.message},
            "hint": {str(code): hint for code, hint in _HINTS.items()}.get(failure.code, ""),
        },
    )


def summary(inspection: Inspection, *, inspection_id: str, epoch: str | None, seq: int | None, device: DeviceSettings) -> bytes:
    """An `edge.summary/1`: the inspection on one level, for those who draw curves."""
    severity, corrosion = inspection.severity, _corrosion(inspection)
    picture = _picture(inspection.micrograph, inspection.smallest_region_px)
    measured: Mapping[str, Any] = corrosion or {}
    diameters: Mapping[str, Any] = measured.get("equivalent_diameter_um") or {}
    return _encode(
        documents.Summary,
        {
            "schema": "edge.summary/1",
            "epoch": epoch,
            "seq": seq,
            **_moment(inspection.made_at),
            "site": device.site,
            "area": device.area,
            "device_id": device.id,
            "inspection_id": inspection_id,
            "image_name": _short(printable(inspection.source.name), 120),
            "image_revision": inspection.source.revision,
            "image_run": inspection.source.run,
            "severity": severity and severity.label,
            "severity_index": severity and SEVERITIES.index(severity.label),
            "severity_confidence": severity and _decimals(severity.confidence, 5),
            "needs_review": severity and int(severity.needs_review),
            **{name: measured.get(name) for name in ("area_fraction", "region_count", "area_um2", "density_per_mm2")},
            "largest_um2": measured.get("largest_um2"),
            **{f"equivalent_diameter_{name}_um": diameters.get(name) for name in ("mean", "p50", "p95", "max")},
            "annealing_min": _finite(inspection.sample.get("annealing_min")),
            "exposure_h": _finite(inspection.sample.get("exposure_h")),
            "pixel_size_nm": picture["pixel_size_nm"],
            "field_um2": picture["field_um2"],
            "calibrated": int(inspection.micrograph.pixel_size_nm is not None),
            "in_domain": None if inspection.quality.in_domain is None else int(inspection.quality.in_domain),
            "sharpness": _significant(inspection.quality.sharpness),
            "total_ms": _decimals(inspection.timing.total, 3),
            "warnings_count": len(_warnings(inspection)),
            "backend": inspection.models.backend,
        },
    )


def tombstone(
    *, seq: int, epoch: str | None, kind: VerdictKind, verdict_id: str, reason: str, device: DeviceSettings, at: datetime
) -> bytes:
    """An `edge.tombstone/1`, in the place of a verdict that the broker refused for good at `at`."""
    return _encode(
        documents.Tombstone,
        {
            "schema": "edge.tombstone/1",
            "epoch": epoch,
            "seq": seq,
            **_event(at, device),
            "kind": kind,
            "verdict_id": verdict_id,
            "reason": _short(printable(reason), 500),
        },
    )


def is_tombstone(payload: bytes) -> bool:
    """Whether a stored message is already a tombstone."""
    return payload.startswith(_TOMBSTONE)


def status(
    *,
    state: Literal["online", "degraded", "offline"],
    reasons: Sequence[str],
    connected_at: datetime | None,
    epoch: str,
    last_seq: int,
    dead_letters: int,
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.status/1`. `reasons` say why the state is not (or no longer) online."""
    return _encode(
        documents.Status,
        {
            "schema": "edge.status/1",
            "state": state,
            "reasons": [_short(printable(reason), 300) for reason in reasons],
            "connected_at": None if connected_at is None else _moment(connected_at)["ts"],
            "version": __version__,
            "epoch": epoch,
            "last_seq": last_seq,
            "dead_letters": dead_letters,
            **_event(at, device),
        },
    )


def health(
    *,
    uptime_s: float,
    queue: documents.Queue,
    memory: documents.Memory,
    disk: documents.Disk,
    gpu: documents.Gpu | None,
    latency_ms: documents.Latency | None,
    clock_synced: bool | None,
    versions: Mapping[str, str],
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.health/1`."""
    return _encode(
        documents.Health,
        {
            "schema": "edge.health/1",
            "uptime_s": _decimals(uptime_s, 1),
            "queue": queue,
            "memory": memory,
            "disk": disk,
            "gpu": gpu,
            "latency_ms": latency_ms,
            "clock_synced": clock_synced,
            "versions": dict(versions),
            **_event(at, device),
        },
    )


def decode_command(name: str, payload: bytes) -> tuple[str | None, dict[str, Any]]:
    """A command's (request_id, other fields), checked against its schema.

    Raises ValueError, with a sentence for the sender, when the command is unknown or its payload is not what it takes.
    """
    model = documents.COMMANDS.get(name)
    if model is None:
        raise ValueError(f"unknown command {name!r}; known: {', '.join(documents.COMMANDS)}")
    try:
        command = model.model_validate_json(payload.strip() or b"{}")
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc'])) or 'payload'}: {problem['msg']}" for problem in error.errors())
        raise ValueError(f"{name}: {'; '.join(problems)}") from error
    fields = command.model_dump(mode="json")
    return fields.pop("request_id"), fields


def response(
    *,
    command: str,
    request_id: str | None,
    error: str | None,
    result: Mapping[str, Any] | None,
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.response/1`: ok exactly when `error` is None. Raises ValueError when `result` is no strict JSON."""
    return _encode(
        documents.Response,
        {
            "schema": "edge.response/1",
            "command": _short(printable(command), 64),
            "request_id": request_id,
            "ok": error is None,
            "error": error,
            "result": None if result is None else _clean(dict(result)),
            **_event(at, device),
        },
    )


def _encode(model: type[documents.Document], fields: Mapping[str, Any]) -> bytes:
    # In the order given here, `schema` first, not in that of the model's inheritance.
    checked = model.model_validate(fields).model_dump(mode="json", by_alias=True)
    ordered = {name: checked[name] for name in fields}
    return json.dumps(ordered, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _clean(value: Any) -> Any:
    """`value` with every text printable, keys included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(name)): _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _moment(at: datetime) -> dict[str, Any]:
    if at.tzinfo is None:
        raise ValueError(f"the time of an event needs a time zone: {at!r}")
    utc = at.astimezone(timezone.utc)
    text = utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
    whole = utc.replace(microsecond=0)
    return {"ts": text, "ts_ms": round(whole.timestamp()) * 1000 + utc.microsecond // 1000}


def _event(at: datetime, device: DeviceSettings) -> dict[str, Any]:
    return {**_moment(at), "device": {"site": device.site, "area": device.area, "id": device.id}}


def _picture(picture: Micrograph, smallest_region_px: float | None) -> dict[str, Any]:
    taken, um = picture.acquisition, picture.pixel_size_um
    return {
        "page": picture.page,
        "width_px": picture.stored_width_px,
        "height_px": picture.stored_height_px,
        "databar_px": picture.databar_px,
        "captured_at": None if taken.captured_at is None else taken.captured_at.isoformat(),
        "captured_tz": taken.captured_tz,
        "instrument": {"vendor": taken.vendor, "model": taken.model},
        "acceleration_kv": _significant(taken.acceleration_kv),
        "magnification": _significant(taken.magnification),
        "pixel_size_nm": _significant(picture.pixel_size_nm, 9),
        "pixel_size_source": picture.pixel_size_source,
        "field_um2": _scaled(picture.width_px * picture.height_px, um, um),
        "smallest_region_um": _scaled(smallest_region_px, um),
        "grey_window": [_significant(value, 9) for value in picture.grey_window],
    }


def _severity(severity: Severity) -> dict[str, Any]:
    return {
        "label": severity.label,
        "confidence": _decimals(severity.confidence, 5),
        "probabilities": {name: _decimals(value, 5) for name, value in severity.probabilities.items()},
        "prediction_set": None if severity.prediction_set is None else list(severity.prediction_set),
        "needs_review": severity.needs_review,
        "reasons": list(severity.reasons),
        "cam": np.round(severity.cam.astype(np.float64), 4).tolist(),
    }


def _corrosion(inspection: Inspection) -> dict[str, Any] | None:
    if inspection.models.segmenter is None:
        return None
    measures, um = inspection.measures, inspection.micrograph.pixel_size_um
    field_um2 = _scaled(inspection.micrograph.width_px * inspection.micrograph.height_px, um, um)
    count = len(inspection.regions)
    return {
        "area_fraction": _significant(measures.area_fraction),
        "region_count": count,
        "area_um2": _scaled(measures.union_px, um, um),
        "density_per_mm2": _significant(count / field_um2 * 1e6) if field_um2 else None,
        "largest_um2": _scaled(int(measures.area_px.max()), um, um) if count else None,
        "equivalent_diameter_um": _diameters(measures, um),
    }


def _diameters(measures: Measures, um: float | None) -> dict[str, Any] | None:
    diameters: NDArray[np.float64] = measures.equivalent_diameter_px
    if um is None or not len(diameters):
        return None
    p50, p95 = np.percentile(diameters, [50, 95])
    statistics = {"mean": diameters.mean(), "p50": p50, "p95": p95, "max": diameters.max()}
    scaled = {name: _scaled(float(value), um) for name, value in statistics.items()}
    return None if None in scaled.values() else scaled


def _regions(inspection: Inspection) -> list[dict[str, Any]]:
    regions, measures, um = inspection.regions, inspection.measures, inspection.micrograph.pixel_size_um
    if inspection.models.segmenter is None:
        return []
    return [
        {
            "index": index,
            "class": regions.class_names[class_id],
            "score": _decimals(score, 4),
            "box_px": box,
            "area_px": area,
            "area_um2": _scaled(area, um, um),
            "equivalent_diameter_um": _scaled(diameter, um),
            "circularity": _significant(circularity, 4),
            "touches_edge": touches,
            "severity": _region_severity(severity),
            "outline_px": outline.tolist(),
            "holes_px": [hole.tolist() for hole in holes],
        }
        for index, (class_id, score, box, area, diameter, circularity, touches, severity, outline, holes) in enumerate(
            zip(
                regions.class_ids.tolist(),
                regions.scores.tolist(),
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
        )
    ]


def _region_severity(severity: RegionSeverity | None) -> dict[str, Any] | None:
    if severity is None:
        return None
    return {"label": severity.label, "confidence": _decimals(severity.confidence, 5), "weak": True}


def _model(identity: ModelIdentity | None) -> dict[str, Any] | None:
    return None if identity is None else {"name": identity.name, "version": identity.version, "sha256": identity.sha256}


def _warnings(inspection: Inspection) -> list[str]:
    """The file's and the picture's, each once."""
    return list(dict.fromkeys((*inspection.micrograph.warnings, *inspection.quality.warnings)))


def _sample_value(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _finite(value)
    return str(value)


def _finite(value: Any) -> float | None:
    """A number that has one, else None: for what the file or its name says, which may be nonsense."""
    try:
        return number if value is not None and math.isfinite(number := float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _significant(value: float | None, digits: int = 6) -> float | None:
    """`value` to so many significant digits; None when it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _decimals(value: float, digits: int) -> float:
    """`value` to so many decimals. A value that is not finite stays so, and the document refuses it by name."""
    return round(float(value), digits) if math.isfinite(value) else float(value)


def _scaled(pixels: float | None, *um: float | None) -> float | None:
    """`pixels` times each factor, to six significant digits; None when anything is unknown or the result is not finite."""
    if pixels is None:
        return None
    product = float(pixels)
    for factor in um:
        if factor is None:
            return None
        product *= factor
    return _significant(product)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
