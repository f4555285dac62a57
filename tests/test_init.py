"""`import edge`: the names to rely on are there, with their types, and cost nothing until they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edge
from tests import ROOT

HEAVY = {"numpy", "cv2", "pandas", "torch", "onnxruntime", "openvino", "paho"}


def loaded_by(program: str) -> set[str]:
    """Which heavy libraries a program has loaded at its end."""
    ending = f"\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_edge_loads_no_heavy_library() -> None:
    assert loaded_by("import edge\nedge.ImageError, edge.InspectionSettings, dir(edge)") == set()


def test_the_names_of_inspecting_load_numpy_but_not_pandas() -> None:
    assert {"numpy", "pandas"} & loaded_by("import edge\nedge.inspect") == {"numpy"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("edge.commands.cli", name) for name in ("daemon", "inspect", "demo", "doctor", "review", "bench")),
        ("training.cli", "main"),
        ("export.cli", "main"),
    ],
)
def test_no_commands_help_loads_a_heavy_library(module: str, name: str) -> None:
    called = f"from {module} import {name}\ntry:\n    {name}(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_by(called) == set()


def test_every_name_is_there_and_typed() -> None:
    assert sorted(edge.__all__) == edge.__all__
    assert all(getattr(edge, name) is not None for name in edge.__all__)
    assert set(edge.__all__) <= set(dir(edge))
    tree = ast.parse(Path(ROOT / "edge" / "__init__.py").read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(edge.__all__)


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'inspekt'"):
        edge.inspekt  # noqa: B018
