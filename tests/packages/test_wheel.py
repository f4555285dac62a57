"""The wheel: the edge alone, with everything in it that is no Python."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.models.card import BUILTIN_FOLDER
from tests import ROOT
from tests.packages.building import bill_of, build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("dist"))


def test_models_samples_pages_units_schemas_and_pins_are_inside(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = [path for path in (ROOT / "edge").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in package} <= inside
    shared = f"{'-'.join(wheel.name.split('-')[:2])}.data/data/share/sem-corrosion-edge"
    for folder, files in (("systemd", ROOT / "systemd"), ("schemas", ROOT / "docs" / "schemas")):
        assert {f"{shared}/{folder}/{path.name}" for path in files.iterdir()} <= inside
    assert {f"{shared}/constraints.txt", f"{shared}/schemas/asyncapi.json"} <= inside


def test_it_needs_nothing_of_trainings(wheel: Path) -> None:
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    needed = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", text, re.MULTILINE)
    assert "onnxruntime" in needed
    assert not {"torch", "torchvision", "ultralytics", "timm", "openvino", "scipy", "matplotlib", "pandas"} & set(needed)


def test_its_bill_names_every_library_with_a_licence_and_the_models(wheel: Path) -> None:
    """It was validated when it was written."""
    components = {one["name"]: one for one in bill_of(wheel)["components"]}
    assert {"numpy", "onnxruntime", *(path.name for path in BUILTIN_FOLDER.glob("*.onnx"))} <= set(components)
    assert not [name for name, one in components.items() if not one.get("licenses")]
    assert not {"torch", "openvino", "pip", "cyclonedx-python-lib"} & set(components)


def test_installed_alone_outside_of_the_checkout_it_inspects_and_checks(wheel: Path, tmp_path: Path) -> None:
    """Its libraries are those of this environment, which `tests/test_bare.py` narrows down."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = next(environment.glob("lib/python3*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--prefix", str(environment)]
    subprocess.run([*install, "--ignore-installed", str(wheel)], check=True, capture_output=True)
    (site / "libraries.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    (tmp_path / "export").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[watch]\nfolder = "{tmp_path}/export"\n[state]\nfolder = "{tmp_path}/state"\n[mqtt]\nport = 1\n')

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(environment / "bin" / program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=False)

    inspected = run("edge-inspect", str(site / "edge" / "samples" / "AN_60_1h_009.tif"), "--json")
    assert inspected.returncode == 0, inspected.stderr
    assert inspected.stdout.startswith('{"schema":"edge.inspection/')
    checked = run("edge-daemon", "--config", str(config), "--check").stdout
    assert checked.count("hash matches its card") == 2
