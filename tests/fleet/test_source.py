"""Where releases lie: settings that cannot be are refused, and a web server is asked as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge import config
from edge.config_fleet import FleetSettings
from edge.errors import ConfigError
from edge.fleet.source import BLOCK, FolderSource, WebSource, open_source
from edge.sinks.sink import NotNowError


def test_a_folder_is_read_from_a_place_on(tmp_path: Path) -> None:
    (tmp_path / "id").mkdir()
    (tmp_path / "id" / "a").write_bytes(b"x" * BLOCK + b"tail")
    source = open_source(FleetSettings(source=str(tmp_path)))
    assert isinstance(source, FolderSource)
    with source.opened("id", "a", BLOCK) as body:
        assert (body.begins_at, body.size, b"".join(body.blocks)) == (BLOCK, BLOCK + 4, b"tail")


@pytest.mark.parametrize("name", ["away", "folder", "link"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "id" / "folder").mkdir(parents=True)
    (tmp_path / "id" / "link").symlink_to("/etc/hostname")
    with pytest.raises(NotNowError), FolderSource(tmp_path).opened("id", name, 0):
        pass


def test_an_address_is_a_web_server() -> None:
    source = open_source(FleetSettings(source="https://models.plant.example/releases/"))
    assert isinstance(source, WebSource)
    assert source.where == "models.plant.example"


def test_a_password_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    fleet = FleetSettings(source="http://127.0.0.1:1/", user="box", password_file=str(tmp_path / "away"))
    with pytest.raises(NotNowError, match=r"fleet\.password_file"), open_source(fleet).opened("id", "a", 0):
        pass


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"source": "models"}, "whole path"),
        ({"source": "ftp://x/"}, "whole path"),
        ({"source": "https://"}, "names no host"),
        ({"source": "https://me:word@x/"}, "password_file"),
        ({"source": "https://x/?a=1"}, "cannot hold"),
        ({"source": "https://x/ü"}, "beyond ASCII"),
        ({"topic": "edge/+"}, "must be a topic"),
        ({"topic": "/edge"}, "must be a topic"),
        ({"source": "/srv", "ca_file": "x"}, "https://"),
        ({"source": "https://x/", "cert_file": "x"}, "key_file"),
        ({"source": "https://x/", "user": "x"}, "belong together"),
        ({"source": "/srv", "user": "x", "password_file": "y"}, "web server"),
    ],
)
def test_what_cannot_be_is_refused_by_name(section: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        FleetSettings(**section)


def test_without_a_key_no_source_is_taken() -> None:
    with pytest.raises(ConfigError, match=r"models\.public_key"):
        config.parse({"watch": {"folder": "/x"}, "fleet": {"source": "/srv"}}, {})
