"""Messages: the exact bytes of known inspections, their schemas, and that nothing can make them anything but strict JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edge.config import DeviceSettings
from edge.errors import FAILURE_CODES
from edge.records import (
    Acquisition,
    Failure,
    Inspection,
    Measures,
    Micrograph,
    ModelIdentity,
    ModelsUsed,
    Quality,
    Regions,
    RegionSeverity,
    Severity,
    Source,
    Timing,
)
from edge.wire import documents, schema
from edge.wire.command import decode_command, encode_response
from edge.wire.encode import display_path, verdict_id
from edge.wire.failure import encode_failure, encode_tombstone, is_tombstone
from edge.wire.inspection import encode_inspection
from edge.wire.status import encode_health, encode_status
from edge.wire.summary import encode_summary
from tests import ROOT

GOLDEN = Path(__file__).parent / "golden"
DOCS = ROOT / "docs"
DEVICE = DeviceSettings(site="plant-1", area="lab", id="sem-01")
EPOCH = "3f2b8c1e-8a41-4a55-9c2d-6f6f0a1b2c3d"
ID = "0b7a4d1c-9a53-5d3e-8f10-1c2d3e4f5a6b"
AT = datetime(2024, 5, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))


def example() -> Inspection:
    """Two regions, one with a hole, on a calibrated field of 200 x 100 px with a bar of 20 px."""
    ring = np.ones((10, 20), bool)
    ring[4:6, 4:6] = False
    return Inspection(
        source=Source("AN5_24h.tif", "batch/AN5_24h.tif", "ab" * 32, revision=2, run=1),
        micrograph=Micrograph(
            np.zeros((100, 200), np.uint8),
            200,
            120,
            20,
            pixel_size_nm=250.0,
            pixel_size_source="metadata",
            acquisition=Acquisition("Thermo Fisher", "Apreo 2", datetime(2024, 4, 30, 9, 15), None, 5.0, 1000.0),  # noqa: DTZ001
            grey_window=(12.0, 240.0),
            warnings=("the last rows are black",),
        ),
        sample={"annealing_min": 5.0, "exposure_h": 24.0, "operator": "ab"},
        regions=Regions(
            np.array([[10, 20, 20, 10], [50, 60, 3, 3]], np.int32),
            np.array([0.91, 0.4], np.float32),
            np.array([0, 0], np.int32),
            (ring, np.ones((3, 3), bool)),
            ("corrosion",),
        ),
        measures=Measures(
            np.array([196, 9], np.int64),
            np.array([15.797, 3.385]),
            np.array([0.71234567, np.nan]),
            np.array([False, True]),
            (np.array([[10, 20], [29, 20], [29, 29], [10, 29]], np.int32), np.array([[50, 60], [52, 62]], np.int32)),
            ((np.array([[14, 24], [15, 25]], np.int32),), ()),
            union_px=205,
            area_fraction=205 / 20_000,
            field_px=20_000,
        ),
        severity=Severity(
            "moderate",
            0.712345678,
            {"low": 0.2, "moderate": 0.712345678, "severe": 0.087654322},
            ("low", "moderate"),
            True,
            ("two classes are plausible",),
            True,
            np.array([[0, 0.5], [0.33333334, 1]], np.float32),
        ),
        region_severities=(RegionSeverity("severe", 0.6), None),
        quality=Quality(0.123456789, 0.25, 0.001, True, ("low contrast", "the last rows are black")),
        models=ModelsUsed(
            ModelIdentity("segmenter", "1", "cd" * 32), ModelIdentity("classifier", "1", "ef" * 32), "onnxruntime", "float32"
        ),
        smallest_region_px=8.0,
        settings_sha256="01" * 32,
        timing=Timing(wait=1.23456, total=98.76543),
        made_at=AT,
    )


def uncalibrated() -> Inspection:
    whole = example()
    picture = dataclasses.replace(whole.micrograph, pixel_size_nm=None, pixel_size_source=None)
    return dataclasses.replace(whole, micrograph=picture)


def classified_only() -> Inspection:
    whole = example()
    nothing = Regions(np.zeros((0, 4), np.int32), np.zeros(0, np.float32), np.zeros(0, np.int32), (), ())
    unmeasured = Measures(
        np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, bool), (), (), union_px=0, area_fraction=0, field_px=20_000
    )
    models = dataclasses.replace(whole.models, segmenter=None)
    return dataclasses.replace(whole, regions=nothing, measures=unmeasured, region_severities=(), models=models)


def segmented_only() -> Inspection:
    whole = example()
    models = dataclasses.replace(whole.models, classifier=None)
    return dataclasses.replace(whole, severity=None, region_severities=(None, None), models=models)


def failure(**changed: Any) -> Failure:
    source = Source("a.tif", "a.tif", None)
    return dataclasses.replace(Failure(source, "truncated", "a.tif ends in the middle of strip 7", AT), **changed)


def encoded(inspection: Inspection) -> dict[str, Any]:
    message: dict[str, Any] = strict(encode_inspection(inspection, inspection_id=ID, epoch=EPOCH, seq=42, device=DEVICE))
    return message


def summarised(inspection: Inspection) -> dict[str, Any]:
    message: dict[str, Any] = strict(encode_summary(inspection, inspection_id=ID, epoch=EPOCH, seq=42, device=DEVICE))
    return message


def strict(payload: bytes) -> Any:
    """Parse as a program would that knows no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(payload.decode("utf-8"), parse_constant=refuse)


