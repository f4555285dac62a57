"""How a GPU does, as one value; what is not known is None, and why stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class GpuState:
    """One look at the GPU.

    utilisation: 0…1.  power_w: of the GPU; on a Jetson of the rail that feeds it, and whatever else hangs on that.
    throttling: why its clocks are lowered, in NVIDIA's own words, empty where they are not.
    xid: the last error of the kind that the driver numbers so, since the first look; None: there was none, or see `unknown`.
    unknown: of each figure that is None for want of knowledge, the reason.
    """

    name: str
    memory_used_mib: float | None = None
    memory_total_mib: float | None = None
    utilisation: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttling: tuple[str, ...] | None = None
    xid: int | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)

    def filled_by(self, other: GpuState | None) -> GpuState:
        """The same, with what only the other look knows."""
        if other is None:
            return self
        known: dict[str, Any] = {name: getattr(other, name) for name in self.unknown if name not in other.unknown}
        return replace(self, **known, unknown={name: why for name, why in self.unknown.items() if name not in known})


FIGURES = tuple(one.name for one in fields(GpuState) if one.name not in ("name", "unknown"))
"""What may be unknown."""


def blank(name: str, why: str) -> GpuState:
    """A GPU of which nothing is known, for one reason."""
    return GpuState(name, unknown=dict.fromkeys(FIGURES, why))
