"""Triton and MLServer themselves, where a Python that has one is named: EDGE_PYTRITON_PYTHON, EDGE_MLSERVER_PYTHON."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backends import real_servers

pytest.importorskip("tritonclient")


@pytest.mark.parametrize("name", real_servers.PROGRAMS)
def test_a_real_server_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    variable = f"EDGE_{name.upper()}_PYTHON"
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"no real inference server is at hand: {variable} names a Python that has one")
    with real_servers.RealServer(name, python, tmp_path) as server:
        assert max(real_servers.furthest(server.url, 0.0).values()) < 1e-3
