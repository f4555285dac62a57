"""What all messages write alike: their exact bytes, ids, times and texts."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from edge.wire.encode import display_path, verdict_id
from edge.wire.inspection import encode_inspection
from tests.wire.examples import AT, DEVICE, EPOCH, ID, encoded, example, messages

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", list(messages()))
def test_a_message_is_what_it_always_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an intended change write them again: `GOLDEN=write pytest tests/wire/test_encode.py`."""
    monkeypatch.setattr("edge.wire.status.__version__", "0.1.0")  # another release is no other message
    path = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(messages()[name] + b"\n")
    assert messages()[name] + b"\n" == path.read_bytes()


@pytest.mark.parametrize("nm", [250.0, 1e-3, 1e-5, 1e14])
@pytest.mark.parametrize("name", ["corrosion", 'a "pit"\\ 1e-5,\n0.00001 \x7f\x1f ä 🦀'])
def test_however_small_or_large_a_number_is_python_would_write_the_same_bytes(nm: float, name: str) -> None:
    whole = example()
    tiny = dataclasses.replace(whole.measures, circularity=np.array([1e-5, np.nan]))
    inspection = dataclasses.replace(
        whole,
        micrograph=dataclasses.replace(whole.micrograph, pixel_size_nm=nm),
        regions=dataclasses.replace(whole.regions, class_names=(name,)),
        measures=dataclasses.replace(tiny, by_class={name: tiny.by_class["corrosion"]}),
    )
    written = encode_inspection(inspection, inspection_id=ID, epoch=EPOCH, seq=42, device=DEVICE)
    assert written == json.dumps(json.loads(written), ensure_ascii=False, separators=(",", ":")).encode()
    assert json.loads(written)["regions"][0]["class"] == name


def test_the_time_of_the_event_is_utc_with_milliseconds() -> None:
    message = encoded(example())
    assert message["ts"] == "2024-05-01T12:00:00.123Z"
    assert message["ts_ms"] == 1_714_564_800_123


def test_an_event_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        encoded(dataclasses.replace(example(), made_at=AT.replace(tzinfo=None)))


def test_a_verdict_id_is_a_version_5_uuid_that_never_changes() -> None:
    expected = uuid.uuid5(uuid.UUID(EPOCH), "batch/ä.tif\0002\0001")
    assert verdict_id(EPOCH, "batch/ä.tif", 2, 1) == str(expected)


def test_everything_that_makes_a_verdict_another_one_changes_its_id() -> None:
    ids = [
        verdict_id(EPOCH, "a.tif", 1, 1),
        verdict_id(ID, "a.tif", 1, 1),
        verdict_id(EPOCH, "b.tif", 1, 1),
        verdict_id(EPOCH, "a.tif", 2, 1),
        verdict_id(EPOCH, "a.tif", 1, 2),
        verdict_id(EPOCH, "a.tif", 1, 1, page=1),
        verdict_id(EPOCH, "a.tif", 1, 1, kind="failure"),
        verdict_id(EPOCH, "a\udcff.tif", 1, 1),
        verdict_id(EPOCH, "a\\xff.tif", 1, 1),
        verdict_id(EPOCH, "a.tif", 11, 1),
        verdict_id(EPOCH, "a.tif", 1, 11),
    ]
    assert len(set(ids)) == len(ids)


def test_bytes_that_are_no_text_are_shown() -> None:
    assert display_path(os.fsdecode(b"AN5_\xff\xfe.tif")) == r"AN5_\xff\xfe.tif"
    assert display_path("Prüfung/试样 1.tif") == "Prüfung/试样 1.tif"
