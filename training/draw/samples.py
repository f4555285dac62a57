"""Nothing but seeds in, the sample micrographs that the demo inspects out: files as microscopes write them.

No scene of theirs was trained on: a seed draws another one at every size. Some files carry a burnt-in data bar and a
maker's metadata, so that the pixel size is known; a plain PNG has neither, and one TIFF has 16 bits.

The files that are shipped in edge/samples were drawn by the generator's first version. They are kept as they are, for
scores and pictures in the documents were made with them. What this writes today has the same forms and other pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from edge.records import Grey, SeverityLabel
from training.draw.synthetic import Scene, render

SIZE_PX = (1024, 768)
BAR_PX = 64

Form = Literal["thermofisher", "zeiss", "png", "jpeg", "tiff16"]


@dataclass(frozen=True, slots=True)
class SampleMicrograph:
    """One sample: what is drawn, and how it is stored. field_um is the width of the field of view."""

    seed: int
    severity: SeverityLabel
    form: Form
    field_um: float
    hour: str


SAMPLES = (
    SampleMicrograph(900004, "low", "thermofisher", 207.0, "09:12:44"),
    SampleMicrograph(900009, "low", "tiff16", 207.0, "09:31:05"),
    SampleMicrograph(900003, "moderate", "thermofisher", 207.0, "10:02:18"),
    SampleMicrograph(900006, "moderate", "zeiss", 298.0, "10:20:51"),
    SampleMicrograph(900005, "moderate", "png", 298.0, "10:41:33"),
    SampleMicrograph(900008, "severe", "thermofisher", 414.0, "11:05:27"),
    SampleMicrograph(900007, "severe", "zeiss", 414.0, "11:26:10"),
    SampleMicrograph(900002, "severe", "jpeg", 414.0, "11:48:59"),
)


def write_samples(folder: Path, samples: tuple[SampleMicrograph, ...] = SAMPLES) -> list[Path]:
    """Write all samples into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder, sample, render(sample.seed, SIZE_PX, sample.severity, bars=False)) for sample in samples]


def write_scaled(path: Path, grey: Grey, field_um: float, hour: str = "09:00:00") -> None:
    """Store one micrograph as a TIFF with a data bar and metadata that tell its scale. field_um: its width."""
    pixel_m = field_um * 1e-6 / grey.shape[1]
    text = _thermofisher_text(
        SampleMicrograph(0, "low", "thermofisher", field_um, hour), pixel_m, (grey.shape[1], grey.shape[0])
    )
    _write_tiff(path, _with_bar(grey, pixel_m, hour, white=False), ((34682, 2, 0, text, True),))


