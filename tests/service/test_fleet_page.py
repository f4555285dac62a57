"""docs/use/models-over-the-fleet.md, as it stands, with the real minisign, mosquitto and daemon; only places are others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.models.card import BUILTIN_FOLDER
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.pages import blocks
from tests.service.running_daemon import PREFIX, Service, by_name, png
from tests.service.test_fleet import state, version

pytest.importorskip("cryptography")
pytestmark = pytest.mark.timeout(1800)
PAGE = "docs/use/models-over-the-fleet.md"


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_the_page_as_it_stands(tmp_path: Path, broker: Mosquitto) -> None:
    make_key, sign, announce, choose = (block.text for block in blocks(ROOT / PAGE) if block.by)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "edge-models"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom edge.commands.models import models\nsys.exit(models())\n")
    program.chmod(0o755)

    def bash(text: str, **changed: str) -> str:
        for name, other in {"/srv/releases": str(tmp_path / "srv"), **changed}.items():
            text = text.replace(name, other)
        paths = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env={**os.environ, **paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    bash(make_key)
    key = (tmp_path / "plant.pub").read_text().splitlines()[1]
    for folder, number in (("models-1", "1.0.0"), ("models-2", "2.0.0")):
        (tmp_path / folder).mkdir()
        for path in BUILTIN_FOLDER.iterdir():
            shutil.copy(path, tmp_path / folder)
        for name in ("segmenter", "classifier"):
            card = tmp_path / folder / f"{name}.json"
            card.write_text(json.dumps(json.loads(card.read_text()) | {"version": number}))
        bash(sign, **{"models-2": folder})
    own = tmp_path / "models-1"
    models = {name: str(own / f"{name}.onnx") for name in ("segmenter", "classifier")}
    models |= {"regions": str(own / "regions.json"), "public_key": key}
    (tmp_path / "srv").mkdir()
    plant = f'[models]\npublic_key = "{key}"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
    (tmp_path / "plant.toml").write_text(plant)
    service = Service(tmp_path, broker.port, models=models, fleet={"source": str(tmp_path / "srv")})
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        release = bash(announce).strip()
        eventually(lambda: state(dashboard) == "ready", 600)
        listed, switch, rollback = choose.splitlines()
        here = {"/etc/sem-corrosion-edge/config.toml": str(service.config), "4079f8a565441083": release[:16]}
        assert f"{release}  candidate" in bash(listed, **here)
        assert release in bash(switch, **here)
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 600)
        assert version(dashboard, "b.png") == "2.0.0"
        assert "the models of the configuration" in bash(rollback, **here)
        service.put("c.png", png(3))
        eventually(lambda: "c.png" in by_name(dashboard), 600)
        assert version(dashboard, "c.png") == "1.0.0"
