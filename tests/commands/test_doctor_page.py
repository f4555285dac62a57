"""What is wrong with the live page is found before the service is started."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.commands.doctor_page import look_at_page
from edge.web import users
from tests.fakes.brokers import free_port


def findings(tmp_path: Path, **web: Any) -> list[tuple[str, str]]:
    state = {"folder": str(tmp_path.parent / "state")}
    settings = config.parse({"watch": {"folder": str(tmp_path)}, "state": state, "web": web}, {})
    return [(finding.level, finding.text) for finding in look_at_page(settings)]


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    users.write(tmp_path / "users", {"ann": users.User("ann", users.hashed("long enough"), "review")})
    return tmp_path / "users"


def test_where_no_page_is_wanted_nothing_is_said(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_a_page_that_can_be_served_is_fine(tmp_path: Path, users_file: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    assert findings(tmp_path, listen=listen, users_file=str(users_file)) == [
        ("ok", f"the live page is http://{listen}/; 1 user")
    ]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("users_file", "/nowhere/users", "cannot be read"),
        ("cert_file", "/nowhere/cert.pem", "cannot be read"),
        ("listen", "192.0.2.1:80", "cannot be used"),
    ],
)
def test_what_is_wrong_is_a_problem(tmp_path: Path, users_file: Path, name: str, value: str, sentence: str) -> None:
    web = {"listen": f"127.0.0.1:{free_port()}", "users_file": str(users_file), "behind_proxy": True, name: value}
    if name == "cert_file":
        web["key_file"] = value
    ((level, text),) = findings(tmp_path, **web)
    assert level == "problem"
    assert sentence in text


def test_an_address_that_somebody_else_has_is_a_problem(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ((level, text),) = findings(tmp_path, listen=f"127.0.0.1:{other.getsockname()[1]}")
    assert (level, "in use" in text) == ("problem", True)


def test_a_page_for_others_that_no_name_leads_to_is_a_problem(tmp_path: Path, users_file: Path) -> None:
    web = {"listen": f"127.0.0.1:{free_port()}", "users_file": str(users_file), "behind_proxy": True}
    assert [level for level, text in findings(tmp_path, **web) if "web.hosts" in text] == ["problem"]
    assert not [text for _, text in findings(tmp_path, **web, hosts=["sem.plant.example"]) if "web.hosts" in text]