def messages() -> dict[str, bytes]:
    """One message of every kind that is sent."""
    named: dict[str, Any] = {"epoch": EPOCH, "seq": 42, "device": DEVICE}
    return {
        "inspection": encode_inspection(example(), inspection_id=ID, **named),
        "failure": encode_failure(failure(), failure_id=ID, **named),
        "summary": encode_summary(example(), inspection_id=ID, **named),
        "tombstone": encode_tombstone(kind="inspection", verdict_id=ID, reason="Not authorized", at=AT, **named),
        "status": encode_status(
            state="degraded",
            reasons=["the folder is gone"],
            connected_at=AT,
            epoch=EPOCH,
            last_seq=42,
            dead_letters=0,
            device=DEVICE,
            at=AT,
        ),
        "health": encode_health(
            uptime_s=12.34,
            queue=documents.QueueFields(images_waiting=1, images_suspect=0, unsent=2, oldest_unsent_s=0.5, dead_letters=0),
            memory=documents.MemoryFields(process_mib=300, available_mib=4000),
            disk=documents.DiskFields(state_mib=10, free_mib=100_000),
            gpu=documents.GpuFields(name="NVIDIA", memory_used_mib=512, utilisation=0.5, temperature_c=None),
            latency_ms=documents.LatencyFields(count=10, p50=80, p95=120, p99=130),
            clock_synced=None,
            versions={"edge": "0.1.0"},
            device=DEVICE,
            at=AT,
        ),
        "response": encode_response(command="replay", request_id=None, error=None, result={"count": 3}, device=DEVICE, at=AT),
    }


# --------------------------------------------------------------------------------------------------------- exact bytes


