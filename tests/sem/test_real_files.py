"""Files that real microscopes wrote; skipped where they are not beside the checkout."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import FileState, completeness, read, sidecar_names
from tests.sem.making import SHARED, tiff

FOLDER = SHARED / "microscopes"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real files are not beside this checkout")


def load(name: str) -> Micrograph:
    sidecars = {side: (FOLDER / side).read_bytes() for side in sidecar_names(name) if Path(FOLDER / side).is_file()}
    (micrograph,) = read((FOLDER / name).read_bytes(), name, sidecars)
    return micrograph


def test_quanta() -> None:
    micrograph = load("quanta_image.tif")
    assert (micrograph.stored_width_px, micrograph.stored_height_px, micrograph.databar_px) == (1024, 943, 59)
    assert micrograph.pixel_size_nm == pytest.approx(441.942)
    assert micrograph.acquisition.captured_at == datetime(2017, 12, 18, 13, 4, 14)  # noqa: DTZ001
    assert micrograph.acquisition.acceleration_kv == 30
    assert micrograph.warnings == ()


def test_scios_bar_is_cut_although_its_metadata_say_zero() -> None:
    micrograph = load("scios_multiple_gis_metadata_sections.tif")
    assert micrograph.databar_px == 140
    assert micrograph.acquisition.magnification == 20000  # as its data bar shows


def test_scios_without_a_bar_keeps_all_rows() -> None:
    micrograph = load("scios_xml_metadata.tif")
    assert micrograph.databar_px == 0
    assert micrograph.pixel_size_nm == pytest.approx(26.9792)


def test_tescan_with_tag_and_sidecar() -> None:
    micrograph = load("tescan-pfib_dataZeroed.tif")
    assert micrograph.databar_px == 298
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)
    assert micrograph.acquisition.captured_at == datetime(2025, 12, 3, 17, 19, 26)  # noqa: DTZ001


def test_tescan_by_its_sidecar_alone() -> None:
    sidecar = (FOLDER / "tescan-pfib_dataZeroed.hdr").read_bytes()
    (micrograph,) = read(tiff(np.zeros((1578, 1280), np.uint8)), "b.tif", {"b.hdr": sidecar})
    assert (micrograph.pixel_size_nm, micrograph.pixel_size_source) == (pytest.approx(1.5625), "sidecar")
    assert micrograph.databar_px == 298


def test_jeol_sidecar() -> None:
    sidecar = (FOLDER / "jeol_7800f_sidecar.txt").read_bytes()
    (micrograph,) = read(tiff(np.zeros((960, 1280), np.uint8)), "a.tif", {"a.txt": sidecar})
    assert micrograph.pixel_size_nm == pytest.approx(10000 / 106)
    assert micrograph.acquisition.model == "7800F"


def test_32_bits() -> None:
    micrograph = load("quanta_image_32bit.tif")
    assert micrograph.grey.max() == 255
    assert micrograph.grey_window[1] > 255


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("quanta_bad_metadata.tif", "truncated"),
        ("quanta_no_beam_scan_or_system_meta.tif", "truncated"),
        ("quanta_just_modded_mdata.tif", "not_an_image"),
    ],
)
def test_what_is_no_whole_image_is_refused(name: str, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(name)
    assert caught.value.code == code


def test_zeroed_pixels_are_a_zero_tail() -> None:
    assert completeness((FOLDER / "tescan-pfib_dataZeroed.tif").read_bytes()).state is FileState.ZERO_TAIL
