"""Checked settings in, the TOML that says the same out, and back: for processes of ours that are given settings."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from edge.config import InspectionSettings, Settings, parse

if sys.version_info >= (3, 11):
    import tomllib
else:  # JetPack 6 has Python 3.10
    import tomli as tomllib


def written(settings: InspectionSettings) -> str:
    """TOML with every key that has a value."""
    lines = []
    for section, values in settings.model_dump(by_alias=True).items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def read(text: str) -> Settings:
    """The daemon's settings from such a text alone, whatever the environment says. Raises ConfigError."""
    return parse(tomllib.loads(text), {})


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_value(key)} = {_value(one)}" for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, date):
        return value.isoformat()
    text = str(value) if isinstance(value, Path) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML knows no pairs of surrogates, JSON does
