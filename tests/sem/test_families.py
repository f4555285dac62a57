"""What each family of microscopes says, and the traps in it."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from edge.records import Micrograph
from edge.sem import needs_sidecar, read, sidecar_names

from .making import (
    TESCAN_SEM,
    bar,
    fei,
    hitachi,
    jeol,
    specimen,
    tescan_lines,
    tescan_tag,
    tiff,
    zeiss,
)

IMAGE = specimen()
WITH_BAR = np.vstack([IMAGE, bar(32)])


def one(data: bytes, name: str = "a.tif", **options: object) -> Micrograph:
    (micrograph,) = read(data, name, **options)  # type: ignore[arg-type]
    return micrograph


def warned(micrograph: Micrograph, code: str) -> bool:
    return any(warning.startswith(f"{code}: ") for warning in micrograph.warnings)


# Thermo Fisher ---------------------------------------------------------------------------------------------------


def read_fei(values: np.ndarray = WITH_BAR, tag: int = 34682, **changes: str | None) -> Micrograph:
    return one(tiff(values, {tag: fei(**changes)}))


@pytest.mark.parametrize("tag", [34682, 34680])
def test_fei_text_tells_how_an_image_was_taken(tag: int) -> None:
    micrograph = read_fei(tag=tag)
    said = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(500)
    assert micrograph.pixel_size_source == "metadata"
    assert (said.vendor, said.model, said.detector) == ("Thermo Fisher (FEI)", "Quanta FEG", "LFD")
    assert (said.acceleration_kv, said.magnification) == (30.0, 500.0)
    assert said.working_distance_mm == pytest.approx(11.051)
    assert said.captured_at == datetime(2017, 12, 18, 13, 4, 14)  # noqa: DTZ001
    assert micrograph.warnings == ()


@pytest.mark.parametrize("height", ["32", "0", ""])
def test_fei_bar_is_the_rows_below_resolution_y_whatever_databarheight_says(height: str) -> None:
    micrograph = read_fei(PrivateFei__DatabarHeight=height)
    assert micrograph.databar_px == 32
    np.testing.assert_array_equal(micrograph.grey, IMAGE)


def test_fei_rows_that_the_metadata_call_a_bar_but_that_are_specimen_are_kept() -> None:
    micrograph = read_fei(specimen(416, 512))
    assert micrograph.databar_px == 0
    assert warned(micrograph, "databar_missing")


def test_fei_pixel_width_may_stand_in_the_named_scan_section_only() -> None:
    assert read_fei(Scan__PixelWidth=None, Scan__PixelHeight=None).pixel_size_nm == pytest.approx(500)


def test_fei_pixel_width_may_follow_from_the_field() -> None:
    changes = {f"{scan}__Pixel{side}": None for scan in ("Scan", "EScan") for side in ("Width", "Height")}
    assert read_fei(**changes).pixel_size_nm == pytest.approx(500)


def test_fei_xml_says_the_same_when_the_text_is_lost() -> None:
    xml = (
        '<?xml version="1.0"?><Metadata><Instrument><InstrumentClass>Scios 2</InstrumentClass></Instrument>'
        "<Acquisition><AcquisitionDatetime>2024-05-01T12:56:16</AcquisitionDatetime></Acquisition>"
        "<Optics><AccelerationVoltage>5000</AccelerationVoltage></Optics><BinaryResult>"
        "<ImageSize><X>512</X><Y>384</Y></ImageSize>"
        '<PixelSize><X unit="m" unitPrefixPower="1">2.5E-08</X><Y unit="m" unitPrefixPower="1">2.5E-08</Y></PixelSize>'
        "</BinaryResult>"
    )  # damaged on purpose: the root is not closed
    micrograph = one(tiff(WITH_BAR, {34682: "", 34683: xml}))
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert micrograph.databar_px == 32
    assert micrograph.acquisition.acceleration_kv == 5
    assert micrograph.acquisition.captured_at == datetime(2024, 5, 1, 12, 56, 16)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("12/18/2017", "01:04:14 PM", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("18/12/2017", "13:04:14", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("18.12.2017", "13:04:14", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("05/01/2024", "12:56:16 PM", datetime(2024, 5, 1, 12, 56, 16)),  # noqa: DTZ001
        ("05/05/2024", "12:56:16", datetime(2024, 5, 5, 12, 56, 16)),  # noqa: DTZ001
        ("05/01/2024", "12:56:16", None),
        ("yesterday", "noon", None),
    ],
)
def test_fei_date_without_time_of_creation_is_unknown_when_ambiguous(date: str, time: str, expected: datetime | None) -> None:
    micrograph = read_fei(PrivateFei__TimeOfCreation=None, User__Date=date, User__Time=time)
    assert micrograph.acquisition.captured_at == expected


def test_fei_pixels_that_are_not_square_have_no_size() -> None:
    micrograph = read_fei(Scan__PixelHeight="6e-007")
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixels_not_square")


def test_a_configured_size_does_not_replace_one_that_the_file_contradicts() -> None:
    data = tiff(WITH_BAR, {34682: fei(Scan__PixelHeight="6e-007")})
    assert one(data, pixel_size_nm=10.0).pixel_size_nm is None


def test_fei_image_exported_at_half_size_has_pixels_twice_as_large() -> None:
    micrograph = read_fei(np.ascontiguousarray(WITH_BAR[::2, ::2]))
    assert micrograph.pixel_size_nm == pytest.approx(1000)
    assert micrograph.databar_px == 16
    assert warned(micrograph, "resized")


def test_fei_image_of_another_shape_than_its_metadata_has_no_size() -> None:
    micrograph = read_fei(specimen(200, 400))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "resized")


@pytest.mark.parametrize(
    "text", ["", "[Scan\nPixelWidth", "\0" * 40, "PixelWidth=banana", "[Scan]\nPixelWidth=nan\n", "é" * 99]
)
def test_damaged_fei_text_does_not_cost_the_image(text: str) -> None:
    micrograph = one(tiff(IMAGE, {34682: text or " "}))
    assert micrograph.pixel_size_nm is None
    np.testing.assert_array_equal(micrograph.grey, IMAGE)


# Zeiss -----------------------------------------------------------------------------------------------------------


def read_zeiss(width: int = 512, **options: object) -> Micrograph:
    height = width * 3 // 4
    options.setdefault("store", f"{width} * {height}")
    return one(tiff(specimen(height, width), {34118: zeiss(**options)}))  # type: ignore[arg-type]


def test_zeiss_image_pixel_size_wins_over_pixel_size() -> None:
    micrograph = read_zeiss()
    said = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(35.94)
    assert (said.vendor, said.model, said.detector) == ("Zeiss", "ULTRA 55", "InLens")
    assert (said.acceleration_kv, said.magnification, said.working_distance_mm) == (5.0, 10000.0, pytest.approx(4.1))
    assert said.captured_at == datetime(2018, 9, 25, 8, 20, 42)  # noqa: DTZ001
    assert micrograph.warnings == ()


@pytest.mark.parametrize(("text", "nm"), [("558.2 pm", 0.5582), ("1.2 µm", 1200), ("1.2 um", 1200), ("0.01 mm", 10000)])
def test_zeiss_units(text: str, nm: float) -> None:
    assert read_zeiss(AP_IMAGE_PIXEL_SIZE=f"Image Pixel Size = {text}").pixel_size_nm == pytest.approx(nm)


def test_zeiss_head_wins_over_a_pixel_size_of_another_store_resolution() -> None:
    micrograph = read_zeiss(1024, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 20.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(10)
    assert warned(micrograph, "pixel_size_conflict")


def test_zeiss_head_that_agrees_with_pixel_size_is_that_of_a_display_1024_wide() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 10.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(20)


def test_zeiss_head_that_is_of_the_stored_pixels_is_taken_as_it_is() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 5.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(10)


def test_zeiss_without_anything_sure_has_no_size() -> None:
    micrograph = read_zeiss(512, head=(), AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 5.00 nm")
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unsure")


def test_zeiss_field_width_gives_the_pixel_of_older_files() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_WIDTH="Width = 5.12 µm")
    assert micrograph.pixel_size_nm == pytest.approx(10)


def test_zeiss_export_at_half_the_store_resolution_has_pixels_twice_as_large() -> None:
    micrograph = read_zeiss(512, store="1024 * 768")
    assert micrograph.pixel_size_nm == pytest.approx(2 * 35.94)
    assert warned(micrograph, "resized")


@pytest.mark.parametrize(("background", "ink"), [(255, 0), (0, 255)])
def test_zeiss_data_zone_is_found_in_the_rows_of_the_image(background: int, ink: int) -> None:
    image = specimen(384, 512)
    image[340:] = bar(44, 512, background, ink, frame=True)
    assert one(tiff(image, {34118: zeiss()})).databar_px == 44


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\x00", b"AP_MAG", b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = many nm\r\n", b"0\r\n" * 3]
)
def test_damaged_zeiss_text_does_not_cost_the_image(raw: bytes) -> None:
    assert one(tiff(IMAGE, {34118: raw})).pixel_size_nm is None


# TESCAN ----------------------------------------------------------------------------------------------------------

STRIP = np.vstack([IMAGE, bar(48, background=32, ink=220)])


def hdr(**changes: str) -> bytes:
    return f"[MAIN]\r\n{tescan_lines(**changes)}\r\n[SEM]\r\n{TESCAN_SEM}".encode()


@pytest.mark.parametrize("sidecars", [{}, {"A-TIF.HDR": hdr(PixelSizeX="0.000001", PixelSizeY="0.000001")}])
def test_tescan_tag_tells_and_wins_over_its_sidecar(sidecars: dict[str, bytes]) -> None:
    micrograph = one(tiff(STRIP, {50431: tescan_tag()}), sidecars=sidecars)
    said = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)
    assert micrograph.pixel_size_source == "metadata"
    assert (said.vendor, said.model, said.detector) == ("TESCAN", "TESCAN AMBER X", "E-T")
    assert (said.acceleration_kv, said.magnification) == (15.0, 160000.0)
    assert said.captured_at == datetime(2025, 12, 3, 17, 19, 26)  # noqa: DTZ001
    assert micrograph.databar_px == 48


@pytest.mark.parametrize("name", ["a-tif.hdr", "a.HDR"])
def test_tescan_sidecar_alone_is_enough(name: str) -> None:
    micrograph = one(tiff(STRIP), sidecars={name: hdr()})
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)
    assert micrograph.pixel_size_source == "sidecar"
    assert micrograph.databar_px == 48


def test_tescan_strip_that_was_not_exported_is_not_cut() -> None:
    micrograph = one(tiff(IMAGE, {50431: tescan_tag()}))
    assert micrograph.databar_px == 0
    assert warned(micrograph, "databar_missing")


def test_tescan_sidecar_fills_what_a_damaged_tag_lacks() -> None:
    micrograph = one(tiff(STRIP, {50431: b"\0\1\2garbage"}), sidecars={"a.hdr": hdr()})
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)


# JEOL ------------------------------------------------------------------------------------------------------------


def test_jeol_pixel_is_the_marker_over_the_bar() -> None:
    micrograph = one(tiff(WITH_BAR), sidecars={"a.TXT": jeol()})
    said = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(10000 / 106)
    assert micrograph.pixel_size_source == "sidecar"
    assert (said.vendor, said.model, said.detector) == ("JEOL", "7800F", "LED")
    assert (said.acceleration_kv, said.magnification, said.working_distance_mm) == (15.0, 1000.0, 3.78)
    assert said.captured_at == datetime(2023, 7, 13, 14, 38, 59)  # noqa: DTZ001
    assert micrograph.databar_px == 32


@pytest.mark.parametrize(("marker", "nm"), [("100nm", 100), ("1mm", 1e6), ("10 um", 1e4), ("10µm", 1e4)])
def test_jeol_marker_units(marker: str, nm: float) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": jeol(SM_MICRON_MARKER=marker, SM_MICRON_BAR="100")})
    assert micrograph.pixel_size_nm == pytest.approx(nm / 100)


def test_jeol_marker_in_degrees_is_no_length() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": jeol(SM_MICRON_MARKER="5deg.")})
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "scale_bar_unreadable")


def test_jeol_bar_inside_the_declared_height_is_found_from_the_pixels() -> None:
    image = IMAGE.copy()
    image[-40:] = bar(40)
    assert one(tiff(image), sidecars={"a.txt": jeol()}).databar_px == 40


def test_jeol_export_at_half_size_has_pixels_twice_as_large() -> None:
    half = np.ascontiguousarray(WITH_BAR[::2, ::2])
    micrograph = one(tiff(half), sidecars={"a.txt": jeol()})
    assert micrograph.pixel_size_nm == pytest.approx(2 * 10000 / 106)
    assert micrograph.databar_px == 16


def test_jeol_text_may_be_japanese() -> None:
    raw = jeol().replace(b"$CM_FULL", "$CM_TITLE 試料表面\r\n$CM_FULL".encode("cp932"))
    assert one(tiff(IMAGE), sidecars={"a.txt": raw}).pixel_size_nm == pytest.approx(10000 / 106)


# Hitachi ---------------------------------------------------------------------------------------------------------


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c not in "=[]\r\n" else c for c in text)


@pytest.mark.parametrize(
    "raw",
    [
        hitachi().encode(),
        hitachi().encode("utf-16"),
        hitachi().encode("utf-16-le"),
        hitachi().encode("utf-16-be"),
        (hitachi() + "SampleName=試料\r\n").encode("cp932"),
        (hitachi() + "SampleName=Oberfläche 5 µm\r\n").encode("latin-1"),
        full_width(hitachi()).encode("utf-8"),
    ],
    ids=["ascii", "utf-16", "utf-16-le", "utf-16-be", "cp932", "latin-1", "full-width"],
)
def test_hitachi_sidecar_in_each_encoding(raw: bytes) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"A.txt": raw})
    said = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(99.21875)
    assert micrograph.pixel_size_source == "sidecar"
    assert (said.vendor, said.model) == ("Hitachi", "SU5000")
    assert (said.acceleration_kv, said.magnification, said.working_distance_mm) == (15.0, 1000.0, pytest.approx(8.1))
    assert said.captured_at == datetime(2019, 5, 30, 14, 5, 6)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2019/03/12", datetime(2019, 3, 12, 14, 5, 6)),  # noqa: DTZ001
        ("03/30/2019", datetime(2019, 3, 30, 14, 5, 6)),  # noqa: DTZ001
        ("03/12/2019", None),
    ],
)
def test_hitachi_dates_are_those_of_some_country(date: str, expected: datetime | None) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": hitachi(Date=date).encode()})
    assert micrograph.acquisition.captured_at == expected
    assert warned(micrograph, "date_ambiguous") == (expected is None)


def test_hitachi_bar_is_inside_the_declared_size() -> None:
    image = IMAGE.copy()
    image[-32:] = bar(32)
    micrograph = one(tiff(image), sidecars={"a.txt": hitachi().encode()})
    assert micrograph.databar_px == 32
    assert micrograph.pixel_size_nm == pytest.approx(99.21875)


def test_a_text_file_of_something_else_is_ignored() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": b"Notes: PixelSize unknown, ask Anna\n\x00\xff"})
    assert micrograph.pixel_size_nm is None
    assert micrograph.warnings == ()


# Others ----------------------------------------------------------------------------------------------------------


def test_resolution_tags_are_no_pixel_size() -> None:
    micrograph = one(tiff(IMAGE, resolution=(300, 300), resolutionunit="INCH"))
    assert micrograph.pixel_size_nm is None
    assert micrograph.pixel_size_source is None


@pytest.mark.parametrize(("unit", "nm"), [("um", 1000), ("\\u00B5m", 1000), ("nm", 1), ("micron", 1000)])
def test_imagej_unit_makes_the_resolution_a_pixel_size(unit: str, nm: float) -> None:
    data = tiff(IMAGE, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert one(data).pixel_size_nm == pytest.approx(nm / 4)


def test_imagej_without_a_length_unit_has_no_size() -> None:
    assert one(tiff(IMAGE, imagej=True, resolution=(4, 4), metadata={"unit": "pixel"})).pixel_size_nm is None


def test_ome_physical_size_is_a_pixel_size() -> None:
    metadata = {
        "axes": "YX",
        "PhysicalSizeX": 12.5,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 12.5,
        "PhysicalSizeYUnit": "nm",
    }
    assert one(tiff(IMAGE, ome=True, metadata=metadata), "a.ome.tif").pixel_size_nm == pytest.approx(12.5)


def test_a_configured_pixel_size_is_used_only_when_nothing_else_says_one() -> None:
    plain = one(tiff(IMAGE), pixel_size_nm=7.0)
    assert (plain.pixel_size_nm, plain.pixel_size_source) == (7.0, "config")
    known = one(tiff(WITH_BAR, {34682: fei()}), pixel_size_nm=7.0)
    assert (known.pixel_size_nm, known.pixel_size_source) == (pytest.approx(500), "metadata")


def test_sidecar_names_stand_in_the_same_folder() -> None:
    assert set(sidecar_names("S-1.x.tif")) == {"S-1.x.txt", "S-1.x.hdr", "S-1.x-tif.hdr"}
    assert "image.txt" in sidecar_names("image")


def test_a_sidecar_is_needed_when_the_file_has_no_pixel_size() -> None:
    assert needs_sidecar(tiff(IMAGE), "a.tif")
    assert not needs_sidecar(tiff(WITH_BAR, {34682: fei()}), "a.tif")
    assert not needs_sidecar(b"no image", "a.tif")
