"""`edge-models`: what would be refused is not announced; a box without its service can be looked at and switched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands.models import models
from edge.fleet.shelf import Shelf
from tests.fakes.brokers import MOSQUITTO, Listener, Mosquitto, eventually
from tests.fleet.making import make_release
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def config_file(tmp_path: Path, signer: Signer, port: int = 1) -> str:
    file = tmp_path / "config.toml"
    file.write_text(
        f'[models]\npublic_key = "{signer.public_key}"\n[state]\nfolder = "{tmp_path / "state"}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n[fleet]\nsource = "{tmp_path}"\n'
    )
    return str(file)


def on_the_shelf(tmp_path: Path, signer: Signer, version: str) -> str:
    (tmp_path / "state").mkdir(exist_ok=True)
    shelf, made = Shelf(tmp_path / "state"), tmp_path / f"made-{version}"
    release = make_release(made, signer, version=version, heavy=False)
    shutil.copytree(made, shelf.incoming(release), dirs_exist_ok=True)
    return shelf.add(shelf.incoming(release), release).id


def test_a_release_is_put_where_boxes_fetch_it_and_announced(
    tmp_path: Path, broker: Mosquitto, signer: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    release = make_release(tmp_path / "made", signer, heavy=False)
    file = config_file(tmp_path, signer, broker.port)
    with Listener(broker.port, "edge/models") as box:
        (tmp_path / "srv").mkdir()
        assert (
            models(["announce", str(tmp_path / "made"), "--config", file, "--put", str(tmp_path / "srv"), "--note", "x"]) == 0
        )
        assert capsys.readouterr().out.strip() == release
        told = eventually(lambda: box.on("edge/models"))[0].body
        assert (told["id"], told["note"], sorted(told)) == (release, "x", ["id", "made_at", "note", "schema", "signature"])
        assert (tmp_path / "srv" / release / "segmenter.onnx").is_file()
        assert models(["announce", "--withdraw", "--broker", f"127.0.0.1:{broker.port}"]) == 0
        assert eventually(lambda: [one for one in box.heard if not one.payload])


def test_what_boxes_would_refuse_is_not_announced(tmp_path: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    made, file = tmp_path / "made", config_file(tmp_path, signer)
    make_release(made, Signer(), heavy=False)
    assert models(["announce", str(made), "--config", file]) == 2
    assert "not what was signed" in capsys.readouterr().err
    make_release(made, signer, heavy=False)
    (made / "segmenter.onnx").write_bytes(b"other")
    assert models(["announce", str(made), "--config", file]) == 2
    assert "list and sign them again" in capsys.readouterr().err
    assert models(["announce", str(made)]) == 2
    assert "--public-key" in capsys.readouterr().err
    assert models(["announce", "--config", file]) == 2


def test_a_broker_that_is_away_is_said(tmp_path: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    make_release(tmp_path / "made", signer, heavy=False)
    assert models(["announce", str(tmp_path / "made"), "--config", config_file(tmp_path, signer)]) == 1
    assert "refused" in capsys.readouterr().err


def test_without_its_service_a_box_is_switched_for_its_next_start(
    tmp_path: Path, signer: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    release, file = on_the_shelf(tmp_path, signer, "2.0.0"), config_file(tmp_path, signer)
    assert models(["list", "--config", file]) == 0
    assert f"{release}  candidate" in capsys.readouterr().out
    assert models(["switch", release[:12], "--config", file]) == 0
    assert models(["list", "--config", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["schema"], told["active"], told["can_go_back"]) == ("edge.models/1", release, True)
    assert told["releases"][0]["models"]["segmenter"]["version"] == "2.0.0"
    assert models(["rollback", "--config", file]) == 0
    assert models(["rollback", "--config", file]) == 2
    assert models(["drop", release, "--config", file]) == 0
    assert Shelf(tmp_path / "state").releases() == ()


def test_an_id_that_no_release_has_is_refused(tmp_path: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    on_the_shelf(tmp_path, signer, "2.0.0")
    assert models(["switch", "zz", "--config", config_file(tmp_path, signer)]) == 2
    assert "no release here begins with 'zz'" in capsys.readouterr().err


def test_a_damaged_release_is_listed_with_its_fault(tmp_path: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    release = on_the_shelf(tmp_path, signer, "2.0.0")
    (tmp_path / "state" / "models" / release / "segmenter.onnx").write_bytes(b"other")
    assert models(["list", "--config", config_file(tmp_path, signer)]) == 1
    assert "hashes differ" in capsys.readouterr().out
