"""How much memory reading takes is known from the header, and is what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ImageError
from edge.sem import Limits, memory, read, reading
from tests.sem.making import encoded, png_header, specimen, tiff
from tests.sem.micrographs import refused

GREY = np.tile(specimen(500, 500), (10, 10))
COLOUR = np.dstack([GREY, GREY[:, ::-1], GREY])
KINDS: dict[str, Callable[[], bytes]] = {
    "uint8": lambda: tiff(GREY),
    "uint16": lambda: tiff(GREY.astype(np.uint16) * 90),
    "uint16, the other order of bytes": lambda: tiff(GREY.astype(">u2") * 90, byteorder=">"),
    "float32": lambda: tiff(GREY.astype(np.float32) / 3),
    "float64": lambda: tiff(GREY / 3.0),
    "uint16, white is zero": lambda: tiff(GREY.astype(np.uint16) * 90, photometric="miniswhite"),
    "RGB of 16 bits": lambda: tiff(COLOUR.astype(np.uint16) * 90, photometric="rgb"),
    "tiles": lambda: tiff(GREY, tile=(256, 256)),
    "LZW in strips": lambda: tiff(GREY, compression="lzw", rowsperstrip=64),
    "LZW in one strip, with a predictor": lambda: tiff(GREY.astype(np.uint16) * 3, compression="lzw", predictor=2),
    "float64 deflated": lambda: tiff(GREY / 3.0, compression="zlib", compressionargs={"level": 1}),
    "JPEG in tiles": lambda: tiff(GREY, compression="jpeg", tile=(512, 512)),
    "several pages": lambda: tiff(np.stack([GREY[:1500]] * 4).astype(np.float32), photometric="minisblack"),
    "JPEG": lambda: encoded(GREY, ".jpg"),
    "JPEG, progressive and coloured": lambda: encoded(COLOUR, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "PNG of 16 bits": lambda: encoded(GREY.astype(np.uint16) * 90, ".png"),
    "BMP": lambda: encoded(GREY, ".bmp"),
    "BMP in colour": lambda: encoded(COLOUR, ".bmp"),
}

MEASURE = """
import json, sys
from pathlib import Path
from edge import sem
from edge.sem import memory, reading
from tests.sem.making import encoded, specimen, tiff

def status(key):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024

small = specimen(64, 64)
for data in (tiff(small, compression="lzw"), tiff(small, compression="jpeg"), encoded(small, ".png"), encoded(small, ".jpg")):
    sem.read(data, "a")
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
data = Path(sys.argv[1]).read_bytes()
sem.read(data, "a")
peak = status("VmHWM") - before
found = reading.layout(data)
print(json.dumps([peak, memory.needed(len(data), found.format, reading._pages(found)[0])]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_not_below_the_peak_and_not_above_twice_it(kind: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(KINDS[kind]())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, str(tmp_path / "image")], capture_output=True, text=True, check=True
    )
    peak, needed = json.loads(done.stdout)
    assert peak <= needed <= 2 * peak + memory.FIXED


@pytest.mark.parametrize("kind", ["float64 deflated", "PNG of 16 bits", "several pages"])
def test_what_does_not_fit_is_refused_with_the_numbers_and_the_cure(kind: str) -> None:
    data = KINDS[kind]()
    with pytest.raises(
        ImageError, match=r"would take \d+ MiB of memory, 100 MiB may be used.*inspect\.max_memory_mib"
    ) as caught:
        read(data, "a", limits=Limits(max_memory=100 << 20))
    assert caught.value.code == "too_large"
    found = reading.layout(data)
    assert found.format
    assert read(data, "a", limits=Limits(max_memory=memory.needed(len(data), found.format, found.pages)))


def test_a_header_alone_is_refused() -> None:
    assert refused(png_header(16_000, 16_000), Limits(max_memory=100 << 20)) == "too_large"
