"""A document as one flat row: the summary's names, and every column always."""

from __future__ import annotations

import json

import pytest

from edge.config import DeviceSettings
from edge.inspector import encode
from edge.records import Inspection
from edge.wire.flat import COLUMNS, flat
from edge.wire.inspection_documents import SummaryDocument
from edge.wire.summary import encode_summary
from tests.wire.examples import abstained, example, limited, limited_alone, tilted, unmeasured


@pytest.mark.parametrize("inspection", [example(), abstained(), limited(), limited_alone(), tilted(), unmeasured()])
def test_a_row_says_what_the_summary_says(inspection: Inspection) -> None:
    device = DeviceSettings()
    row = flat(json.loads(encode(inspection, device)))
    assert tuple(row) == COLUMNS
    identity = row["inspection_id"]
    summary = json.loads(encode_summary(inspection, inspection_id=identity, epoch=None, seq=None, device=device))
    shared = set(COLUMNS) & set(SummaryDocument.model_fields) - {"severity_reason"}
    assert len(shared) > 20
    assert {name: row[name] for name in shared} == {name: summary[name] for name in shared}


def test_a_failure_is_a_row_with_code_and_message() -> None:
    image = {"name": "a.tif", "path": "x/a.tif", "sha256": None, "revision": 1, "run": 1}
    row = flat({"ts": "t", "image": image, "error": {"code": "empty", "message": "has no bytes"}})
    assert tuple(row) == COLUMNS
    assert (row["path"], row["severity_state"], row["error_code"], row["error_message"]) == (
        "x/a.tif", "failed", "empty", "has no bytes",
    )  # fmt: skip
