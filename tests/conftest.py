"""Things that many tests need: settings, drawn micrographs, the real files beside the checkout when they are there."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import Settings, parse
from edge.records import Micrograph, Source
from tests import ROOT, promises, second_try

SHARED_DATA = ROOT / ".." / "shared" / "data"
# Files of many minutes, begun first where several workers share the run: else one of them is left alone with the last.
LONG_FILES = ("test_gpu_check.py", "test_gpu_standin.py", "test_shadow_run.py", "test_make_models.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, each in its own order."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that cannot run for want of something is a failure in continuous integration, see `tests.promises`."""
    report = yield
    _count_absence(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that cannot be imported."""
    report = yield
    _count_absence(report)
    return report


def _count_absence(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or not promises.strict() or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2]
    absence = promises.absence_of(reason)
    if not absence.excused:
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWith CI=true this is a failure. Not tested: {absence.promise}. Cure: {absence.cure}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which many tests passed only at a second try has failed."""
    if second_try.too_many(_again(session.config)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _again(config: pytest.Config) -> list[pytest.TestReport]:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return [] if terminal is None or hasattr(config, "workerinput") else terminal.stats.get("rerun", [])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last lines of a run say what was tried again, and what it did not test."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        for line in second_try.told(_again(config)):
            terminal.write_line(line, yellow=True)
        skipped = (report.longrepr for report in terminal.stats.get("skipped", ()))
        for line in promises.untested(reason[2] for reason in skipped if isinstance(reason, tuple)):
            terminal.write_line(line, yellow=True)


@pytest.fixture
def shared_data() -> Path:
    """Real microscope files, which are not part of this project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real files are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _log_handlers_of_its_own() -> Iterator[None]:
    """A command that was run in this process must not log into a stream that pytest has closed since."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def settings_for(folder: Path, **sections: dict[str, Any]) -> Settings:
    """Settings with a watched folder, a state folder beside it, and whatever a test changes."""
    raw: dict[str, Any] = {"watch": {"folder": str(folder)}, "state": {"folder": str(folder.parent / "state")}}
    for name, values in sections.items():
        raw.setdefault(name, {}).update(values)
    return parse(raw, {})


def pitted(width: int = 640, height: int = 480, seed: int = 0, pits: int = 12) -> NDArray[np.uint8]:
    """A brushed surface with dark, bright-rimmed pits: uint8 [height, width]."""
    random = np.random.default_rng(seed)
    lines = cv2.GaussianBlur(random.normal(0, 18, (height, 1)).repeat(width, 1), (0, 0), 1.2)
    grey = 125 + lines + random.normal(0, 6, (height, width))
    for _ in range(pits):
        centre = (int(random.uniform(20, width - 20)), int(random.uniform(20, height - 20)))
        axes = (int(random.uniform(8, 30)), int(random.uniform(8, 30)))
        cv2.ellipse(grey, centre, axes, random.uniform(0, 180), 0, 360, 220.0, -1)
        cv2.ellipse(grey, centre, (axes[0] - 3, axes[1] - 3), 0, 0, 360, 35.0, -1)
    return np.clip(cv2.GaussianBlur(grey, (0, 0), 0.8), 0, 255).astype(np.uint8)


def micrograph(grey: NDArray[np.uint8], nm: float | None = 100.0) -> Micrograph:
    """`grey` as a micrograph without a data bar."""
    return Micrograph(
        grey, grey.shape[1], grey.shape[0], pixel_size_nm=nm, pixel_size_source=None if nm is None else "metadata"
    )


SOURCE = Source("a.tif", "a.tif", None)
