"""A run that lacks something says so in plain words, and fails in continuous integration."""

from __future__ import annotations

import pytest

from tests import ROOT, promises

pytest_plugins = ["pytester"]

SKIPS = """
import pytest

def test_of_a_broker():
    pytest.skip("mosquitto is not installed (apt-get install mosquitto)")

def test_of_a_gpu():
    pytest.skip("takes long and needs an NVIDIA GPU: make gpu-check")

def test_of_torch():
    pytest.importorskip("torch_that_is_not_there")
"""


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str) -> pytest.RunResult:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(SKIPS)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def test_without_ci_the_last_lines_say_what_was_not_tested_and_what_to_install(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(pytester, monkeypatch, "")
    assert done.ret == 0
    last = done.outlines[-3:]
    assert all(line.startswith("NOT TESTED: ") for line in last)
    assert any("no verdict is lost with a real broker (1 test)" in line and "install mosquitto" in line for line in last)
    assert any("training, export and the rival" in line for line in last)


def test_with_ci_a_missing_broker_and_a_missing_torch_are_failures_and_a_missing_gpu_is_not(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(pytester, monkeypatch, "true")
    done.assert_outcomes(failed=2, skipped=1)


def test_a_module_that_skips_as_a_whole_is_a_failure_too(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\ntorch = pytest.importorskip('torch_that_is_not_there')\n\ndef test_it(): pass\n")
    assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret != 0


@pytest.mark.parametrize("absence", promises.ABSENCES, ids=lambda absence: absence.promise)
def test_every_absence_has_a_promise_in_plain_words_and_a_cure(absence: promises.Absence) -> None:
    assert absence.promise
    assert absence.cure
