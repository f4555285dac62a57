"""The daemon's own state in, its `edge.status/1` and `edge.health/1` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from edge import __version__
from edge.config import DeviceSettings
from edge.wire import documents
from edge.wire.encode import device_fields, milliseconds, serialise, shorten, timestamp, to_decimals


def encode_status(
    *,
    state: Literal["online", "degraded", "offline"],
    reasons: Sequence[str],
    connected_at: datetime | None,
    epoch: str,
    last_seq: int | None,
    dead_letters: int | None,
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.status/1`. `reasons` say why the state is not (or no longer) online.

    last_seq, dead_letters: None in a last will, which is written long before it is read.
    """
    return serialise(
        documents.StatusDocument(
            schema_="edge.status/1",
            state=state,
            reasons=[shorten(reason, 300) for reason in reasons],
            connected_at=None if connected_at is None else timestamp(connected_at),
            version=__version__,
            epoch=epoch,
            last_seq=last_seq,
            dead_letters=dead_letters,
            ts=timestamp(at),
            ts_ms=milliseconds(at),
            device=device_fields(device),
        )
    )


def encode_health(
    *,
    uptime_s: float,
    queue: documents.QueueFields,
    memory: documents.MemoryFields,
    disk: documents.DiskFields,
    gpu: documents.GpuFields | None,
    latency_ms: documents.LatencyFields | None,
    clock_synced: bool | None,
    versions: Mapping[str, str],
    today: documents.TodayFields,
    last_image_at: datetime | None,
    newest_dead_letter: documents.DeadLetterFields | None,
    quarantine: documents.QuarantineFields,
    problems: Mapping[str, str],
    fleet: documents.FleetFields | None = None,
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.health/1`. problems: why the state is degraded, each with its cure."""
    return serialise(
        documents.HealthDocument(
            schema_="edge.health/1",
            uptime_s=to_decimals(uptime_s, 1),
            queue=queue,
            memory=memory,
            disk=disk,
            gpu=gpu,
            latency_ms=latency_ms,
            clock_synced=clock_synced,
            versions=dict(versions),
            today=today,
            last_image_at=None if last_image_at is None else timestamp(last_image_at),
            newest_dead_letter=newest_dead_letter,
            quarantine=quarantine,
            problems=[documents.ProblemFields(text=shorten(text, 300), cure=cure) for text, cure in problems.items()],
            fleet=fleet,
            ts=timestamp(at),
            ts_ms=milliseconds(at),
            device=device_fields(device),
        )
    )
