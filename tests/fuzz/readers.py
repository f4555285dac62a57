"""The table of all readers that take bytes from outside: name, what is run, what it may raise, what to begin with."""

from __future__ import annotations

import json
import math
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np

from edge import config
from edge.config import DeviceSettings
from edge.errors import ConfigError, ImageError
from edge.journal import Journal
from edge.mqtt.commands import Commands
from edge.mqtt.connection import Received
from edge.records import Micrograph
from edge.sem import Limits, completeness, databar, needs_sidecar, read, sidecar_names
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata, scale
from edge.sem.structure import TRAILER, Span, layout
from edge.sem.unfilled import unfilled_rows
from edge.sem.vendors import describe
from edge.wire.documents import COMMANDS
from tests import ROOT
from tests.journal.examples import inspected, one
from tests.sem import making
from tests.sem.making import (
    bar,
    encoded,
    fei,
    fibics,
    hitachi,
    jeol,
    memento,
    specimen,
    tescan_tag,
    tiff,
    with_png_chunks,
    zeiss,
)

LIMITS: Final = Limits(max_pixels=1_000_000, max_bytes=1 << 24)
SMALL: Final = np.vstack([specimen(48, 64), bar(16, 64)])
PHENOM: Final = '<FeiImage><databarHeight>16</databarHeight><pixelWidth unit="nm">25.5</pixelWidth></FeiImage>'
JSON: Final = json.dumps({"metadata": {"image": {"pixel_size": {"x": 1e-9, "y": 1e-9}}, "microscope": {"beam_type": "ION"}}})
OME: Final = '<OME><Pixels PhysicalSizeX="2.5" PhysicalSizeXUnit="nm" PhysicalSizeY="2.5" PhysicalSizeYUnit="nm"/></OME>'


CARRIERS: Final = (
    *(34682, 34680, 34683, 34118, 50431, 51023, 270, 33560, 65003, 65009, 305),
    *("tEXt", "zTXt", "iTXt", "sCAL", "COM", "APP1", TRAILER),
)
"""TIFF tags and chunks in which a text may stand."""


@dataclass(frozen=True)
class Reader:
    """One way in.

    run: gets an input; asserts what must hold.  allowed: what it may raise.  seeds: good inputs, to be changed.
    tokens: pieces that a change may put in.
    """

    name: str
    run: Callable[[bytes], None]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]
    tokens: tuple[bytes, ...] = ()


def structure(data: bytes) -> None:
    """What is looked at in the thread that watches the folder."""
    completeness(data)
    found = layout(data)
    places = [place for _, place in found.chunks] + [place for page in found.pages for place in page.tags.values()]
    assert all(0 <= start <= start + length <= len(data) for start, length in places)
    needs_sidecar(data, "a.tif")


def whole(data: bytes) -> None:
    """Structure, pixels, data bar, grey and metadata at once, as for an image that is inspected."""
    for micrograph in read(data, "a.tif", {}, LIMITS):
        _sound(micrograph)


def texts(data: bytes) -> None:
    """The first byte says in which tag or chunk the rest stands, the second whether the image is the size that is meant."""
    if len(data) < 2:
        return
    place, rest = CARRIERS[data[0] % len(CARRIERS)], data[2:]
    width, height = ((512, 416), (512, 384), (1024, 832), (64, 64))[data[1] % 4]
    if isinstance(place, int):
        numbers = {282: (float(data[1]),), 283: (float(data[1]),)}
        evidence = Evidence("a.tif", width, height, tags={place: rest}, numbers=numbers, data=memoryview(rest))
    else:
        evidence = Evidence("a.png", width, height, chunks=((place, Span(0, len(rest))),), data=memoryview(rest))
    _described(evidence)


def sidecar(data: bytes) -> None:
    """The first byte says which of the files beside an image it is."""
    if len(data) < 2:
        return
    names = sidecar_names("a.tif")
    _described(Evidence("a.tif", 512, 384, sidecars={names[data[0] % len(names)].lower(): data[1:]}))


