"""Settings in, one retained announcement out: Home Assistant then reads the contract's own messages by itself.

The announcement is its "device discovery" (one document with components, origin and availability, since 2024.11). A verdict
adds nothing to it: `…/summary` is retained, so Home Assistant has the newest one again after each restart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge import __version__
from edge.config import Settings
from edge.records import SEVERITIES
from edge.wire.channel import Channel, Numbered, Publication

DISCOVERY: Final = "homeassistant"
"""Its discovery prefix, unless somebody changed it there."""
BIRTH: Final = f"{DISCOVERY}/status"
ALARM: Final = "value_json.severity_index is not none and value_json.severity_index >= 2 or value_json.abstained == 1"
"""The alarm of every example: a severity that is not known must not leave an older "severe" standing."""
FAILURE_EVENT: Final = (
    "{{ {'event_type': 'failure', 'code': value_json.error.code, 'message': value_json.error.message, "
    "'image': value_json.image.name} | tojson }}"
)
HEALTH_EXPIRES_S: Final = 60
"""`…/health` comes every 10 s and is not retained."""

_Component = Mapping[str, Any]


class HomeAssistant(Channel):
    """One device a microscope."""

    name = "homeassistant"

    def __init__(self, settings: Settings) -> None:
        self._id = object_id(settings)
        self._document = json.dumps(device_document(settings), separators=(",", ":"), ensure_ascii=False).encode()

    def announce(self) -> Sequence[Publication]:
        """The document, retained: for a Home Assistant that starts later."""
        return (Publication(f"{DISCOVERY}/device/{self._id}/config", self._document, retain=True),)

    def subscriptions(self) -> Sequence[str]:
        """Home Assistant's own birth and death."""
        return (BIRTH,)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        """Once more when Home Assistant is back: its broker may have forgotten what was retained."""
        return self.announce() if (topic, payload) == (BIRTH, b"online") else ()

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """Nothing: the contract's messages say it."""
        return ()


def object_id(settings: Settings) -> str:
    """Letters, digits and `_` alone, another one for each topic prefix."""
    readable = re.sub(r"[^a-z0-9]+", "_", settings.device.id.lower()).strip("_")
    return f"corrosion_{readable}_{hashlib.sha256(settings.topic_prefix.encode()).hexdigest()[:8]}".replace("__", "_")


def device_document(settings: Settings) -> dict[str, Any]:
    """The document of one microscope, for JSON."""
    device, prefix, own = settings.device, settings.topic_prefix, object_id(settings)
    availability = [
        {"topic": f"{prefix}/status", "value_template": "{{ 'offline' if value_json.state == 'offline' else 'online' }}"}
    ]
    components = {}
    for name, component in _components(prefix, overlay=settings.mqtt.overlay).items():
        always = {} if component.get("state_topic") == f"{prefix}/status" else {"availability": availability}
        components[name] = {"unique_id": f"{own}_{name}", **component, **always}
    return {
        "device": {
            "identifiers": [own],
            "name": device.id,
            "manufacturer": "sem-corrosion-edge",
            "model": "Corrosion inspection beside an electron microscope",
            "sw_version": __version__,
            "suggested_area": device.area,
        },
        "origin": {"name": "sem-corrosion-edge", "sw_version": __version__},
        "components": components,
        "qos": 1,
    }


def _components(prefix: str, *, overlay: bool) -> dict[str, _Component]:
    """Each thing that Home Assistant shows, by a name that never changes."""
    summary, status, health, failure = (f"{prefix}/{name}" for name in ("summary", "status", "health", "failure"))
    review = "{{ None if value_json.needs_review is none else 'ON' if value_json.needs_review else 'OFF' }}"
    measured = {"state_class": "measurement"}
    own = {"entity_category": "diagnostic", "expire_after": HEALTH_EXPIRES_S}
    judged = {"device_class": "enum", "options": list(SEVERITIES), "json_attributes_topic": summary}
    running = {"device_class": "enum", "options": ["online", "degraded", "offline"], "json_attributes_topic": status}
    mebibytes = {"device_class": "data_size", "unit_of_measurement": "MiB", "suggested_display_precision": 0}
    return {
        "severity": _shown("sensor", "Severity", summary, _value("severity"), **judged),
        "alarm": _shown("binary_sensor", "Corrosion alarm", summary, _yes_or_no(ALARM), device_class="problem"),
        "abstained": _shown("binary_sensor", "No severity given", summary, _yes_or_no("value_json.abstained == 1")),
        "needs_review": _shown("binary_sensor", "Needs review", summary, review),
        "severity_confidence": _shown("sensor", "Confidence", summary, **_percent("severity_confidence", 1), **measured),
        "area_fraction": _shown("sensor", "Corroded area", summary, **_percent("area_fraction", 2), **measured),
        "region_count": _shown("sensor", "Regions", summary, _value("region_count"), **measured),
        "density": _shown("sensor", "Density", summary, **_unit("density_per_mm2", "1/mm²"), **measured),
        "largest": _shown("sensor", "Largest region", summary, **_unit("largest_um2", "µm²"), **measured),
        "median_diameter": _shown(
            "sensor", "Median diameter", summary, **_unit("equivalent_diameter_p50_um", "µm"), **measured
        ),
        "last_inspection": _shown("sensor", "Last inspection", summary, _value("ts"), device_class="timestamp"),
        "last_image": _shown("sensor", "Last image", summary, _value("image_name")),
        "state": _shown("sensor", "Service", status, _value("state"), entity_category="diagnostic", **running),
        "unsent": _shown("sensor", "Unsent messages", health, _value("queue.unsent"), **own),
        "images_waiting": _shown("sensor", "Images waiting", health, _value("queue.images_waiting"), **own),
        "disk_free": _shown("sensor", "Free disk", health, _value("disk.free_mib"), **own, **mebibytes),
        "failure": _shown("event", "Image not inspected", failure, FAILURE_EVENT, event_types=["failure"]),
        **({"overlay": _picture(f"{prefix}/overlay/+")} if overlay else {}),
    }


def _shown(platform: str, name: str, topic: str, value_template: str, **more: Any) -> _Component:
    return {"platform": platform, "name": name, "state_topic": topic, "value_template": value_template, **more}


def _picture(topic: str) -> _Component:
    return {"platform": "image", "name": "Overlay", "image_topic": topic, "content_type": "image/webp"}


def _value(field: str) -> str:
    """A field as it is; null becomes None, which Home Assistant shows as unknown."""
    return f"{{{{ value_json.{field} }}}}"


def _unit(field: str, unit: str) -> dict[str, Any]:
    return {"value_template": _value(field), "unit_of_measurement": unit, "suggested_display_precision": 2}


def _percent(field: str, digits: int) -> dict[str, Any]:
    value = f"value_json.{field}"
    return {
        "value_template": f"{{{{ None if {value} is none else ({value} * 100) | round({digits + 2}) }}}}",
        "unit_of_measurement": "%",
        "suggested_display_precision": digits,
    }


def _yes_or_no(condition: str) -> str:
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"
