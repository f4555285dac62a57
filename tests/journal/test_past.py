"""What a journal still keeps of the past: see `tests/report/test_reading.py` for whole documents."""

from __future__ import annotations

from pathlib import Path

from edge.journal import Journal


def test_a_new_journal_has_no_past(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    with Journal.view(tmp_path) as journal:
        assert list(journal.past.verdicts()) == []
