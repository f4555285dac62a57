"""What runs beside the microscope: an image file in, an inspection on the broker out; in Python `edge.inspect(path)`.

The names in `__all__` are those to rely on. Each loads its module when it is first used: `import edge` is part of every
command's `--help`, and must not wait for numpy and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.config import InspectionSettings, InspectSettings, LimitSettings, ModelSettings, SampleSettings, SeveritySettings
    from edge.errors import BackendError, ConfigError, EdgeError, ImageError, ModelError
    from edge.inspector import Inspector, draw, inspect, inspect_pages, label_image, to_dict
    from edge.records import (
        Acquisition,
        ClassMeasures,
        Guess,
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

__version__ = "0.7.0"

__all__ = [
    "Acquisition",
    "BackendError",
    "ClassMeasures",
    "ConfigError",
    "EdgeError",
    "Guess",
    "ImageError",
    "InspectSettings",
    "Inspection",
    "InspectionSettings",
    "Inspector",
    "LimitSettings",
    "Measures",
    "Micrograph",
    "ModelError",
    "ModelIdentity",
    "ModelSettings",
    "ModelsUsed",
    "Quality",
    "RegionSeverity",
    "Regions",
    "SampleSettings",
    "Severity",
    "SeveritySettings",
    "Source",
    "Timing",
    "__version__",
    "draw",
    "inspect",
    "inspect_pages",
    "label_image",
    "to_dict",
]

_LIGHTEST_FIRST = ("edge.errors", "edge.config", "edge.records", "edge.inspector")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _LIGHTEST_FIRST:
            module = import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'edge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
