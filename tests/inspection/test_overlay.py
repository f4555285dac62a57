"""The picture of an inspection: its colours, its scale bar, its text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.inspection import overlay
from edge.records import SEVERITIES
from tests.inspection.conftest import inspected, sample
from tests.wire.examples import abstained, example, limited, limited_alone, tilted


def test_the_overlay_has_the_colour_of_the_regions_severity(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, sample())
    picture = overlay.draw(inspection).astype(int)
    colourful = np.ptp(picture[: inspection.micrograph.height_px], axis=2) > 60
    assert colourful.any()
    decoded = cv2.imdecode(np.frombuffer(overlay.encode(overlay.draw(inspection), "webp"), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == picture.shape


def test_the_strip_of_an_abstained_inspection_names_no_severity() -> None:
    texts = [text for text, _ in overlay._verdict(abstained())]
    assert texts[0] == "NOT JUDGED (NO_CONTRAST)"
    assert overlay._verdict(example())[0] == ("MODERATE 71%", overlay.SEVERITY_BGR["moderate"])
    assert not any(word in text.lower() for word in SEVERITIES for text in texts)
    severe = overlay._verdict(abstained())[0][1]
    assert severe not in overlay.SEVERITY_BGR.values()
    assert overlay.draw(abstained()).shape[1] == overlay.NARROWEST_PX


def test_a_largest_region_that_an_edge_cuts_is_said_and_a_tilted_image_has_no_um2() -> None:
    cut = replace(example(), measures=replace(example().measures, touches_edge=np.array([True, False])))
    assert any("(cut by the edge)" in text for text, _ in overlay._verdict(cut))
    assert not any("um2" in text for text, _ in overlay._verdict(tilted()))


@pytest.mark.parametrize(("nm", "width"), [(0.5, 640), (3.7, 640), (100.0, 1600), (100.0, 4096), (5e5, 500)])
def test_the_scale_bar_is_as_long_as_it_says(nm: float, width: int) -> None:
    scale = min(1.0, overlay.LONGEST_PX / width)
    bar = overlay.scale_bar(nm / 1000, round(width * scale), scale)
    assert bar is not None
    length_px, text = bar
    value, unit = text.split()
    shown_nm = float(value) * {"nm": 1, "um": 1e3, "mm": 1e6}[unit]
    assert shown_nm / (nm / scale) == pytest.approx(length_px, abs=0.51)
    assert width * scale / 13 < length_px <= width * scale / 5


@pytest.mark.parametrize("name", ["a" * 250 + ".tif", "short.tif", "W" * 40 + " " + "x" * 120, ""])
def test_no_line_of_the_strip_is_cut_and_no_letter_lost(name: str) -> None:
    lines = overlay._wrapped([(name, overlay.INK_BGR)], 344, 0.38)
    assert all(cv2.getTextSize(line, overlay.FONT, 0.38, 1)[0][0] <= 344 for line, _ in lines)
    assert "".join(line for line, _ in lines).replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(
    ("value", "text"), [(22770.4, "22,770"), (684.12, "684.1"), (0.012345, "0.01235"), (9999.4, "9999"), (1.5e7, "15,000,000")]
)
def test_measures_are_written_for_people(value: float, text: str) -> None:
    assert overlay.four_figures(value) == text


def test_a_severity_by_limits_is_drawn_as_such() -> None:
    for inspection in (limited(), limited_alone()):
        assert overlay._verdict(inspection)[0] == ("SEVERE (LIMITS)", overlay.SEVERITY_BGR["severe"])
        assert overlay.draw(inspection).shape[1] == overlay.NARROWEST_PX