def plane(data: bytes) -> None:
    """Four bytes say width and kind, the rest is repeated as pixels."""
    if len(data) < 8:
        return
    kind = np.dtype(("u1", "u2", "i4", "f4", "f8")[data[0] % 5])
    width, height = 1 + struct.unpack("<H", data[1:3])[0] % 700, 1 + data[3] * 3
    values = np.resize(np.frombuffer(data[4:], "u1"), width * height * kind.itemsize).view(kind).reshape(height, width)
    with np.errstate(all="ignore"):
        assert 0 <= databar.find(values) <= databar.LARGEST_PART * height
        databar.looks_drawn(values, min(height, 1 + data[4] // 4))
        empty = unfilled_rows(values)
        assert empty is None or 0 <= empty[0] <= empty[1] < height


def toml(data: bytes) -> None:
    """The daemon's settings, as a file."""
    with tempfile.NamedTemporaryFile(dir=_ram()) as file:
        file.write(data)
        file.flush()
        settings = config.load(Path(file.name), {})
    settings.inspection_sha256()
    assert not set("+#\0") & set(settings.device.id)
    assert "\0" not in f"{settings.watch.folder}{settings.state.folder}{settings.models.segmenter}{settings.mqtt.ca_file}"
    settings.sample.fields("AN_90_7days_003.tif")


def environment(data: bytes) -> None:
    """The same from the environment: `SECTION__KEY=value` lines."""
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
    variables = {f"EDGE_{name}": value for name, _, value in pairs}
    config.parse({"watch": {"folder": "export"}}, variables).inspection_sha256()


def command(data: bytes) -> None:
    """The first byte says which command, the rest is its payload; every answer is strict JSON."""
    names = (*COMMANDS, "unknown", "x" * 65)
    if not data:
        return
    heard: list[str] = []
    prefix = "plant/lab/sem/s1"
    commands = Commands(prefix, DeviceSettings(), lambda name, _: heard.append(name) or {})  # type: ignore[func-returns-value]
    topic = f"{prefix}/command/{names[data[0] % len(names)]}"
    answers = commands.answers(Received(topic, data[1:], bool(data[0] & 0x80), None, None))
    assert len(answers) <= 1
    assert len(heard) <= 1
    for answer in answers:
        body = json.loads(answer.message.payload or b"", parse_constant=lambda name: 1 / 0)
        assert body["ok"] == (heard != [])
        assert answer.message.topic.startswith(f"{prefix}/command/")


def witness(data: bytes) -> None:
    """What stands in the witness, `@` being what was left there: the journal opens, and no number is given twice."""
    folder = _journal_folder()
    file = folder / "witness"
    file.write_bytes(data.replace(b"@", file.read_bytes()))
    with Journal.open(folder) as journal:
        assert journal.renewed or journal.epoch.encode() in data or b"@" in data
        assert journal.renewed == (journal.epoch not in _EPOCHS)
        _EPOCHS.add(journal.epoch)


_EPOCHS: Final[set[str]] = set()


def _sound(micrograph: Micrograph) -> None:
    grey = micrograph.grey
    assert grey.dtype == np.uint8
    assert grey.ndim == 2
    assert grey.size
    assert micrograph.stored_height_px == grey.shape[0] + micrograph.databar_px
    assert 0 <= micrograph.saturated_fraction <= 1
    assert all(math.isfinite(edge) for edge in micrograph.grey_window)
    assert micrograph.pixel_size_nm is None or 0 < micrograph.pixel_size_nm < math.inf
    assert not any("MemoryError" in warning for warning in micrograph.warnings)


def _described(evidence: Evidence) -> None:
    metadata, warnings = describe(evidence)
    assert not any("MemoryError" in warning or "RecursionError" in warning for warning in warnings)
    _finite(metadata)
    meaning = scale(metadata, evidence.width, evidence.height)
    assert meaning.pixel_size_nm is None or 0 < meaning.pixel_size_nm < math.inf
    assert meaning.bar_rows is None or 0 < meaning.bar_rows < evidence.height


def _finite(metadata: Metadata) -> None:
    """Numbers that are none cannot be told on the wire."""
    acquisition = metadata.acquisition
    for name in (field.name for field in fields(acquisition)):
        value = getattr(acquisition, name)
        assert not isinstance(value, float) or math.isfinite(value), name
        assert not isinstance(value, datetime) or value.isoformat()


@lru_cache
def _ram() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@lru_cache
def _journal_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edge-fuzz-", dir=_ram())) / "state"
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif", one(payload=b"x"))
        _EPOCHS.add(journal.epoch)
    return folder


@lru_cache
def _files(form: str) -> tuple[bytes, ...]:
    """Small whole files of one format, drawn and real ones."""
    if form == "tiff":
        drawn = [
            tiff(SMALL, {34682: fei()}),
            tiff(SMALL, {34118: zeiss()}),
            tiff(SMALL.astype(np.uint16), byteorder=">", compression="lzw"),
            tiff(SMALL, tile=(16, 16), compression="zlib", bigtiff=True),
            tiff(SMALL, compression="jpeg"),
            tiff(SMALL.astype(np.float32)),
            tiff(np.stack([SMALL] * 3), photometric="minisblack"),
            tiff(np.dstack([SMALL] * 3), photometric="rgb", planarconfig="contig"),
            tiff(SMALL, compression="packbits", photometric="miniswhite"),
            tiff(SMALL, compression="zstd"),
        ]
        return (*drawn, *(path.read_bytes() for path in sorted((ROOT / "tests" / "data").glob("*.tif"))))
    if form == "png":
        png = encoded(SMALL, ".png")
        chunks = ((b"tEXt", b"a\0b"), (b"zTXt", b"c\0\0" + zlib.compress(b"d")), (b"sCAL", b"\x012.5e-08\x002.5e-08"))
        return (png, with_png_chunks(png, *chunks) + b"behind", encoded(np.dstack([SMALL] * 3), ".png"))
    if form == "jpeg":
        jpeg = encoded(SMALL, ".jpg")
        return (jpeg, jpeg + PHENOM.encode(), encoded(np.dstack([SMALL] * 3), ".jpg"))
    return (encoded(SMALL, ".bmp"), encoded(np.dstack([SMALL] * 3), ".bmp"))


def _texts(xml: bool) -> tuple[bytes, ...]:
    """Metadata as they stand in their tags, drawn and cut out of real files."""
    known: list[tuple[int | str, bytes | str]] = [
        (34682, fei()), (34118, zeiss()), (50431, tescan_tag()), (270, "ImageJ=1.53\nunit=micron\n"), (270, JSON),
        ("tEXt", "a\0b"), ("sCAL", b"\x012.5e-08\x002.5e-08"), ("zTXt", b"c\0\0" + zlib.compress(b"d")),
        (34683, PHENOM), (34682, memento()), (51023, fibics()), (TRAILER, PHENOM), (270, OME),
    ]  # fmt: skip
    for path in sorted((ROOT / "tests" / "data").glob("*.tif")):
        data = path.read_bytes()
        known += [(tag, data[start : start + length]) for page in layout(data).pages[:1]
                  for tag, (start, length) in page.tags.items() if tag in CARRIERS and length < 40_000]  # fmt: skip
    raw = [(place, text.encode() if isinstance(text, str) else text) for place, text in known]
    return tuple(bytes([CARRIERS.index(place), 0]) + text for place, text in raw if (b"</" in text or b"/>" in text) == xml)


def _sidecar_seeds() -> tuple[bytes, ...]:
    drawn = [jeol(), hitachi().encode(), hitachi().encode("utf-16"), making.tescan_lines().encode()]
    real = [path.read_bytes() for path in sorted((ROOT / "tests" / "data").iterdir()) if path.suffix in (".txt", ".hdr")]
    return tuple(bytes([number]) + text for number in range(len(sidecar_names("a.tif"))) for text in [*drawn, *real])


def _planes() -> tuple[bytes, ...]:
    image = np.vstack([specimen(96, 128), bar(24, 128)])
    return tuple(
        bytes([kind]) + struct.pack("<H", 127) + b"\x28" + image.astype(name).tobytes()
        for kind, name in enumerate(("u1", "u2", "i4", "f4"))
    )


def _settings_seeds() -> tuple[bytes, ...]:
    sections = {
        "device": 'site = "p"',
        "watch": 'folder = "/srv"\npatterns = ["*.tif"]\nrescan_s = 10',
        "sample": "patterns = ['a(?P<b>\\d+)']",
        "inspect": 'stages = "both"\nconfidence = 0.25\npixel_size_nm = 5.0',
        "state": 'folder = "/s"\nmax_gib = 20',
        "mqtt": 'host = "h"\nport = 1883\nprotocol = 311\nresponse_topics = ["a/#"]',
    }
    page = "".join(f"[{name}]\n{keys}\n" for name, keys in sections.items())
    return (page.encode(), b'watch.folder = "x"\n', b'watch = { folder = "x" }\n')


def _variables() -> tuple[bytes, ...]:
    return (b"MQTT__PORT=1884\nDEVICE__ID=s1", b"WATCH__PATTERNS=['*.tif']", b"SAMPLE__PATTERNS=['(?P<a>b)']")


def _command_seeds() -> tuple[bytes, ...]:
    epoch = "0f0e0d0c-0b0a-4908-8706-050403020100"
    bodies = {
        "replay": {"epoch": epoch, "first": 1, "last": 3, "request_id": "a"},
        "inspect": {"inspection_id": epoch},
    }
    return tuple(bytes([number]) + json.dumps(bodies.get(name, {})).encode() for number, name in enumerate(COMMANDS))


FORMATS: Final = {
    "tiff": rb"II*\0|MM\0*|II+\0\x08\0\0\0|\0\0\0\x80|\xff\xff\xff\xff|\x01\x01|\x11\x01|\x10\0",
    "png": rb"IHDR|IDAT|IEND|tEXt|zTXt|iTXt|sCAL|\xff\xff\xff\xff|\0\0\0\0",
    "jpeg": rb"\xff\xd8|\xff\xda|\xff\xd9|\xff\xc0|\xff\xe1|\xff\xff\xff\xff|\0\2",
    "bmp": rb"BM|\x28\0\0\0|\xff\xff\xff\x7f|\0\0\0\x80|\xff\xff\xff\xff",
}
PIXEL_TOKENS: Final = rb"II*\0|\0\0\0\x80|\xff\xff\xff\xff|\x03\x01|\x05\0|\x07\0|\xff\xda|IDAT"
TEXT_TOKENS: Final = (
    rb"[Scan]\r\n|PixelWidth=|AP_IMAGE_PIXEL_SIZE\r\n|1e-007|nan|inf|1e400|-|{|ImageJ=|unit=|PixelSizeX=|\0|\r\n"
)
XML_TOKENS: Final = rb"<|>|</|<!--|<![CDATA[|&lt;|<pixelWidth|<PixelSize>|<item>|unit=|1e400|nan"
SIDECAR_TOKENS: Final = rb"$CM_FULL_SIZE|$$SM_MICRON_BAR|PixelSize=|[MAIN]|\xff\xfe|1e400|nan|-1|0"
TOML_TOKENS: Final = rb"[[|[|{|\"\"\"|= [|1e400|nan|inf|1979-05-27T07:32:00Z|(?P<a>|{9,}|\\u0000|999999999999"
COMMAND_TOKENS: Final = rb"{|}|[|\"epoch\":|\"first\":|1e400|NaN|-1|9223372036854775808|\\ud800|null"


def _tokens(text: bytes) -> tuple[bytes, ...]:
    """Pieces between bars, escapes as in a bytes literal."""
    return tuple(part.decode("unicode_escape").encode("latin-1") for part in text.split(b"|"))


READERS: Final = (
    *(Reader(form, structure, (), partial(_files, form), _tokens(tokens)) for form, tokens in FORMATS.items()),
    Reader("pixels", whole, (ImageError,), lambda: [one for form in FORMATS for one in _files(form)], _tokens(PIXEL_TOKENS)),
    Reader("text", texts, (), partial(_texts, False), _tokens(TEXT_TOKENS)),
    Reader("xml", texts, (), partial(_texts, True), _tokens(XML_TOKENS)),
    Reader("sidecar", sidecar, (), _sidecar_seeds, _tokens(SIDECAR_TOKENS)),
    Reader("databar", plane, (), _planes, (b"\0" * 16, b"\xff" * 16, b"\x80\x7f", b"\xc0\x7f\0\0")),
    Reader("toml", toml, (ConfigError,), _settings_seeds, _tokens(TOML_TOKENS)),
    Reader("environment", environment, (ConfigError,), _variables, _tokens(TOML_TOKENS + b"|__|=")),
    Reader("commands", command, (), _command_seeds, _tokens(COMMAND_TOKENS)),
    Reader("witness", witness, (), lambda: (b"@", b"", b"a 1 2\n"), (b"@", b" ", b"0" * 20, b"9" * 30, b"-1", b"\n")),
)
BY_NAME: Final = {reader.name: reader for reader in READERS}
