"""Texts of any encoding and container, lengths and dates; what cannot be read is unknown."""

from __future__ import annotations

import zlib

import pytest

from edge.sem import parse
from edge.sem.evidence import Evidence
from edge.sem.structure import layout
from tests.sem.making import encoded, specimen, with_png_chunks


def evidence(*chunks: tuple[bytes, bytes]) -> Evidence:
    data = with_png_chunks(encoded(specimen(48, 64), ".png"), *chunks)
    return Evidence("a.png", 64, 48, chunks=layout(data).chunks, data=memoryview(data))


def test_png_texts_of_every_kind() -> None:
    found = parse.png_texts(
        evidence(
            (b"tEXt", b"Plain\0PixelSize=2.5 nm"),
            (b"zTXt", b"Packed\0\0" + zlib.compress(b"kV=15")),
            (b"iTXt", "International\0\0\0de\0Übersetzt\0Größe 3 µm".encode()),
            (b"iTXt", b"Both\0\1\0\0\0" + zlib.compress("µ".encode())),
        )
    )
    assert found == {"Plain": "PixelSize=2.5 nm", "Packed": "kV=15", "International": "Größe 3 µm", "Both": "µ"}


def test_the_first_of_equal_png_keywords_wins() -> None:
    assert parse.png_texts(evidence((b"tEXt", b"a\x001"), (b"tEXt", b"a\x002"))) == {"a": "1"}


@pytest.mark.parametrize(
    "chunk", [(b"zTXt", b"a\0\0no zlib"), (b"zTXt", b"a"), (b"iTXt", b"a\0\1\0\0\0no zlib"), (b"iTXt", b"a")]
)
def test_a_damaged_png_text_is_empty(chunk: tuple[bytes, bytes]) -> None:
    assert parse.png_texts(evidence(chunk)) == {"a": ""}


def test_a_png_text_that_unpacks_to_gigabytes_is_cut() -> None:
    packed = zlib.compress(b"x" * (parse.MAX_TEXT + 10))
    assert len(parse.png_texts(evidence((b"zTXt", b"a\0\0" + packed)))["a"]) == parse.MAX_TEXT


def test_xml_text_survives_xml_that_is_not_closed() -> None:
    xml = '<Image><Size unit="px"><X>512</X></Size><Broken>'
    assert parse.xml_text(xml, "Size", "X") == "512"
    assert parse.xml_text(xml, "Size", "Y") is None
    assert parse.xml_text(xml, "Broken") is None


def test_openings_without_an_end_cost_no_square_of_time() -> None:
    xml = "<a " * 1_000_000 + "<a>" * 200_000
    assert parse.xml_text(xml, "a") is None
    assert parse.xml_attribute(xml, "c", "a") is None


@pytest.mark.parametrize(
    ("string", "unit", "nm"),
    [("10um", None, 1e4), ("558.2 pm", None, 0.5582), ("3,4 µm", None, 3400), ("2.5", "nm", 2.5), ("2.5", None, None),
     ("5deg.", None, None), ("-1 nm", None, None), ("many nm", None, None), (None, "nm", None)],
)  # fmt: skip
def test_a_length_needs_a_unit_and_is_above_zero(string: str | None, unit: str | None, nm: float | None) -> None:
    assert parse.length_nm(string, unit) == (None if nm is None else pytest.approx(nm))


@pytest.mark.parametrize(
    ("said", "kv"),
    [("15 kV", 15.0), ("-15 kV", 15.0), ("-15000 V", 15.0), ("5000", 5.0), ("0 V", 0.0), ("off", None), (None, None)],
)
def test_a_voltage_is_read_with_its_unit(said: str | None, kv: float | None) -> None:
    assert parse.kilovolts(said) == kv


@pytest.mark.parametrize(
    "xml",
    [
        '<Image><PixelSize unit="nm" x="1">25.5</PixelSize></Image>',
        "<Image><PixelSize x='1'\n unit = 'nm'>25.5",
        '<Image unit="um"><Pixel unit="mm"/><PixelSize x="1" unit="nm">',
    ],
)
def test_an_attribute_is_read_also_where_the_element_is_cut_off(xml: str) -> None:
    assert parse.xml_attribute(xml, "unit", "PixelSize") == "nm"


def test_an_attribute_of_an_element_inside_another_is_found_by_its_path() -> None:
    xml = '<A><Size unit="nm">1</Size></A><B><Size unit="um">2</Size></B>'
    assert parse.xml_attribute(xml, "unit", "B", "Size") == "um"
    assert parse.xml_attribute(xml, "unit", "C", "Size") is None
    assert parse.xml_attribute(xml, "scale", "B", "Size") is None
