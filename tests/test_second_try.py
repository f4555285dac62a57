from __future__ import annotations

import pytest

from tests import ROOT
from tests.second_try import MOST

pytest_plugins = ["pytester"]

ONCE = """
import pathlib
def test_loses_a_race_once{number}():
    mark = pathlib.Path({folder!r}) / "{number}"
    first = not mark.exists()
    mark.touch()
    assert not first, "the broker was late"
"""


def run(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    """A run of the hooks of tests/conftest.py alone, as the continuous integration starts it."""
    pytester.makeconftest("from tests.conftest import pytest_sessionfinish, pytest_unconfigure")
    pytester.makepyfile(body)
    pytester.syspathinsert(str(ROOT))
    return pytester.runpytest_subprocess("-n", "1", "--dist", "loadfile", "--reruns", "1", "-p", "no:cacheprovider")


def losing(pytester: pytest.Pytester, tests: int) -> str:
    folder = str(pytester.mkdir("marks"))
    return "".join(ONCE.format(number=number, folder=folder) for number in range(tests))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_second_try_is_told_with_what_the_first_one_said(pytester: pytest.Pytester) -> None:
    ended = run(pytester, losing(pytester, 1))
    assert ended.ret == 0
    ended.stdout.fnmatch_lines(["SECOND TRY: *::test_loses_a_race_once0: AssertionError: the broker was late"])


def test_too_many_second_tries_fail_the_run(pytester: pytest.Pytester) -> None:
    ended = run(pytester, losing(pytester, MOST + 1))
    assert ended.ret == 1
    ended.stdout.fnmatch_lines([f"*{MOST + 1} passed*", "FAILED: more than 3 tests had a second try"])


def test_what_fails_twice_fails(pytester: pytest.Pytester) -> None:
    assert run(pytester, "def test_it():\n    assert 1 == 2\n").ret == 1


def test_the_continuous_integration_gives_one_second_try() -> None:
    assert "--reruns 1" in (ROOT / ".ci/run").read_text()
