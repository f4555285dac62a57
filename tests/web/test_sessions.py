"""Logins: how often, how long, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.web import sessions, users
from edge.web.sessions import LONGEST_S, MOST, MOST_WAITING, Sessions, TooOftenError
from edge.web.users import User

FREE = 5


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


def test_each_wrong_password_makes_the_next_wait_longer(file: Path, clock: Clock) -> None:
    known, waits = Sessions(file, clock), []
    for _ in range(12):
        try:
            assert known.log_in("anna", "wrong", "1.1.1.1") is None
        except TooOftenError as error:
            waits.append(error.wait_s)
            clock.now += error.wait_s
    assert waits[:3] == [2, 4, 8]
    assert known.log_in("anna", "wrong", "1.1.1.1") is None, "it had waited"
    with pytest.raises(TooOftenError):
        known.log_in("anna", "right", "1.1.1.1")
    assert known.log_in("anna", "right", "2.2.2.2") is not None
    assert known.log_in("bert", "right", "1.1.1.1") is not None


def test_a_stranger_locks_out_neither_the_browser_nor_the_address_that_a_user_was_here_with(file: Path, clock: Clock) -> None:
    known = Sessions(file, clock)
    login = known.log_in("anna", "right", "1.1.1.1")
    assert login is not None
    for number in range(200):
        for address in (f"2.2.{number}.1", "1.1.1.1"):
            try:
                known.log_in("anna", "guess", address)
            except TooOftenError:
                clock.now += 1.0
    with pytest.raises(TooOftenError):
        known.log_in("anna", "right", "3.3.3.3")
    with pytest.raises(TooOftenError):
        known.log_in("anna", "right", "1.1.1.1")  # the stranger sits behind the same address
    again = known.log_in("anna", "right", "1.1.1.1", login.browser)
    assert again is not None
    assert known.log_in("anna", "right", "4.4.4.4", again.browser) is not None
    assert known.who(login.token) is not None, "who is logged in stays so"


def test_what_a_browser_is_known_by_lets_nobody_in_and_is_of_one_user(file: Path, clock: Clock) -> None:
    known = Sessions(file, clock)
    login = known.log_in("anna", "right", "1.1.1.1")
    assert login is not None
    assert known.who(login.browser) is None
    assert known.log_in("anna", "wrong", "9.9.9.9", login.browser) is None
    for _ in range(4):
        known.log_in("anna", "wrong", "9.9.9.9", login.browser)
    with pytest.raises(TooOftenError):
        known.log_in("anna", "right", "9.9.9.9", login.browser)
    assert known.log_in("bert", "right", "9.9.9.9", login.browser) is not None


def test_strangers_who_wait_leave_room_for_who_was_here(file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Sessions(file, clock)
    login = known.log_in("anna", "right", "1.1.1.1")
    assert login is not None
    began, go = threading.Barrier(2), threading.Event()

    def verified(users: Mapping[str, User], name: str, password: str) -> User | None:
        if name == "bert":
            if password == "first":
                began.wait(60)
            go.wait(60)
            return None
        return users[name]

    monkeypatch.setattr(sessions, "verified", verified)
    threads = [threading.Thread(target=known.log_in, args=("bert", "first", "5.5.5.5"))]
    threads[0].start()
    began.wait(60)
    waiting = known._waiting[False]
    while waiting.acquire(blocking=False):
        pass
    with pytest.raises(TooOftenError):
        known.log_in("bert", "guess", "6.6.6.6")
    results: list[object] = []
    threads.append(threading.Thread(target=lambda: results.append(known.log_in("anna", "x", "7.7.7.7", login.browser))))
    threads[1].start()
    for _ in range(MOST_WAITING - 1):
        waiting.release()
    go.set()
    for thread in threads:
        thread.join(60)
    assert results
    assert results[0] is not None


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
    assert len(tried) == FREE
    assert results.count("later") == len(results) - FREE


def test_memory_stays_bounded(file: Path, clock: Clock) -> None:
    known = Sessions(file, clock)
    first = known.log_in("anna", "right", "0")
    assert first is not None
    for number in range(MOST):
        known.log_in("anna", "right", f"{number}")
    assert known.who(first[0]) is None


def test_without_a_file_nobody_is_known_and_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert not Sessions(None).needed
    assert Sessions(None).who("x") is None
    with pytest.raises(ConfigError, match="cannot be read"):
        Sessions(tmp_path / "none")
