"""Files that real microscopes wrote: the small ones of tests/data always, the whole ones where they are beside the checkout."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import read, sidecar_names
from edge.sem.evidence import Parts
from edge.sem.structure import layout
from tests import ROOT
from tests.sem.making import SHARED, tiff

SMALL = ROOT / "tests" / "data"
WHOLE = SHARED / "microscopes"
PLACING = {259, 273, 278, 279, 34665}  # tags that speak of where pixels and other tags lie in the file
needs_whole = pytest.mark.skipif(not WHOLE.is_dir(), reason="the real files are not beside this checkout")


@pytest.fixture(params=[pytest.param(SMALL, id="small"), pytest.param(WHOLE, id="whole", marks=needs_whole)])
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def load(folder: Path, name: str) -> Micrograph:
    sidecars = {side: (folder / side).read_bytes() for side in sidecar_names(name) if (folder / side).is_file()}
    (micrograph,) = read((folder / name).read_bytes(), name, sidecars)
    return micrograph


def test_quanta(folder: Path) -> None:
    micrograph = load(folder, "quanta_image.tif")
    assert (micrograph.stored_width_px, micrograph.stored_height_px, micrograph.databar_px) == (1024, 943, 59)
    assert micrograph.pixel_size_nm == pytest.approx(441.942)
    assert micrograph.acquisition.captured_at == datetime(2017, 12, 18, 13, 4, 14)  # noqa: DTZ001
    assert micrograph.acquisition.acceleration_kv == 30
    assert micrograph.warnings == ()


def test_quanta_dates_that_contradict_each_other_are_said(folder: Path) -> None:
    micrograph = load(folder, "quanta-fei_2_dataZeroed.tif")
    assert micrograph.pixel_size_nm == pytest.approx(3.33333)
    assert micrograph.warnings[0].startswith("date_conflict: ")


def test_scios_bar_is_cut_although_its_metadata_say_zero(folder: Path) -> None:
    micrograph = load(folder, "scios_multiple_gis_metadata_sections.tif")
    assert micrograph.databar_px == 140
    assert micrograph.acquisition.magnification == 20000  # as its data bar shows


def test_scios_without_a_bar_keeps_all_rows(folder: Path) -> None:
    micrograph = load(folder, "scios_xml_metadata.tif")
    assert micrograph.databar_px == 0
    assert micrograph.pixel_size_nm == pytest.approx(26.9792)


def test_tescan_with_tag_and_sidecar(folder: Path) -> None:
    micrograph = load(folder, "tescan-pfib_dataZeroed.tif")
    assert micrograph.databar_px == 298
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)
    assert micrograph.acquisition.captured_at == datetime(2025, 12, 3, 17, 19, 26)  # noqa: DTZ001


def test_tescan_by_its_sidecar_alone(folder: Path) -> None:
    sidecar = (folder / "tescan-pfib_dataZeroed.hdr").read_bytes()
    (micrograph,) = read(tiff(np.zeros((1578, 1280), np.uint8)), "b.tif", {"b.hdr": sidecar})
    assert (micrograph.pixel_size_nm, micrograph.pixel_size_source) == (pytest.approx(1.5625), "sidecar")
    assert micrograph.databar_px == 298


def test_jeol_sidecar(folder: Path) -> None:
    sidecar = (folder / "jeol_7800f_sidecar.txt").read_bytes()
    (micrograph,) = read(tiff(np.zeros((960, 1280), np.uint8)), "a.tif", {"a.txt": sidecar})
    assert micrograph.pixel_size_nm == pytest.approx(10000 / 106)
    assert micrograph.acquisition.model == "7800F"


def test_32_bits(folder: Path) -> None:
    micrograph = load(folder, "quanta_image_32bit.tif")
    assert micrograph.grey.max() == 255
    assert micrograph.grey_window[1] > 255


@pytest.mark.parametrize(
    ("name", "code"),
    [("quanta_bad_metadata.tif", "truncated"), ("quanta_just_modded_mdata.tif", "not_an_image")],
)
def test_what_is_no_whole_image_is_refused(folder: Path, name: str, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(folder, name)
    assert caught.value.code == code


@needs_whole
def test_a_page_whose_strips_lie_beyond_the_end_is_refused() -> None:
    with pytest.raises(ImageError) as caught:
        load(WHOLE, "quanta_no_beam_scan_or_system_meta.tif")
    assert caught.value.code == "truncated"


@needs_whole
def test_zeroed_pixels_are_told_and_no_other_real_file_is_doubted_for_them() -> None:
    told = set()
    for file in sorted(WHOLE.glob("*.tif")):
        with contextlib.suppress(ImageError):
            if any(warning.startswith("zero_rows") for warning in load(WHOLE, file.name).warnings):
                told.add(file.name)
    assert told == {"quanta-fei_2_dataZeroed.tif", "scios_xml_metadata.tif", "tescan-pfib_dataZeroed.tif"}


@needs_whole
@pytest.mark.parametrize("name", sorted(path.name for path in SMALL.glob("*.tif")))
def test_a_small_file_has_the_tags_of_the_whole_one(name: str) -> None:
    small, whole = tags(SMALL / name), tags(WHOLE / name)
    assert small == whole


def tags(path: Path) -> list[dict[int, object]]:
    data = path.read_bytes()
    return [
        {
            **Parts(memoryview(data), page.tags),
            **{tag: values for tag, values in page.numbers.items() if tag not in PLACING},
        }
        for page in layout(data).pages
    ]
