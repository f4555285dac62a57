"""The users file: what is taken, what is written, what a password costs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.web import users
from edge.web.users import User


def test_what_is_written_is_read_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file, hashed = tmp_path / "users", users.hashed("correct horse")
    known = {"anna": User("anna", hashed, "command"), "b@c.de": User("b@c.de", hashed, "read")}
    users.write(file, known)
    assert users.load(file) == known
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert "correct horse" not in file.read_text()
    assert users.hashed("correct horse") != hashed


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "correct hors"), ("anna", ""), ("bert", "correct horse"), ("anna", "\ud800")]
)
def test_only_the_password_of_the_name_is_right(name: str, password: str) -> None:
    known = {"anna": User("anna", users.hashed("correct horse"), "review")}
    assert users.verified(known, name, password) is None
    assert users.verified(known, "anna", "correct horse") == known["anna"]


def test_an_unknown_name_costs_what_a_wrong_password_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    known = {"anna": User("anna", users.hashed("correct horse"), "review")}
    monkeypatch.setattr(users, "_scrypt", lambda password, salt, cost: spent.append(cost) or b"")
    assert users.verified(known, "anna", "wrong") is None
    monkeypatch.setattr(users, "_scrypt", lambda password, salt, cost: spent.append(cost) or b"x")
    assert users.verified(known, "nobody", "wrong") is None
    assert spent == [users.COST, users.COST]


def test_roles_contain_each_other() -> None:
    may = {role: [wanted for wanted in users.ROLES if User("a", "", role).may(wanted)] for role in users.ROLES}
    assert may == {"read": ["read"], "review": ["read", "review"], "command": ["read", "review", "command"]}


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        "anna:secret:read",
        "anna::read",
        "an na:{hash}:read",
        "anna:{hash}:root",
        "anna:{hash}:READ",
        "anna:scrypt$33000$c2FsdHNhbHRzYWx0${long}:read",
        "anna:scrypt$4194304$c2FsdHNhbHRzYWx0${long}:read",
        "anna:{hash}:read\nanna:{hash}:command",
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "users"
    file.write_text("# people\n\n" + line.replace("{hash}", users.hashed("12345678")).replace("{long}", "A" * 43 + "=") + "\n")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"line [34]"):
        users.load(file)


def test_a_file_that_others_may_write_or_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="it is no text"):
        users.load(file)
    file.chmod(0o620)
    with pytest.raises(ConfigError, match="chmod 600"):
        users.load(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        users.load(tmp_path)
    with pytest.raises(ConfigError, match="at least 8"):
        users.hashed("short")
    with pytest.raises(ConfigError, match="cannot be written"):
        users.write(tmp_path / "none" / "users", {})
