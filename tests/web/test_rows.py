"""A row holds what a list and a plot need, and what cannot be read costs no more than itself."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from edge.web.rows import Row, inspection_row, parsed, row_of
from tests.web.documents import failure, inspection


def made(document: Any, kind: str = "inspection") -> Row:
    sent = document if isinstance(document, bytes) or document is None else json.dumps(document).encode()
    return row_of(sent, verdict_id="i", kind=kind, path="batch/a.tif", revision=2, run=3, made_at=5.0)


def test_an_inspection_gives_its_measures_and_who_judged() -> None:
    document = inspection()
    row = made(document)
    assert (row["label"], row["area_fraction"], row["density_per_mm2"]) == (document["severity"]["label"], 0.01025, 1600.0)
    assert row["largest_um"] == pytest.approx(3.949, abs=0.001)
    assert (row["id"], row["path"], row["name"], row["revision"], row["run"], row["ts_ms"]) == (
        "i",
        "batch/a.tif",
        "a.tif",
        2,
        3,
        5000,
    )
    assert row["state"] == "judged"
    assert not row["forgotten"]


def test_what_abstains_has_no_label_and_says_so() -> None:
    row = made(inspection(label=None, confidence=None, abstained=True, needs_review=True, reasons=["out_of_domain: foreign"]))
    assert (row["state"], row["label"], row["needs_review"], row["reasons"]) == (
        "abstained",
        None,
        True,
        ["out_of_domain: foreign"],
    )


def test_a_stage_that_was_not_run_leaves_nothing_behind() -> None:
    document = inspection()
    document["severity"] = document["corrosion"] = None
    row = made(document)
    assert (row["state"], row["label"], row["area_fraction"], row["needs_review"]) == ("not_run", None, None, False)


def test_a_failure_is_to_be_looked_at() -> None:
    row = made(failure(), "failure")
    assert (row["kind"], row["state"], row["code"], row["needs_review"]) == ("failure", "failed", "truncated", True)


@pytest.mark.parametrize("sent", [None, b"", b"{", b"[]", b"\xff", b"{}", b"[" * 100_000, b'{"image": 3}', b'{"image": null}'])
def test_what_cannot_be_read_is_forgotten_and_still_there(sent: bytes | None) -> None:
    row = made(sent)
    assert (row["forgotten"], row["id"], row["label"]) == (True, "i", None)
    assert made(sent, "failure")["kind"] == "failure"


def test_a_message_without_any_of_its_fields_never_breaks_a_list() -> None:
    whole = inspection()
    for name in whole:
        part = copy.deepcopy(whole)
        del part[name]
        assert made(part)["id"] == "i"
        part[name] = "nonsense"
        assert made(part)["id"] == "i"


def test_numbers_that_are_none_are_unknown() -> None:
    document = inspection()
    document["corrosion"]["area_fraction"] = float("nan")
    document["corrosion"]["density_per_mm2"] = float("inf")
    document["corrosion"]["largest_um2"] = True
    row = inspection_row(document)
    assert (row["area_fraction"], row["density_per_mm2"], row["largest_um2"]) == (None, None, None)


def test_json_that_is_no_object_is_none() -> None:
    assert parsed(b"3") is None
    assert parsed(None) is None


def test_a_failure_whose_message_is_no_longer_kept_says_so() -> None:
    row = row_of(None, verdict_id="x", kind="failure", path="a.tif", revision=1, run=1, made_at=1.0)
    assert (row["forgotten"], row["code"]) == (True, "forgotten")
    assert "no longer kept" in row["message"]
    assert row_of(None, verdict_id="x", kind="inspection", path="a.tif", revision=1, run=1, made_at=1.0)["message"] is None
