"""What the service said of itself and what its journal holds in, five lights out, each with a sentence and a cure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from edge.journal.problems import Told
from edge.web.source import Facts

UNSENT_LATE_S: Final = 30.0
LOW_DISK_BYTES: Final = 1 << 30
_ABOUT: Final = (
    ("unsent", re.compile(r"^csv\.folder|^webhook\.url")),
    ("folder", re.compile(r"watched folder|watch\.|the share|no new image")),
    ("disk", re.compile(r"^the disk|MiB are free|state\.max_gib|state folder|journal")),
    ("models", re.compile(r"models are being|adaptation|^gpu_lost|precision")),
    ("broker", re.compile(r"broker|MQTT|^channel|more comes in|client id")),
)
"""Which light a reason belongs to, the first that fits."""


def lights(told: Told | None, info: Mapping[str, Any] | None, free: int | None, now: float, why: str | None) -> list[Facts]:
    """Folder, models, broker, disk, unsent, in this order.

    told: of `edge.journal.problems`.  info: of the journal, None where it cannot be read, and `why` then.
    free: bytes on the disk of the state folder, None where it cannot be told.  now: seconds since 1970.
    """
    found: dict[str, Facts] = {name: _light(name, "good", "") for name in ("folder", "models", "broker", "disk", "unsent")}
    running = told is not None and told.alive
    for text, cure in (told.problems if told is not None and running else {}).items():
        name = next((name for name, pattern in _ABOUT if pattern.search(text)), None)
        if name is not None and found[name]["state"] == "good":
            found[name] = _light(name, "bad" if name in ("folder", "disk") else "warn", text, cure)
    if not running:
        for name in ("folder", "models", "broker"):
            found[name] = _light(name, "unknown", "not_running")
    elif told is not None and not told.live.get("connected") and found["broker"]["state"] == "good":
        found["broker"] = _light("broker", "bad", "disconnected")
    if free is None:
        found["disk"] = _light("disk", "unknown", "unreadable")
    elif free < LOW_DISK_BYTES and found["disk"]["state"] == "good":
        found["disk"] = _light("disk", "warn", "low")
    if info is None:
        found["unsent"] = _light("unsent", "unknown", why or "unreadable")
    elif info["unsent"] and found["unsent"]["state"] == "good":
        late = info["oldest_unsent"] is not None and now - info["oldest_unsent"] > UNSENT_LATE_S
        found["unsent"] = {**_light("unsent", "warn" if late else "good", "waiting"), "count": info["unsent"]}
    return list(found.values())


def _light(name: str, state: str, text: str, cure: str | None = None) -> Facts:
    """text: a sentence of the service, or a short key of the page's own words."""
    return {"name": name, "state": state, "text": text, "cure": cure}
