"""What OpenFIBSEM writes into the description of a TIFF."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from edge.sem import needs_sidecar
from tests.sem.making import specimen, tiff
from tests.sem.micrographs import one, warned

IMAGE = specimen()


def described(**changes: Any) -> dict[str, Any]:
    state = {
        "stage_position": {"x": 0.0, "y": 0.0, "z": 4e-3, "r": 0.0, "t": 0.0, "coordinate_system": "RAW"},
        "electron_beam": {"beam_type": "ELECTRON", "working_distance": 4e-3, "voltage": 2000, "hfw": 12.8e-6},
        "ion_beam": {"beam_type": "ION", "working_distance": 16.5e-3, "voltage": 30000, "hfw": 12.8e-6},
        "electron_detector": {"type": "ETD", "mode": "SecondaryElectrons"},
        "ion_detector": {"type": "ICE"},
    }
    return {
        "shape": [384, 512],
        "image": {"resolution": [512, 384], "hfw": 12.8e-6, "beam_type": "ELECTRON"},
        "version": "v3",
        "pixel_size": {"x": 25e-9, "y": 25e-9},
        "microscope_state": state,
        "system": {"stage": {"shuttle_pre_tilt": 0}, "electron": {"column_tilt": 0}, "ion": {"column_tilt": 52},
                   "info": {"manufacturer": "Thermo", "model": "Aquilos2"}},
        **changes,
    }  # fmt: skip


def file(document: object) -> bytes:
    return tiff(IMAGE, {270: document if isinstance(document, str) else json.dumps(document)})


def test_pixel_beam_detector_and_stage_are_read() -> None:
    data = file(described())
    micrograph = one(data)
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert (acquisition.vendor, acquisition.model, acquisition.detector) == ("OpenFIBSEM", "Aquilos2", "ETD")
    assert (acquisition.acceleration_kv, acquisition.working_distance_mm, acquisition.tilt_deg) == (2.0, 4.0, 0.0)
    assert micrograph.warnings == ()
    assert not needs_sidecar(data, "a.tif")


def test_the_settings_of_older_files_stand_at_the_top() -> None:
    old = {**described(), "beam_type": "ELECTRON", "resolution": [1024, 768]}
    del old["image"], old["system"], old["microscope_state"]
    assert one(file(old)).pixel_size_nm is None  # a part or a copy of 1024 x 768: nothing else tells which
    old["resolution"] = [512, 384]
    assert one(file(old)).pixel_size_nm == pytest.approx(25)


def test_an_ion_image_has_the_ion_beams_values_and_its_angle() -> None:
    document = described(image={"resolution": [512, 384], "beam_type": "ION"})
    document["microscope_state"]["stage_position"]["t"] = math.radians(52)
    acquisition = one(file(document)).acquisition
    assert (acquisition.acceleration_kv, acquisition.detector) == (30.0, "ICE")
    assert acquisition.tilt_deg == pytest.approx(0, abs=1e-9)


def test_on_a_tilted_holder_the_tilt_is_unknown() -> None:
    document = described()
    document["system"]["stage"]["shuttle_pre_tilt"] = 35
    micrograph = one(file(document))
    assert micrograph.acquisition.tilt_deg is None
    assert warned(micrograph, "tilt_unsure")


@pytest.mark.parametrize("pixel", [{"x": 0.0, "y": 0.0}, {"x": 25e-9}, {}, None, "25 nm", {"x": "25e-9", "y": True}])
def test_without_two_lengths_there_is_no_scale(pixel: object) -> None:
    micrograph = one(file(described(pixel_size=pixel)))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


@pytest.mark.parametrize("end", [40, 300, 600])
def test_json_that_is_cut_off_costs_the_metadata_alone(end: int) -> None:
    micrograph = one(file(json.dumps(described())[:end]))
    np.testing.assert_array_equal(micrograph.grey, IMAGE)
    assert micrograph.pixel_size_nm is None


@pytest.mark.parametrize("other", ['{"shape": [384, 512]}', "[" * 100000, "{" + '"a":[' * 50000])
def test_other_json_is_no_description_and_depth_costs_nothing(other: str) -> None:
    assert one(file(other)).pixel_size_nm is None


def test_a_deep_document_of_its_kind_costs_the_metadata_alone() -> None:
    deep = '{"pixel_size": 1, "microscope_state": ' + "[" * 100000
    assert warned(one(file(deep)), "metadata_damaged")
