"""What is wrong with the source of models is found without fetching anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.commands.doctor_fleet import look_at_fleet, settings_in_use
from edge.config import Settings
from edge.fleet.shelf import Shelf
from tests.commands.test_models import on_the_shelf
from tests.fakes.http_server import HttpServer
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")


def settings_of(tmp_path: Path, signer: Signer, **fleet: Any) -> Settings:
    state = {"folder": str(tmp_path / "state")}
    models = {"public_key": signer.public_key}
    return config.parse({"watch": {"folder": "/x"}, "state": state, "models": models, "fleet": fleet}, {})


def found(settings: Settings) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in look_at_fleet(settings)]


def test_where_no_source_is_named_nothing_is_said(tmp_path: Path) -> None:
    assert found(settings_of(tmp_path, Signer())) == []


def test_a_folder_and_what_is_in_use_are_told(tmp_path: Path) -> None:
    told = found(settings_of(tmp_path, Signer(), source=str(tmp_path)))
    assert [level for level, _ in told] == ["ok", "ok", "ok"]
    assert told[-1][1] == "in use: the models of the configuration"


def test_a_source_that_is_away_is_a_problem(tmp_path: Path) -> None:
    assert ("problem", f"fleet.source {tmp_path}/away: No such file or directory") in found(
        settings_of(tmp_path, Signer(), source=f"{tmp_path}/away")
    )
    with HttpServer() as server:
        port = server.port
        assert ("ok", f"127.0.0.1:{port} took a connection; what it has is seen with the first release") in found(
            settings_of(tmp_path, Signer(), source=f"http://127.0.0.1:{port}/")
        )
        assert not server.asked
    assert any(
        level == "problem" and text.startswith(f"fleet.source 127.0.0.1:{port}: ")
        for level, text in found(settings_of(tmp_path, Signer(), source=f"http://127.0.0.1:{port}/"))
    )


def test_a_release_that_was_left_or_is_damaged_is_a_problem(tmp_path: Path) -> None:
    signer = Signer()
    release = on_the_shelf(tmp_path, signer, "2.0.0")
    settings, shelf = settings_of(tmp_path, signer, source=str(tmp_path)), Shelf(tmp_path / "state")
    shelf.switch(release)
    used, why = settings_in_use(settings)
    assert why is None
    assert used.models.segmenter.startswith(str(shelf.folder / release))
    shelf.rollback(why="it does not load")
    assert ("problem", "the chosen models are not used: it does not load") in found(settings)
    (shelf.folder / "shelf.json").write_text("{")
    assert found(settings)[-1][0] == "problem"
    assert settings_in_use(settings)[1] is not None
