"""One flat row a verdict, with the same keys for all."""

from __future__ import annotations

import pytest

from edge.records import Failure, Inspection
from edge.wire.channel import Numbered
from edge.wire.verdict_row import COLUMNS, row_of
from tests.wire.examples import DEVICE, EPOCH, ID, abstained, classified_only, example, failure, segmented_only, summarised


@pytest.mark.parametrize("verdict", [example(), abstained(), classified_only(), segmented_only(), failure()])
def test_every_verdict_has_the_same_keys_and_plain_values(verdict: Inspection | Failure) -> None:
    row = row_of(Numbered(verdict, ID, EPOCH, 7), DEVICE)
    assert tuple(row) == COLUMNS
    assert all(value is None or isinstance(value, int | float | str) for value in row.values())
    assert (row["epoch"], row["seq"], row["device_id"]) == (EPOCH, 7, "sem-01")


def test_an_inspection_says_what_its_summary_says() -> None:
    row, summary = row_of(Numbered(example(), ID, EPOCH, 7), DEVICE), summarised(example())
    numbered = {"epoch", "seq", "inspection_id"}
    assert {name: row[name] for name in summary if name not in numbered} == {
        name: value for name, value in summary.items() if name not in numbered
    }
    assert row["path"] == "batch/AN5_24h.tif"


def test_a_failure_says_why_and_nothing_else() -> None:
    row = row_of(Numbered(failure(), ID, EPOCH, 7), DEVICE)
    assert (row["schema"], row["severity_state"], row["failure_id"]) == ("edge.failure/1", "failed", ID)
    assert (row["inspection_id"], row["severity_index"], row["abstained"]) == (None, None, None)
    assert row["error_code"] == failure().code
