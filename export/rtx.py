"""What TensorRT for RTX needs to be told before it builds, beyond what TensorRT does; nothing for TensorRT itself.

Left alone it builds for no GPU in particular, 7.5 left out, and for memory of its own, which no CUDA graph can record.
"""

from __future__ import annotations

import re
from typing import Any

from edge.backends.tensorrt.passport import Library

CURRENT = "CURRENT"
"""Its name for the GPU that it sees."""


def targets(trt: Any, library: Library, capability: str | None) -> list[str | None]:
    """Compute capabilities to build for, the best first, by the library's own names; None: as TensorRT itself does it.

    The GPU that is there, and where the library does not see it, the one that is named.
    """
    known = getattr(trt, "ComputeCapability", None)
    if library.name != "tensorrt_rtx" or known is None:
        return [None]
    named = f"SM{capability.replace('.', '')}" if capability else ""
    return [CURRENT, *([named] if hasattr(known, named) else [])]


def aim(config: Any, trt: Any, target: str | None) -> bool:
    """Set the builder's configuration up for one of `targets`; False where the library refuses it."""
    if target is None:
        return True
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    config.num_compute_capabilities = 1
    return bool(config.set_compute_capability(getattr(trt.ComputeCapability, target), 0))


def unlisted(trt: Any, library: Library, capability: str | None) -> str:
    """A further clause where the library has no code for the GPU; empty where it has, or nothing is known."""
    if capability is None or targets(trt, library, capability) != [CURRENT]:
        return ""
    names = [found for name in dir(trt.ComputeCapability) if (found := re.fullmatch(r"SM(\d+)(\d)", name))]
    listed = ", ".join(f"{one[1]}.{one[2]}" for one in sorted(names, key=lambda one: (int(one[1]), int(one[2]))))
    return f"; TensorRT for RTX lists {listed}, not {capability}: install NVIDIA's tensorrt in its place"
