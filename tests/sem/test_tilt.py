"""A tilted specimen is foreshortened: what each family says of it, and that no µm² follow from it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edge.sem.parse import angle_deg, is_corrected
from tests.sem.making import bar, fei, fibics, hitachi, jeol, memento, specimen, tescan_tag, tiff, zeiss
from tests.sem.micrographs import one, warned

IMAGE = specimen()
RAD = str(math.radians(52))


def openfibsem(**state: object) -> bytes:
    document = {"image": {"beam_type": "ELECTRON"}, "pixel_size": {"x": 25e-9, "y": 25e-9}, "microscope_state": state}
    return tiff(IMAGE, {270: json.dumps(document)})


def xml(alpha: str, corrected: str = "false") -> str:
    return (
        f"<Metadata><Optics><SampleTiltCorrectionOn>{corrected}</SampleTiltCorrectionOn></Optics><StageSettings><StagePosition>"
        f"<Tilt><Alpha>{alpha}</Alpha><Beta>0</Beta></Tilt></StagePosition></StageSettings>"
        "<BinaryResult><PixelSize><X>2.5E-8</X><Y>2.5E-8</Y></PixelSize></BinaryResult></Metadata>"
    )


TILTED = {
    "fei": tiff(IMAGE, {34682: fei(Stage__StageT=RAD, EBeam__TiltCorrectionIsOn="no")}),
    "fei of older software": tiff(IMAGE, {34682: fei(EBeam__StageTa=RAD)}),
    "fei, about the other axis": tiff(IMAGE, {34682: fei(Stage__StageT="0", Stage__StageTb=RAD)}),
    "fei on a tilted holder": tiff(IMAGE, {34682: fei(Stage__StageT="0", EBeam__PreTilt=RAD)}),
    "fei, seen by ions": tiff(IMAGE, {34682: fei(Stage__StageT="0", Beam__Beam="IBeam")}),
    "fei, xml": tiff(IMAGE, {34683: xml(RAD)}),
    "fei, corrected for another plane": tiff(
        IMAGE, {34682: fei(Stage__StageT=RAD, EBeam__TiltCorrectionIsOn="yes", EBeam__TiltCorrectionAngle="0.6632")}
    ),
    "zeiss": tiff(IMAGE, {34118: zeiss(AP_STAGE_AT_T="Stage at T =  52.0 °", DP_TILT_CORRECTION="Tilt Corrn. = Off")}),
    "tescan": tiff(IMAGE, {50431: tescan_tag(StageTilt="52.0", TiltCorrection="0.0")}),
    "fibics": tiff(IMAGE, {51023: fibics().replace("<Scan>", '<Stage><Tilt units="deg">52</Tilt></Stage><Scan>')}),
    "helios 5": tiff(
        IMAGE,
        {
            34682: memento().replace(
                "<MementoItemSection />",
                "<MementoItemSection><MementoItem><Name>Tilt</Name><MementoItemUnit>MementoItemUnitRadian</MementoItemUnit>"
                f"<anyType>{RAD}</anyType></MementoItem></MementoItemSection>",
            )
        },
    ),
    "openfibsem": openfibsem(stage_position={"t": math.radians(52)}),
}


@pytest.mark.parametrize("data", TILTED.values(), ids=TILTED.keys())
def test_a_tilt_that_is_not_corrected_leaves_no_length_to_measure_with(data: bytes) -> None:
    micrograph = one(data)
    tilt = micrograph.acquisition.tilt_deg
    assert tilt is not None
    assert abs(tilt) == pytest.approx(52)
    assert micrograph.pixel_size_nm is not None
    assert micrograph.pixel_size_um is None
    assert warned(micrograph, "tilted")


@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("jeol", jeol() + b"$CM_STAGE_POSITION X=1.0, Y=2.0, Z=10.0, R=0.0, T=52.0\r\n"),
        ("jeol, turned by more than a stage tilts", jeol() + b"$CM_STAGE_POS -3.1 -3.5 4.6 52.0 200.0 0\r\n"),
        ("hitachi", hitachi(StagePositionT="52").encode()),
    ],
)
def test_a_tilt_in_a_sidecar_counts_as_well(name: str, sidecar: bytes) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": sidecar})
    assert micrograph.acquisition.tilt_deg == pytest.approx(52)
    assert micrograph.pixel_size_um is None
    assert warned(micrograph, "tilted")


LEVEL = {
    "fei, level": fei(Stage__StageT="0.0011"),
    "fei, by five degrees": fei(Stage__StageT=str(math.radians(4.99))),
    "fei, corrected": fei(Stage__StageT=RAD, EBeam__TiltCorrectionIsOn="yes", EBeam__TiltCorrectionAngle=RAD),
    "fei, corrected, without an angle": fei(Stage__StageT=RAD, EBeam__TiltCorrectionIsOn="yes"),
    "fei, seen by ions along the normal": fei(Stage__StageT=RAD, Beam__Beam="IBeam"),
    "fei, no angle at all": fei(Stage__StageT="many"),
}


@pytest.mark.parametrize("text", LEVEL.values(), ids=LEVEL.keys())
def test_what_is_level_corrected_or_unknown_is_measured(text: str) -> None:
    micrograph = one(tiff(IMAGE, {34682: text}))
    assert micrograph.pixel_size_um is not None
    assert not warned(micrograph, "tilted")


def test_zeiss_and_tescan_say_when_the_scan_was_stretched() -> None:
    corrected = {"DP_TILT_CORRECTION": "Tilt Corrn. = On", "AP_TILT_ANGLE": "Tilt Angle = 52.0 °"}
    assert one(tiff(IMAGE, {34118: zeiss(AP_STAGE_AT_T="Stage at T =  52.0 °", **corrected)})).pixel_size_um is not None
    assert one(tiff(IMAGE, {50431: tescan_tag(StageTilt="52.0", TiltCorrection="52.0")})).pixel_size_um is not None


@pytest.mark.parametrize(
    ("sidecar"),
    [
        jeol() + b"$CM_STAGE_POS -3.120 -3.559 4.6 0.0 52.0 0\r\n",
        hitachi(StagePositionT="52000").encode(),
    ],
)
def test_an_angle_that_may_be_another_is_unknown_and_said_to_be(sidecar: bytes) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": sidecar})
    assert micrograph.acquisition.tilt_deg is None
    assert warned(micrograph, "tilt_unsure")


def test_a_tilt_counts_also_where_the_scale_is_configured() -> None:
    tilted = fei(Stage__StageT=RAD, Scan=None, EScan=None, EBeam__HFW=None)
    micrograph = one(tiff(IMAGE, {34682: tilted}), pixel_size_nm=10.0)
    assert (micrograph.pixel_size_source, micrograph.pixel_size_um) == ("config", None)


def test_a_tilt_does_not_hide_the_bar() -> None:
    assert one(tiff(np.vstack([IMAGE, bar(32)]), {34682: fei(Stage__StageT=RAD)})).databar_px == 32


@pytest.mark.parametrize(
    ("text", "unit", "degrees"),
    [("0.5 rad", None, math.degrees(0.5)), ("-52,0 °", None, -52), ("52", "deg", 52), ("52", None, None), ("500", "deg", None),
     ("", "deg", None), ("9 mm", "deg", None)],
)  # fmt: skip
def test_an_angle_needs_a_unit_and_is_no_more_than_half_a_turn(text: str, unit: str | None, degrees: float | None) -> None:
    assert angle_deg(text, unit) == (None if degrees is None else pytest.approx(degrees))


@pytest.mark.parametrize(
    ("tilt", "on", "angle", "corrected"),
    [(52, True, 52, True), (52, True, -52, True), (52, True, 38, False), (52, True, None, True), (None, True, 3, True),
     (52, False, 52, False), (52, None, 52, None)],
)  # fmt: skip
def test_a_correction_is_one_for_its_own_angle(tilt: float, on: bool, angle: float, corrected: bool | None) -> None:
    assert is_corrected(tilt, on, angle) is corrected
