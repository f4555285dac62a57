"""The table of wire formats: every row opens a channel of its own name."""

from __future__ import annotations

import sys

import pytest

from edge.config import parse
from edge.errors import ConfigError
from edge.wire.table import CHANNELS


def test_every_format_has_a_name_of_its_own() -> None:
    names = [row.name for row in CHANNELS]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.islower() for name in names)


def test_a_format_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("google", "edge.wire.sparkplug"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "google", None)
    (row,) = (row for row in CHANNELS if row.name == "sparkplug")
    with pytest.raises(ConfigError, match=r"sem-corrosion-edge\[sparkplug\]"):
        row.open(parse({"watch": {"folder": "/images"}, "mqtt": {"sparkplug": True}}, {}))
