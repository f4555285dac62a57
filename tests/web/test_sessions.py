"""Logins: how often, how long, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.web import sessions, users
from edge.web.sessions import LONGEST_S, LONGEST_WAIT_S, MOST, MOST_WAITING, Sessions, TooOftenError
from edge.web.users import User


class Clock:
    """Stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    put(tmp_path / "users", anna="read", bert="command")
    return tmp_path / "users"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is right when it is `right`; what it costs is tested with the users."""

    def verified(known: Mapping[str, User], name: str, password: str) -> User | None:
        return known.get(name) if password == "right" else None

    monkeypatch.setattr(sessions, "verified", verified)


def put(file: Path, salt: str = "c2FsdHNhbHRzYWx0", **roles: users.Role) -> None:
    password = f"scrypt$32768${salt}${'A' * 43}="
    users.write(file, {name: User(name, password, role) for name, role in roles.items()})


def test_a_session_ends_by_itself_by_logging_out_and_with_its_user(file: Path, clock: Clock) -> None:
    known = Sessions(file, clock)
    tokens = []
    for _ in range(3):
        login = known.log_in("anna", "right", "1.1.1.1")
        assert login is not None
        tokens.append(login[0])
    known.log_out(tokens[0])
    assert [known.who(token) is not None for token in tokens] == [False, True, True]
    put(file, salt="bmV3c2FsdG5ld3NhbHQ=", anna="read")
    assert known.who(tokens[1]) is None, "another password"
    put(file, anna="review")
    found = known.who(tokens[1])
    assert found is not None
    assert found[0].role == "review"
    file.chmod(0o666)
    put_back = file.read_text()
    file.write_text(put_back)
    assert known.who(tokens[1]) is None, "a file that others may write lets nobody in"
    file.chmod(0o600)
    file.write_text(put_back)
    assert known.who(tokens[1]) is not None
    clock.now += LONGEST_S + 1
    assert known.who(tokens[2]) is None
    file.unlink()
    assert known.who(tokens[1]) is None


def test_each_wrong_password_makes_the_next_wait_longer_for_that_name_and_for_that_address(file: Path, clock: Clock) -> None:
    known, waits = Sessions(file, clock), []
    for _ in range(25):
        try:
            assert known.log_in("anna", "wrong", "1.1.1.1") is None
        except TooOftenError as error:
            waits.append(error.wait_s)
            clock.now += error.wait_s
    assert waits[:4] == [2, 4, 8, 16]
    assert max(waits) <= LONGEST_WAIT_S
    with pytest.raises(TooOftenError):
        known.log_in("anna", "right", "2.2.2.2")
    with pytest.raises(TooOftenError):
        known.log_in("bert", "right", "1.1.1.1")
    assert known.log_in("bert", "right", "2.2.2.2") is not None


def test_tries_at_once_are_counted_as_tries_one_by_one_and_few_wait(
    file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    results: list[object] = []
    go = threading.Event()

    def verified(known: Mapping[str, User], name: str, password: str) -> User | None:
        go.wait(60)
        tried.append(name)
        return None

    monkeypatch.setattr(sessions, "verified", verified)
    known = Sessions(file, clock)

    def attempt() -> None:
        try:
            results.append(known.log_in("anna", "guess", "1.1.1.1"))
        except TooOftenError:
            results.append("later")
            go.set()

    for _ in range(3):
        threads = [threading.Thread(target=attempt) for _ in range(MOST_WAITING + 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(tried) == sessions.FREE_TRIES
    assert results.count("later") == len(results) - sessions.FREE_TRIES


def test_memory_stays_bounded(file: Path, clock: Clock) -> None:
    known = Sessions(file, clock)
    first = known.log_in("anna", "right", "0")
    assert first is not None
    for number in range(MOST):
        known.log_in("anna", "right", f"{number}")
    assert known.who(first[0]) is None
    for number in range(11 * MOST):
        known.log_in(f"{number}", "wrong", f"{number}")
    assert len(known._tries) <= 10 * MOST


def test_without_a_file_nobody_is_known_and_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert not Sessions(None).needed
    assert Sessions(None).who("x") is None
    with pytest.raises(ConfigError, match="cannot be read"):
        Sessions(tmp_path / "none")
