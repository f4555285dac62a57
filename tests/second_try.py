"""The reports of a run in, what passed only when it was tried again out.

Some thousand tests meet real brokers, browsers and service managers on two cores, and a test may lose a race of its own. With
`--reruns 1` (pytest-rerunfailures) such a test has a second try. None is hidden: the last lines name each with what it said
first, and more than `MOST` fail the run, because that many are no accident.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

MOST = 3


def told(reports: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each test that was tried again: its name, and what it said first. A last line where they are too many."""
    reports = list(reports)
    lines = [f"SECOND TRY: {report.nodeid}: {_said(report)}" for report in reports]
    return [*lines, f"FAILED: more than {MOST} tests had a second try"] if too_many(reports) else lines


def too_many(reports: Iterable[pytest.TestReport]) -> bool:
    """Whether more tests than `MOST` were tried again."""
    return len({report.nodeid for report in reports}) > MOST


def _said(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "it did not say why")
    return str(text).strip().splitlines()[0][:300]