def _write(folder: Path, sample: SampleMicrograph, scene: Scene) -> Path:
    pixel_m = sample.field_um * 1e-6 / SIZE_PX[0]
    suffix = {"png": ".png", "jpeg": ".jpg"}.get(sample.form, ".tif")
    path = folder / f"{scene.name}{suffix}"
    if sample.form == "png":
        path.write_bytes(cv2.imencode(".png", scene.grey, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    elif sample.form == "jpeg":
        barred = _with_bar(scene.grey, pixel_m, sample.hour, white=False)
        path.write_bytes(cv2.imencode(".jpg", barred, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    elif sample.form == "tiff16":
        # a 12-bit detector's values in 16-bit words; half the size, for these files are kept in a repository
        small = cv2.resize(scene.grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        _write_tiff(path, small.astype(np.uint16) * 16, ())
    elif sample.form == "thermofisher":
        text = _thermofisher_text(sample, pixel_m)
        _write_tiff(path, _with_bar(scene.grey, pixel_m, sample.hour, white=False), ((34682, 2, 0, text, True),))
    else:
        text = _zeiss_text(sample, pixel_m)
        _write_tiff(path, _with_bar(scene.grey, pixel_m, sample.hour, white=True), ((34118, 2, 0, text, True),))
    return path


def _write_tiff(path: Path, pixels: NDArray[Any], tags: tuple[tuple[int, int, int, str, bool], ...]) -> None:
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        predictor=True,
        rowsperstrip=64,
        metadata=None,
        software=False,
        extratags=list(tags),
    )


def _with_bar(grey: Grey, pixel_m: float, hour: str, white: bool) -> Grey:
    """The image with `BAR_PX` more rows below it: text and a scale bar, as microscopes burn them in."""
    width = grey.shape[1]
    paper, ink = (255, 0) if white else (0, 255)
    bar = np.full((BAR_PX, width), paper, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    labels = (("HV", "15.00 kV"), ("det", "ETD"), ("WD", "10.1 mm"), ("HFW", f"{pixel_m * 1e6 * width:.0f} um"), ("time", hour))
    for index, (head, value) in enumerate(labels):
        cv2.putText(bar, head, (14 + 128 * index, 25), font, 0.5, ink, 1, cv2.LINE_AA)
        cv2.putText(bar, value, (14 + 128 * index, 49), font, 0.5, ink, 1, cv2.LINE_AA)
    length_um = _round_length(0.2 * pixel_m * 1e6 * width)
    left, right = width - 40 - round(length_um / (pixel_m * 1e6)), width - 40
    cv2.line(bar, (left, 20), (right, 20), ink, 2)
    for end in (left, right):
        cv2.line(bar, (end, 13), (end, 27), ink, 2)
    cv2.putText(bar, f"{length_um:g} um", ((left + right) // 2 - 28, 49), font, 0.5, ink, 1, cv2.LINE_AA)
    return np.vstack((grey, bar))


def _round_length(length_um: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length_um))
    return float(power * max(step for step in (1, 2, 5) if step * power <= length_um))


def _thermofisher_text(sample: SampleMicrograph, pixel_m: float, size_px: tuple[int, int] = SIZE_PX) -> str:
    """INI text of tag 34682, in metres, volts and seconds."""
    width, height = size_px
    sections: dict[str, dict[str, object]] = {
        "User": {"Date": "03/17/2025", "Time": f"{sample.hour} AM", "User": "user", "UserText": ""},
        "System": {"Type": "SEM", "Software": "6.2.8", "SystemType": "Quanta FEG"},
        "Beam": {"HV": 15000, "Spot": 3, "Beam": "EBeam", "Scan": "EScan"},
        "EBeam": {"HV": 15000, "HFW": f"{pixel_m * width:.6g}", "VFW": f"{pixel_m * height:.6g}", "WD": 0.0101},
        "Scan": {
            "Dwelltime": 1e-05,
            "PixelWidth": f"{pixel_m:.6g}",
            "PixelHeight": f"{pixel_m:.6g}",
            "HorFieldsize": f"{pixel_m * width:.6g}",
            "VerFieldsize": f"{pixel_m * height:.6g}",
        },
        "Image": {"ResolutionX": width, "ResolutionY": height, "MagCanvasRealWidth": 0.128},
        "Detectors": {"Number": 1, "Name": "ETD", "Mode": "SE"},
        "PrivateFei": {"BitShift": 0, "TimeOfCreation": f"17.03.2025 {sample.hour}", "DatabarHeight": BAR_PX},
    }
    return "\r\n".join(
        f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in values.items()) for name, values in sections.items()
    )


def _zeiss_text(sample: SampleMicrograph, pixel_m: float) -> str:
    """Text of tag 34118: nameless numbers, then pairs of a key and a line with its value."""
    width, height = SIZE_PX
    values = (
        ("AP_ACTUALKV", "EHT = 15.00 kV"),
        ("AP_WD", "WD = 10.1 mm"),
        ("AP_MAG", f"Mag = {round(0.1143 / (pixel_m * width))} X"),
        ("AP_WIDTH", f"Width = {pixel_m * width * 1e6:.4g} um"),
        ("AP_IMAGE_PIXEL_SIZE", f"Image Pixel Size = {pixel_m * 1e9:.5g} nm"),
        ("AP_PIXEL_SIZE", f"Pixel Size = {pixel_m * 1e9:.5g} nm"),
        ("DP_DETECTOR_CHANNEL", "Signal A = SE2"),
        ("DP_IMAGE_STORE", f"Store resolution = {width} * {height}"),
        ("SV_SERIAL_NUMBER", "Serial No. = SUPRA 40-00-00"),
        ("AP_DATE", "Date :17 Mar 2025"),
        ("AP_TIME", f"Time :{sample.hour}"),
    )
    head = ("0", "0", "0", f"{pixel_m:.6e}", "0", "0")
    return "\r\n".join((*head, *(line for pair in values for line in pair))) + "\r\n"
