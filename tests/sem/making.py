"""Small microscope files, made with the tags and traps of real ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import tifffile

from tests import ROOT

SHARED = ROOT / ".." / "shared" / "data"


def specimen(height: int = 384, width: int = 512, seed: int = 0) -> np.ndarray:
    """A noisy grey texture with a few dark pits, uint8."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(120, 30, (max(2, height // 32), max(2, width // 32))), (width, height))
    image = coarse + rng.normal(0, 6, (height, width))
    for _ in range(12):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, centre, int(rng.integers(4, 20)), 20.0, -1)
    return np.clip(image, 1, 254).astype(np.uint8)


def bar(rows: int = 32, width: int = 512, background: int = 0, ink: int = 255, frame: bool = False) -> np.ndarray:
    """A data bar with a line of text and a scale bar."""
    drawn = np.full((rows, width), background, np.uint8)
    size = rows / 48
    text = "10 um   15.0kV  X1,000  WD 8.2mm  SE  12:30"
    cv2.putText(drawn, text, (8, int(rows * 0.7)), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
    cv2.line(drawn, (width - 90, rows // 2), (width - 20, rows // 2), ink, 2)
    if frame:
        cv2.rectangle(drawn, (0, 0), (width - 1, rows - 1), ink, 1)
    return drawn


def tiff(values: np.ndarray, tags: dict[int, bytes | str] | None = None, **options: Any) -> bytes:
    """A TIFF of one page, with ASCII (str) or byte (bytes) tags added."""
    extra = []
    for tag, value in (tags or {}).items():
        raw = value.encode("utf-8") if isinstance(value, str) else value
        extra.append((tag, 2 if isinstance(value, str) else 7, len(raw), raw, True))
    stream = BytesIO()
    metadata = options.pop("metadata", None)
    with tifffile.TiffWriter(
        stream,
        bigtiff=options.pop("bigtiff", False),
        byteorder=options.pop("byteorder", "<"),
        imagej=options.pop("imagej", False),
        ome=options.pop("ome", False),
    ) as writer:
        writer.write(values, extratags=extra, metadata=metadata, **options)
    return stream.getvalue()


def encoded(values: np.ndarray, extension: str, *options: int) -> bytes:
    """PNG, JPEG or BMP bytes by OpenCV."""
    done, raw = cv2.imencode(extension, values, list(options))
    assert done
    return bytes(raw)


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_png_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """`png` with (name, content) chunks behind its header."""
    return png[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + png[33:]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def fei(**changes: str | None) -> str:
    """Text of tag 34682 for an image of 512 x 384; a keyword "Section__Key" replaces a value, None removes the key."""
    sections: dict[str, dict[str, str]] = {
        "User": {"Date": "12/18/2017", "Time": "01:04:14 PM"},
        "System": {"SystemType": "Quanta FEG"},
        "Beam": {"HV": "30000", "Beam": "EBeam", "Scan": "EScan"},
        "EBeam": {"HV": "30000", "HFW": "0.000256", "WD": "0.011051"},
        "Scan": {"PixelWidth": "5e-007", "PixelHeight": "5e-007", "HorFieldsize": "0.000256", "VerFieldsize": "0.000192"},
        "EScan": {"PixelWidth": "5e-007", "PixelHeight": "5e-007", "HorFieldsize": "0.000256"},
        "Image": {"ResolutionX": "512", "ResolutionY": "384", "MagCanvasRealWidth": "0.12800"},
        "Detectors": {"Number": "1", "Name": "LFD"},
        "PrivateFei": {"TimeOfCreation": "18.12.2017 13:04:14", "DatabarHeight": "32"},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if not key:
            sections.pop(section, None)
        elif value is None:
            sections[section].pop(key, None)
        else:
            sections.setdefault(section, {})[key] = value
    lines = [f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in keys.items()) for name, keys in sections.items()]
    return "\r\n".join(lines)


def zeiss(head: tuple[float, ...] = (0, 0, 0, 1e-8, 0, 0), store: str = "512 * 384", **values: str) -> bytes:
    """Text of tag 34118; keywords are keys with their whole second line, "" removes the default."""
    lines = {
        "DP_IMAGE_STORE": f"Store resolution = {store}",
        "AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = 35.94 nm",
        "AP_PIXEL_SIZE": "Pixel Size = 17.97 nm",
        "AP_MAG": "Mag =    10.00 K X",
        "AP_ACTUALKV": "EHT =  5.00 kV",
        "AP_WD": "WD =  4.1 mm",
        "DP_DETECTOR_TYPE": "Detector = InLens",
        "SV_SERIAL_NUMBER": "Serial No. = ULTRA 55-36-06",
        "AP_DATE": "Date :25 Sep 2018",
        "AP_TIME": "Time :08:20:42",
        **values,
    }
    text = "\r\n".join(f"{number:.8e}" if number else "0" for number in head) + "\r\n"
    return (text + "".join(f"{key}\r\n{line}\r\n" for key, line in lines.items() if line)).encode("cp1252")


def tescan_lines(**changes: str) -> str:
    """Key=Value lines of TESCAN's main section."""
    values = {
        "AccFrames": "1",
        "Date": "2025-12-03",
        "Device": "TESCAN AMBER X",
        "ImageStripSize": "48",
        "Magnification": "160000.0",
        "PixelSizeX": "0.0000000015625",
        "PixelSizeY": "0.0000000015625",
        "Time": "17:19:26",
        **changes,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


TESCAN_SEM = "Detector=E-T\nHV=15000.0\nWD=0.005947501\n"


def tescan_tag(**changes: str) -> bytes:
    """Tag 50431: a preview, then length-prefixed sections."""
    main = tescan_lines(**changes).encode()
    return (
        b"\x99\x15\x00\x00jP  \r\n\x87\n\xff\xd9"
        + struct.pack("<IH", len(main), 2)
        + main
        + b"\0\x1e\x05\0\0\x03\0"
        + (TESCAN_SEM.encode() + b"\0\x02\0\0")
    )


def jeol(**changes: str) -> bytes:
    """JEOL's .txt for an image of 512 x 384."""
    values = {
        "$SEM_DATA_VERSION": "1",
        "$CM_ACCEL_VOLT": "15.00",
        "$$SM_WD": "3.78",
        "$CM_MAG": "1000",
        "$CM_SIGNAL": "LED",
        "$CM_DATE": "2023/07/13",
        "$CM_TIME": "14:38:59",
        "$CM_INSTRUMENT": "7800F",
        "$$SM_MICRON_BAR": "106",
        "$$SM_MICRON_MARKER": "10um",
        "$CM_FULL_SIZE": "512 384",
    }
    values.update({key: value for key, value in changes.items() if not key.startswith("SM") and not key.startswith("CM")})
    for key, value in changes.items():
        full = next(name for name in values if name.lstrip("$") == key)
        values[full] = value
    return "".join(f"{key} {value}\r\n" for key, value in values.items()).encode("cp1252")


def fibics(**changes: str) -> str:
    """XML of tag 51023 for an image of 512 x 384; keywords are elements of <Scan>, "" leaves one out."""
    scan = {"FOV_X": "12.8", "FOV_Y": "9.6", "Ux": "0.025", "Uy": "0", "Vx": "0", "Vy": "-0.025", **changes}
    units = {"FOV_X": ' units="um"', "FOV_Y": ' units="um"'}
    inside = "".join(f"<{key}{units.get(key, '')}>{value}</{key}>" for key, value in scan.items() if value)
    image = "<Image><Width>512</Width><Height>384</Height><OriginalWidth>0</OriginalWidth><Machine>Gemini 300</Machine></Image>"
    return f'<?xml version="1.0"?><Fibics version="1.2" format="Image">{image}<Scan>{inside}</Scan></Fibics>'


def memento(width: str = "2.5E-08", height: str = "2.5E-08", unit: str = "MementoItemUnitMeter") -> str:
    """XML of tag 34682 as Helios 5 writes it: items in sections in items."""

    def item(name: str, inside: str, unit: str = "MementoSection") -> str:
        kind = f"<Name>{name}</Name><MementoItemUnit>{unit}</MementoItemUnit>"
        return f"<item><key><string>{name}</string></key><value><MementoItem>{kind}{inside}</MementoItem></value></item>"

    def section(name: str, *items: str) -> str:
        return item(name, f"<MementoItemSection>{''.join(items)}</MementoItemSection>")

    def value(name: str, value: str, unit: str) -> str:
        return item(name, f'<anyType xmlns:q1="x" d:type="q1:double">{value}\n</anyType>', unit)

    field = section("Field", value("Width", "1.28E-05", unit), value("Height", "9.6E-06", unit))
    pixel = section("PixelSize", value("Width", width, unit), value("Height", height, unit))
    system = section("System", value("Type", "Helios 5 UX", "MementoItemUnitScalar"))
    inside = section("Scan", field, pixel) + item("Stage", "<MementoItemSection />") + system
    return f'<?xml version="1.0"?><MementoItem><MementoItemSection>{inside}</MementoItemSection></MementoItem>'


def hitachi(**changes: str) -> str:
    """Hitachi's .txt for an image of 512 x 384."""
    values = {
        "InstructName": "SU5000",
        "ImageName": "another.tif",
        "DataSize": "512x384",
        "PixelSize": "99.21875",
        "SignalName": "SE(L)",
        "AcceleratingVoltage": "15000 Volt",
        "Magnification": "1000",
        "WorkingDistance": "8100 um",
        "Date": "05/30/2019",
        "Time": "14:05:06",
        **changes,
    }
    return "[SemImageFile]\r\n" + "".join(f"{key}={value}\r\n" for key, value in values.items())


def overlapping_tiff(pages: int, tags: Iterable[int], text: bytes) -> bytes:
    """A TIFF of `pages` pages of 8x8 px whose text tags all lie on the same `text`, each a byte further in."""
    body = bytearray(struct.pack("<2sHI", b"II", 42, 0) + bytes(range(1, 65)) + text + bytes(len(text) % 2))
    previous = 4
    fixed = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1)]
    fixed += [(273, 4, 1, 8), (277, 4, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    entries = sorted([*fixed, *((tag, 2, len(text) - number, 72 + number) for number, tag in enumerate(tags))])
    for _ in range(pages):
        struct.pack_into("<I", body, previous, len(body))
        body += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        previous = len(body)
        body += bytes(4)
    return bytes(body)