@pytest.mark.parametrize("name", list(messages()))
def test_a_message_is_what_it_always_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an intended change write them again: `GOLDEN=write pytest tests/wire/test_wire.py`."""
    monkeypatch.setattr("edge.wire.status.__version__", "0.1.0")  # another release is no other message
    path = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(messages()[name] + b"\n")
    assert messages()[name] + b"\n" == path.read_bytes()


@pytest.mark.parametrize("name", list(schema.files()))
def test_the_committed_schemas_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == schema.files()[name], "run: python -m edge.wire.schema docs"


def test_no_schema_is_left_over() -> None:
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == set(schema.files()) - {"asyncapi.json"}


@pytest.mark.parametrize("name", list(schema.MESSAGES))
def test_every_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema.json_schema(name))


@pytest.mark.parametrize("name", list(messages()))
def test_real_messages_satisfy_their_schema(name: str) -> None:
    Draft202012Validator(schema.json_schema(name)).validate(strict(messages()[name]))


@pytest.mark.parametrize("inspection", [uncalibrated(), classified_only(), segmented_only()])
def test_partial_inspections_satisfy_the_schema(inspection: Inspection) -> None:
    Draft202012Validator(schema.json_schema("inspection")).validate(encoded(inspection))
    Draft202012Validator(schema.json_schema("summary")).validate(summarised(inspection))


def test_the_schema_refuses_a_missing_or_an_unknown_field() -> None:
    check = Draft202012Validator(schema.json_schema("inspection"))
    whole = encoded(example())
    assert not check.is_valid({key: value for key, value in whole.items() if key != "quality"})
    assert not check.is_valid({**whole, "extra": 1})


def test_every_message_is_described_on_some_topic() -> None:
    assert {name for topic in schema.TOPICS for name in topic.messages} - {"image/png"} == set(schema.MESSAGES)


def test_references_of_the_asyncapi_document_lead_somewhere() -> None:
    document = schema.asyncapi()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [value for key, value in node.items() if key == "$ref"] + [r for v in node.values() for r in references(v)]
        return []

    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert reference[2:] in schema.files()
            continue
        place: Any = document
        for part in reference[2:].split("/"):
            place = place[part]


# -------------------------------------------------------------------------------------------------------- derived values


def test_measures_are_in_the_units_that_their_names_say() -> None:
    corrosion = encoded(example())["corrosion"]
    assert corrosion["area_um2"] == pytest.approx(205 * 0.25**2, rel=1e-5)
    assert corrosion["density_per_mm2"] == pytest.approx(2 / (50 * 25 / 1e6), rel=1e-5)
    assert corrosion["largest_um2"] == pytest.approx(196 * 0.25**2, rel=1e-5)
    assert corrosion["equivalent_diameter_um"]["max"] == pytest.approx(15.797 * 0.25, rel=1e-5)


def test_the_field_of_view_leaves_out_the_data_bar() -> None:
    image = encoded(example())["image"]
    assert image["field_um2"] == pytest.approx(50 * 25)
    assert (image["width_px"], image["height_px"], image["databar_px"]) == (200, 120, 20)
    assert image["smallest_region_um"] == pytest.approx(2.0)


def test_an_uncalibrated_image_gives_nulls_and_keeps_its_pixels() -> None:
    message = encoded(uncalibrated())
    assert {message["corrosion"][name] for name in ("area_um2", "density_per_mm2", "largest_um2")} == {None}
    assert message["corrosion"]["equivalent_diameter_um"] is None
    assert message["image"]["field_um2"] is message["image"]["smallest_region_um"] is None
    assert message["regions"][0]["area_um2"] is message["regions"][0]["equivalent_diameter_um"] is None
    assert message["regions"][0]["area_px"] == 196


def test_without_the_first_stage_there_is_no_corrosion_and_no_region() -> None:
    message = encoded(classified_only())
    assert message["corrosion"] is None
    assert message["regions"] == []
    assert summarised(classified_only())["region_count"] is None


def test_without_the_second_stage_there_is_no_severity() -> None:
    assert encoded(segmented_only())["severity"] is None
    assert summarised(segmented_only())["severity_index"] is None


def test_an_image_without_corrosion_says_so_in_numbers() -> None:
    clean = dataclasses.replace(classified_only(), models=example().models)
    corrosion = encoded(clean)["corrosion"]
    assert (corrosion["area_fraction"], corrosion["region_count"], corrosion["density_per_mm2"]) == (0, 0, 0)
    assert corrosion["largest_um2"] is corrosion["equivalent_diameter_um"] is None


def test_a_time_without_a_zone_stays_without_one() -> None:
    image = encoded(example())["image"]
    assert (image["captured_at"], image["captured_tz"]) == ("2024-04-30T09:15:00", None)


def test_the_time_of_the_event_is_utc_with_milliseconds() -> None:
    message = encoded(example())
    assert message["ts"] == "2024-05-01T12:00:00.123Z"
    assert message["ts_ms"] == 1_714_564_800_123


def test_an_event_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        encoded(dataclasses.replace(example(), made_at=AT.replace(tzinfo=None)))


def test_a_number_that_the_verdict_rests_on_must_be_one() -> None:
    broken = dataclasses.replace(example(), severity=dataclasses.replace(example().severity, confidence=math.nan))  # type: ignore[type-var]
    with pytest.raises(ValueError, match="confidence"):
        encoded(broken)


def test_each_warning_is_said_once() -> None:
    assert encoded(example())["quality"]["warnings"] == ["the last rows are black", "low contrast"]


def test_the_summary_is_flat_and_has_always_the_same_keys() -> None:
    flat = [summarised(inspection) for inspection in (example(), uncalibrated(), classified_only(), segmented_only())]
    assert len({tuple(message) for message in flat}) == 1
    for message in flat:
        assert all(value is None or isinstance(value, int | float | str) for value in message.values())
        assert not any(isinstance(value, bool) for value in message.values())


@pytest.mark.parametrize("code", FAILURE_CODES)
def test_every_failure_says_where_to_look(code: str) -> None:
    message = strict(encode_failure(failure(code=code), failure_id=ID, epoch=None, seq=None, device=DEVICE))
    assert message["hint"]
    assert message["error"]["code"] == code


def test_an_unknown_failure_code_is_refused() -> None:
    with pytest.raises(ValueError, match="code"):
        encode_failure(failure(code="odd"), failure_id=ID, epoch=None, seq=None, device=DEVICE)


# ------------------------------------------------------------------------------------------------------------ identities


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


# ---------------------------------------------------------------------------------------------------------------- anything

any_text = st.text(alphabet=st.characters(), max_size=20) | st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5)
any_float = st.floats(allow_nan=True, allow_infinity=True)
share = st.floats(0, 1)


@st.composite
def inspections(draw: st.DrawFn) -> Inspection:
    """Any inspection that the records allow: odd texts, no number where the file says none."""
    n = draw(st.integers(0, 3))
    size = draw(st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False))
    maybe = st.none() | any_float
    return Inspection(
        source=Source(draw(any_text), draw(any_text), None, draw(st.integers(1, 9)), 1),
        micrograph=Micrograph(
            np.zeros((4, 5), np.uint8),
            5,
            4,
            pixel_size_nm=size,
            pixel_size_source=None if size is None else "sidecar",
            acquisition=Acquisition(
                draw(st.none() | any_text),
                draw(st.none() | any_text),
                draw(st.none() | st.datetimes()),
                None,
                draw(maybe),
                draw(maybe),
            ),
            warnings=(draw(any_text),),
        ),
        sample=draw(st.dictionaries(st.sampled_from(["annealing_min", "exposure_h", "who"]), any_text | any_float | st.none())),
        regions=Regions(
            np.ones((n, 4), np.int32),
            np.full(n, draw(share), np.float32),
            np.zeros(n, np.int32),
            (np.ones((1, 1), bool),) * n,
            (draw(any_text),),
        ),
        measures=Measures(
            np.full(n, draw(st.integers(0, 2**40)), np.int64),
            np.full(n, draw(st.floats(0, 1e6))),
            np.full(n, draw(st.floats(0, 1) | st.just(math.nan) | st.just(math.inf))),
            np.zeros(n, bool),
            (np.zeros((1, 2), np.int32),) * n,
            ((),) * n,
            union_px=draw(st.integers(0, 20)),
            area_fraction=draw(share),
            field_px=20,
        ),
        severity=draw(
            st.none()
            | st.builds(
                Severity,
                st.sampled_from(["low", "moderate", "severe"]),
                share,
                st.dictionaries(st.sampled_from(["low", "moderate", "severe"]), share),
                st.none() | st.just(("low",)),
                st.booleans(),
                st.tuples(any_text),
                st.booleans(),
                st.just(np.ones((2, 2), np.float32)),
            )
        ),
        region_severities=(None,) * n,
        quality=Quality(draw(st.floats(0) | st.just(math.nan)), draw(share), draw(share), None, (draw(any_text),)),
        models=ModelsUsed(
            draw(st.none() | st.builds(ModelIdentity, any_text, any_text, any_text)), None, "openvino", "float32"
        ),
        smallest_region_px=draw(st.none() | st.floats(0)),
        settings_sha256="",
        timing=Timing(),
        made_at=AT + draw(st.timedeltas(timedelta(days=-18_000), timedelta(days=300_000))),
    )


INSPECTION = Draft202012Validator(schema.json_schema("inspection"))
SUMMARY = Draft202012Validator(schema.json_schema("summary"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inspections())
def test_whatever_is_found_becomes_strict_json_of_its_schema(inspection: Inspection) -> None:
    INSPECTION.validate(encoded(inspection))
    SUMMARY.validate(summarised(inspection))


@settings(deadline=None)
@given(any_text, any_text)
def test_whatever_goes_wrong_becomes_strict_json(path: str, message: str) -> None:
    broken = failure(source=Source(path, path, None), message=message)
    strict(encode_failure(broken, failure_id=verdict_id(EPOCH, path, 1, 1), epoch=EPOCH, seq=1, device=DEVICE))


# -------------------------------------------------------------------------------------------------------------- commands


def test_an_empty_payload_is_an_empty_command() -> None:
    assert decode_command("rescan", b"") == (None, {})


def test_a_command_gives_its_fields_and_its_request_id() -> None:
    payload = json.dumps({"epoch": EPOCH, "first": 1, "last": 2, "request_id": "7"}).encode()
    assert decode_command("replay", payload) == ("7", {"epoch": EPOCH, "first": 1, "last": 2})


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b"{", b"\xff", b'{"folder": "/etc"}', b'{"request_id": 5}', b"[" * 100_000]
)
def test_a_malformed_command_is_refused_in_words(payload: bytes) -> None:
    with pytest.raises(ValueError, match="pause"):
        decode_command("pause", payload)


def test_an_answer_with_undecodable_names_is_still_utf_8() -> None:
    answer = encode_response(command="info", request_id=None, error=None, result={"a\udcff": ["b\udcfe"]}, device=DEVICE, at=AT)
    assert strict(answer)["result"] == {"a\\xff": ["b\\xfe"]}


def test_a_tombstone_is_known_by_its_payload() -> None:
    assert is_tombstone(messages()["tombstone"])
    assert not is_tombstone(messages()["inspection"])
