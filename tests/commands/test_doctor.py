"""`edge-doctor` and `edge-daemon --check`: what is wrong is named with its cure, and nothing is started."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.commands import doctor as doctor_module
from edge.commands.cli import daemon, doctor, inspect
from edge.config import InspectionSettings
from edge.journal import Journal
from edge.models.card import BUILTIN_FOLDER
from edge.models.signature import PublicKey
from edge.records import Fingerprint
from tests.conftest import settings_for
from tests.fakes.brokers import Mosquitto, free_port, needs_mosquitto
from tests.models.test_signature import Signer, change_a_bit_and_rewrite_the_card


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def configured(tmp_path: Path, port: int, extra: str = "") -> Path:
    (tmp_path / "export").mkdir(exist_ok=True)
    path = tmp_path / "c.toml"
    path.write_text(
        f"[watch]\nfolder = {json.dumps(str(tmp_path / 'export'))}\n[state]\nfolder = {json.dumps(str(tmp_path / 'state'))}\n"
        f"[mqtt]\nhost = '127.0.0.1'\nport = {port}\n{extra}"
    )
    return path


def test_without_a_configuration_the_machine_and_the_shipped_models_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor([]) == 0
    printed = capsys.readouterr().out
    assert "onnxruntime is installed" in printed
    assert "its hash matches its card" in printed
    assert "to judge single regions" in printed
    assert "0 problems" in printed


def test_json_holds_the_same_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "edge.doctor/1"
    assert {"machine", "backend", "models"} <= {finding["area"] for finding in found["findings"]}


@needs_mosquitto
def test_check_passes_when_all_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        assert daemon(["--config", str(configured(tmp_path, broker.port)), "--check"]) == 0
    assert "took a connection" in capsys.readouterr().out
    assert not (tmp_path / "state").exists()


def test_check_names_the_formats_that_are_sent_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon(["--config", str(configured(tmp_path, free_port(), "sparkplug = true\nhome_assistant = true\n")), "--check"])
    printed = capsys.readouterr().out
    assert "sparkplug is sent too" in printed
    assert "homeassistant is sent too" in printed


def test_check_names_a_format_whose_library_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("google", "edge.wire.sparkplug"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "google", None)
    assert daemon(["--config", str(configured(tmp_path, free_port(), "sparkplug = true\n")), "--check"]) == 1
    assert "pip install 'sem-corrosion-edge[sparkplug]'" in capsys.readouterr().out


def test_check_names_a_missing_folder_and_a_missing_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, free_port())
    (tmp_path / "export").rmdir()
    assert daemon(["--config", str(config), "--check"]) == 1
    printed = capsys.readouterr().out
    assert "is no folder" in printed
    assert "correct watch.folder" in printed
    assert "PROBLEM broker" in printed


def test_check_names_a_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, free_port(), "[models]\nsegmenter = '/nowhere/s.onnx'\n")
    assert daemon(["--config", str(config), "--check"]) == 1
    assert "no model at /nowhere/s.onnx" in capsys.readouterr().out


def test_check_tells_the_limits_and_names_a_class_that_the_segmenter_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moderate = "moderate = {{ area_fraction = 0.02, largest_um = 9 }}"
    limits = f"[severity]\nrule = 'limits'\n{moderate}\nsevere = {{{{ density_per_mm2 = 5, class = '{{}}' }}}}\n"
    config = configured(tmp_path, free_port(), limits.format("pit"))
    daemon(["--config", str(config), "--check"])
    assert "moderate from area_fraction 0.02 or largest_um 9; severe from density_per_mm2 5 of pit" in capsys.readouterr().out
    config = configured(tmp_path, free_port(), limits.format("pitt"))
    assert daemon(["--config", str(config), "--check"]) == 1
    assert "severity.severe.class: the segmenter segmenter knows no class 'pitt'" in capsys.readouterr().out
    assert daemon(["--config", str(config)]) == 2
    assert inspect([str(tmp_path), "--config", str(config)]) == 2


def test_check_tells_who_signed_the_models_and_what_was_changed_since(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, signer = tmp_path / "models", Signer()
    shutil.copytree(BUILTIN_FOLDER, folder)
    signer.sign_folder(folder)
    paths = "".join(f"{task} = '{folder / task}.onnx'\n" for task in ("segmenter", "classifier"))
    config = configured(tmp_path, free_port(), f"[models]\n{paths}public_key = '{signer.public_key}'\n")
    daemon(["--config", str(config), "--check"])
    assert capsys.readouterr().out.count(f"which {PublicKey.parse(signer.public_key).name} signed") == 2
    change_a_bit_and_rewrite_the_card(folder / "segmenter.onnx")
    daemon(["--config", str(config), "--check"])
    assert "segmenter.json was changed since" in capsys.readouterr().out
    assert daemon(["--config", str(config)]) == 2
    assert inspect([str(tmp_path), "--config", str(config)]) == 2


def test_the_state_of_a_daemon_that_ran_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, free_port())
    with Journal.open(tmp_path / "state") as journal:
        journal.ledger.admit("a.tif", Fingerprint(1, 1))
    doctor(["--config", str(config)])
    assert "0 images done, 1 waiting" in capsys.readouterr().out


def test_a_wrong_configuration_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, 0)
    assert daemon(["--config", str(config), "--check"]) == 2
    assert "mqtt.port" in capsys.readouterr().err


def test_what_was_left_open_about_an_engine_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(passport=SimpleNamespace(doubts=("the inspector tells no layer's precision",)))
    monkeypatch.setattr(doctor_module.engine, "find_engine", lambda model: (found, None))
    notes = list(doctor_module._doubts(InspectionSettings()))
    assert [note.level for note in notes] == ["note", "note"]
    assert "segmenter.onnx: the inspector tells no layer's precision" in notes[0].text


def test_a_folder_that_this_user_cannot_reach_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path / "export", mqtt={"host": ""})
    is_dir = Path.is_dir

    def denied(self: Path, **how: bool) -> bool:
        if self == settings.watch.folder:
            raise PermissionError(13, "Permission denied", str(self))
        return is_dir(self, **how)

    monkeypatch.setattr(Path, "is_dir", denied)
    assert doctor_module.check(settings) == 1
    said = capsys.readouterr().out
    assert f"{tmp_path / 'export'}: Permission denied" in said
    assert said.count("hash matches its card") == 2
