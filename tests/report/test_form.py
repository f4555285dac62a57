"""Documents of this product are taken, of any version; what is none is told what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.report.form import checked
from tests.report.documents import failure, inspection
from tests.wire.examples import abstained, classified_only, encoded, example, limited


def test_what_the_product_writes_is_taken() -> None:
    for said in (*map(encoded, (example(), abstained(), limited(), classified_only())), inspection()):
        assert isinstance(checked(json.dumps(said).encode()), dict)
    assert isinstance(checked(json.dumps(failure()).encode()), dict)


def test_documents_of_version_1_lack_what_version_2_added_and_are_taken() -> None:
    said = inspection()
    said |= {"schema": "edge.inspection/1"}
    for gone in ("area_fraction_interval", "counted_from"):
        del said["corrosion"][gone]
    del said["severity"]["abstained"], said["severity"]["source"], said["image"]["field_um2"]
    assert isinstance(checked(json.dumps(said).encode()), dict)


def broken(**more: Any) -> bytes:
    return json.dumps({**inspection(), **more}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "neither an inspection nor a failure"),
        (b'{"schema": "edge.review/1"}', "neither an inspection nor a failure"),
        (b'{"schema": 3}', "neither an inspection nor a failure"),
        (broken(corrosion={"area_fraction": "much"}), "corrosion.area_fraction: must be a number (got 'much')"),
        (broken(corrosion={"area_fraction": 1.5}), "corrosion.area_fraction: must be at most 1"),
        (broken(image={"name": "a.tif", "width_px": 0, "height_px": 1}), "image.width_px: must be more than 0"),
        (broken(image={}), "image.name: missing, and 2 more"),
        (broken(sample={"annealing_min": "long", "exposure_h": 1.0}), "annealing_min must be a number of 0 or more"),
        (broken(regions=[{}]), "regions.0.box_px: missing"),
        (broken(ts_ms=10**30), "ts_ms: must be"),
        (broken(model={"segmenter": {}}), "model.segmenter.name: missing"),
        (json.dumps({**failure(), "error": {}}).encode(), "error.code: missing"),
    ],
)
def test_what_is_none_is_told_why(data: bytes, said: str) -> None:
    found = checked(data)
    assert isinstance(found, str)
    assert said in found
