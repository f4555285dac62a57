"""Triton and MLServer themselves, where a Python that has one is named: EDGE_PYTRITON_PYTHON, EDGE_MLSERVER_PYTHON."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge.models.card import BUILTIN_FOLDER
from tests.backends import real_servers
from tests.fakes.brokers import free_port

pytest.importorskip("tritonclient")


@pytest.mark.parametrize("name", ["PYTRITON", "MLSERVER"])
def test_a_real_server_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    python = os.environ.get(f"EDGE_{name}_PYTHON")
    if not python:
        pytest.skip(f"no real inference server is at hand: EDGE_{name}_PYTHON names a Python that has one")
    (tmp_path / "serve.py").write_text(getattr(real_servers, name))
    port = free_port()
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with (tmp_path / "log").open("wb") as log:
        command = [python, str(tmp_path / "serve.py"), str(BUILTIN_FOLDER), str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=bare, cwd=tmp_path)
    try:
        found = real_servers.furthest(f"localhost:{port}", 180.0)
    finally:
        server.terminate()
        server.wait(60)
        print((tmp_path / "log").read_text(errors="replace")[-3000:])
    assert max(found.values()) < 1e-3
