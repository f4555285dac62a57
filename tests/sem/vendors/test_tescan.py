"""What TESCAN writes, in its tag and beside the image."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from tests.sem.making import (
    TESCAN_SEM,
    bar,
    specimen,
    tescan_lines,
    tescan_tag,
    tiff,
)
from tests.sem.micrographs import one, warned

IMAGE = specimen()
STRIP = np.vstack([IMAGE, bar(48, background=32, ink=220)])


def hdr(**changes: str) -> bytes:
    return f"[MAIN]\r\n{tescan_lines(**changes)}\r\n[SEM]\r\n{TESCAN_SEM}".encode()


@pytest.mark.parametrize("sidecars", [{}, {"A-TIF.HDR": hdr(PixelSizeX="0.000001", PixelSizeY="0.000001")}])
def test_tescan_tag_tells_and_wins_over_its_sidecar(sidecars: dict[str, bytes]) -> None:
    micrograph = one(tiff(STRIP, {50431: tescan_tag()}), sidecars=sidecars)
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(1.5625)
    assert micrograph.pixel_size_source == "metadata"
    assert (acquisition.vendor, acquisition.model, acquisition.detector) == ("TESCAN", "TESCAN AMBER X", "E-T")
    assert (acquisition.acceleration_kv, acquisition.magnification) == (15.0, 160000.0)
    assert acquisition.captured_at == datetime(2025, 12, 3, 17, 19, 26)  # noqa: DTZ001
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
