"""`edge` runs with its own dependencies alone: they are brought into a folder in which nothing else is found."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from tests import ROOT

RunBare = Callable[[str], "subprocess.CompletedProcess[str]"]


def dependencies(name: str, seen: set[str]) -> set[str]:
    """Names of the installed distributions that `name` needs without any extra, and what those need."""
    for requirement in metadata.requires(name) or []:
        wanted, _, marker = requirement.partition(";")
        match = re.match(r"[A-Za-z0-9._-]+", wanted)
        assert match
        needed = match[0].lower().replace("_", "-")
        if "extra" in marker or needed in seen:
            continue
        try:
            metadata.distribution(needed)
        except metadata.PackageNotFoundError:
            continue  # needed on another system only
        seen.add(needed)
        seen |= dependencies(needed, seen)
    return seen


def link_or_copy(source: str, target: str) -> None:
    """OpenCV looks where its files really are, so a symbolic link would not do."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def run_bare(tmp_path_factory: pytest.TempPathFactory) -> RunBare:
    site = tmp_path_factory.mktemp("site")
    (site / "edge").symlink_to(ROOT / "edge")
    names = dependencies("sem-corrosion-edge", set())
    with contextlib.suppress(metadata.PackageNotFoundError):
        # With ultralytics, OpenCV's other wheel has put its own cv2 over the headless one, with libraries of its own.
        names.add(metadata.distribution("opencv-python").metadata["Name"])
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            here = Path(str(distribution.locate_file(top)))
            if here.is_dir() and not (site / top).exists():
                shutil.copytree(here, site / top, copy_function=link_or_copy)
            elif here.is_file():
                link_or_copy(str(here), str(site / top))

    def run(program: str) -> subprocess.CompletedProcess[str]:
        program = f"import sys; sys.path.insert(0, {str(site)!r})\n{program}"
        command = [sys.executable, "-I", "-S", "-c", program]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=site)

    return run


EXTRAS = {
    "pandas",
    "matplotlib",
    "scipy",
    "statsmodels",
    "sklearn",
    "jinja2",
    "pyarrow",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "google",
    "tritonclient",
    "asyncua",
    "ray",
}
"""Of `report`, `web`, `metrics`, `sparkplug`, `opcua` and `kserve`: who imports what needs them says which extra is missing."""


def test_what_is_no_dependency_cannot_be_imported_in_this_test(run_bare: RunBare) -> None:
    assert "No module named 'pytest'" in run_bare("import pytest").stderr


def test_every_module_of_edge_imports_with_its_own_dependencies_alone(run_bare: RunBare) -> None:
    done = run_bare(
        "import importlib, pkgutil, edge\n"
        "names = [m.name for m in pkgutil.walk_packages(edge.__path__, 'edge.')]\n"
        "for name in names:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        rooms = 'edge.report.', 'edge.web.', 'edge.service.metrics', 'edge.service.opcua', 'edge.wire.sparkplug'\n"
        "        assert name.startswith(rooms), name\n"
        f"        assert error.name.partition('.')[0] in {EXTRAS}, (name, error)\n"
        "assert len(names) > 25, names\n"
        "print(sorted({'torch', 'ultralytics', 'matplotlib', 'timm', 'pandas', 'training', 'export'} & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_an_image_is_inspected_with_edges_own_dependencies_alone(run_bare: RunBare) -> None:
    sample = sorted((ROOT / "edge" / "samples").glob("*.tif"))[0]
    done = run_bare(f"from edge.commands.cli import inspect\nsys.exit(inspect([{str(sample)!r}, '--json']))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"schema":"edge.inspection/2"')


def test_help_needs_no_heavy_library(run_bare: RunBare) -> None:
    done = run_bare(
        "import contextlib\nfrom edge.commands.cli import inspect\n"
        "with contextlib.suppress(SystemExit): inspect(['--help'])\n"
        "print(sorted({'cv2', 'numpy', 'onnxruntime', 'openvino', 'pydantic', 'paho'} & set(sys.modules)))"
    )
    assert done.stdout.strip().endswith("[]")


def test_nothing_of_edge_mentions_training_or_export() -> None:
    for path in (ROOT / "edge").rglob("*.py"):
        text = path.read_text()
        for package in ("training", "export", "torch", "ultralytics"):
            assert f"import {package}" not in text, path
            assert f"from {package}" not in text, path
