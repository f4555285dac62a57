"""The house rules as far as a machine can watch them: who may import whom, who owns a library, how long things may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import pytest

from tests import ROOT

# Who may import whom, in the order of the pipeline. A room may always import itself; `edge` is the door.
MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    room: frozenset(others.split())
    for room, others in {
        "edge.records": "",
        "edge.errors": "",
        "edge.config_section": "edge.errors",
        "edge.config_sinks": "edge.errors edge.config_section",
        "edge.config_fleet": "edge.errors edge.config_section",
        "edge.config": "edge.errors edge.backends edge.config_section edge.config_sinks edge.config_fleet",
        "edge.sem": "edge.records edge.errors",
        "edge.models": "edge.records edge.errors",
        "edge.backends": "edge.records edge.errors edge.models",
        "edge.inspection": "edge edge.records edge.errors edge.config edge.sem edge.models edge.backends",
        "edge.teach": "edge.records edge.errors edge.config edge.sem edge.models edge.backends edge.inspection edge.folder",
        "edge.folder": "edge.records edge.errors edge.sem",
        "edge.journal": "edge.records edge.errors",
        "edge.fleet": "edge edge.records edge.errors edge.config edge.config_section edge.config_fleet edge.models"
        " edge.backends edge.inspection edge.samples edge.wire edge.mqtt edge.sinks",
        "edge.wire": "edge edge.records edge.errors edge.config",
        "edge.mqtt": "edge.records edge.errors edge.config edge.journal edge.wire",
        "edge.sinks": "edge edge.records edge.errors edge.config edge.config_section edge.config_sinks edge.folder edge.journal"
        " edge.wire edge.mqtt",
        "edge.service": "edge edge.records edge.errors edge.config edge.sem edge.models edge.backends edge.inspection"
        " edge.folder edge.journal edge.wire edge.mqtt edge.teach edge.sinks edge.fleet edge.compare",
        "edge.web": "edge edge.records edge.errors edge.config edge.sem edge.folder edge.journal edge.wire edge.teach"
        " edge.inspection edge.mqtt edge.fleet",
        "edge.compare": "edge.errors edge.wire",
        "edge.archive": "edge edge.records edge.errors edge.config edge.sem edge.inspection edge.folder edge.wire edge.compare",
        "edge.report": "edge edge.records edge.errors edge.config edge.journal edge.wire edge.teach edge.inspection"
        " edge.archive",
        "edge.commands": "edge edge.records edge.errors edge.config edge.sem edge.models edge.backends edge.inspection"
        " edge.folder edge.journal edge.wire edge.mqtt edge.teach edge.service edge.web edge.report edge.sinks"
        " edge.archive edge.fleet edge.compare",
        "edge": "edge.records edge.errors edge.config edge.sem edge.inspection edge.folder edge.wire",
        "export": "edge edge.records edge.errors edge.config edge.sem edge.models edge.backends edge.inspection edge.folder",
        "training": "edge edge.records edge.errors edge.config edge.sem edge.models edge.backends edge.inspection edge.folder"
        " edge.teach edge.report export",
    }.items()
}

# Below all rooms: whoever needs it may import it, and it imports none of them.
BELOW_ALL: Final = frozenset({"edge.arguments", "edge.certificates", "edge.whole_file", "edge.wording"})
MAY_IMPORT |= {room: others | BELOW_ALL for room, others in MAY_IMPORT.items()} | dict.fromkeys(BELOW_ALL, frozenset())
MAY_IMPORT["edge.arguments"] = frozenset({"edge", "edge.errors", "edge.wording"})  # the door's version

# A library with errors and habits of its own is imported where it is owned, and nowhere else.
OWNERS: Final[dict[str, tuple[str, ...]]] = {
    "paho": ("edge.mqtt.connection", "edge.commands.demo", "edge.commands.bench.end_to_end", "edge.web.subscriber"),
    "sqlite3": ("edge.journal",),
    "watchdog": ("edge.folder.events",),
    "openvino": ("edge.backends.openvino_model",),
    "onnxruntime": ("edge.backends.onnx_session", "export.fp16", "export.to_onnx", "training.score.rival"),
    "tensorrt": ("edge.backends.tensorrt", "export"),
    "pycuda": ("edge.backends.tensorrt",),
    "pynvml": ("edge.backends.tensorrt.nvml",),
    "tritonclient": ("edge.backends.kserve",),
    "amqtt": ("edge.commands.demo",),
    "tifffile": ("edge.sem.pixels", "edge.inspector", "training.draw.samples"),  # the latter two write
    "imagecodecs": ("edge.sem.unpack", "edge.sem.png_rows", "edge.inspection.overlay"),  # the latter encodes
    "simplejpeg": ("edge.sem.damage",),
    "ultralytics": ("training", "export.checkpoint"),
    "torch": (
        "training",
        *("export.checkpoint", "export.graphs", "export.trained", "export.to_onnx", "export.recovered", "export.half_network"),
    ),
    "timm": ("export.checkpoint",),
    "starlette": ("edge.web",),
    "uvicorn": ("edge.web.serve",),
    "prometheus_client": ("edge.service.metrics",),
    "asyncua": ("edge.service.opcua",),
    "jinja2": ("edge.report.page",),
    "matplotlib": ("edge.report", "training"),
    "scipy": ("edge.report", "training"),
    "statsmodels": ("edge.report",),
    "pandas": ("edge.report", "training"),
    "pyarrow": ("edge.report", "edge.archive.tables"),
    "ray": ("edge.archive.run",),
    "google": ("edge.wire.sparkplug_b_pb2",),  # protobuf
    "cryptography": ("edge.models.signature",),
    "cyclonedx": ("export.sbom",),
}

LONGEST_MODULE, LONGEST_CLASS, LONGEST_FUNCTION, LONGEST_SENTENCE = 500, 300, 60, 30
LONG_BECAUSE = "# long because "

# Modules without a test file of their name, and where they are tested.
TESTED_ELSEWHERE: Final[dict[str, str]] = {
    "edge.web.source": "web/test_journal_source.py",  # an interface and its values
    "edge.web.__main__": "service/test_page.py",  # a process
    "edge.commands.command_line": "commands/test_cli.py",
    "edge.mqtt.content": "mqtt/test_session.py",  # an interface and its values
    "edge.sinks.sink": "sinks/test_delivery.py",  # an interface and its values
    "training.cli.__main__": "training/learn/test_segmenter.py",  # run as `python -m training.cli`
    "training.learn.classifier_recipe": "training/learn/test_classifier.py",
    "training.score.evaluation_html": "training/score/test_evaluation_page.py",
}


@lru_cache
def modules(*tops: str) -> tuple[tuple[str, Path], ...]:
    found = []
    for top in tops:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append((name.removesuffix(".__init__"), path))
    return tuple(found)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that is imported, wherever the line stands."""
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from edge import sem` imports a room, `from edge import __version__` a value of the door.
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


def room_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "edge":
        return parts[0]
    return ".".join(parts[:2]) if len(parts) > 1 and ".".join(parts[:2]) in MAY_IMPORT else "edge"


@pytest.mark.parametrize("name_and_path", modules("edge", "export", "training"), ids=lambda module: module[0])
def test_a_room_imports_only_the_rooms_that_it_may(name_and_path: tuple[str, Path]) -> None:
    name, path = name_and_path
    own = room_of(name)
    reached = {room_of(other) for other in imports(path) if other.split(".")[0] in ("edge", "export", "training", "tests")}
    assert reached - {own} <= MAY_IMPORT[own], f"{name} must not import {sorted(reached - {own} - MAY_IMPORT[own])}"


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_only_by_its_owner(library: str) -> None:
    for name, path in modules("edge", "export", "training"):
        if any(other.split(".")[0] == library for other in imports(path)):
            assert any(name == owner or name.startswith(f"{owner}.") for owner in OWNERS[library]), name


def lengths(path: Path) -> Iterator[str]:
    """What is too long in one file, in words."""
    lines = path.read_text(encoding="utf-8").splitlines()

    def excused(first: int, last: int) -> bool:
        return any(LONG_BECAUSE in line for line in lines[first - 1 : last])

    if len(lines) > LONGEST_MODULE and not excused(1, len(lines)):
        yield f"{path.relative_to(ROOT)} has {len(lines)} lines"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.end_lineno or node.lineno
            most = LONGEST_CLASS if isinstance(node, ast.ClassDef) else LONGEST_FUNCTION
            if last - node.lineno >= most and not excused(node.lineno, last):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {last - node.lineno + 1} lines"


def sentences(docstring: str) -> Iterator[str]:
    """Sentences of a docstring; drawings and tables have none."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        if not re.search(r"^\s*[|│├└─]|^\s{4,}\S.*\s{3,}\S", paragraph, re.MULTILINE):
            yield from (" ".join(part.split()) for part in re.split(r"(?<=[.;:?!])\s+(?=[\w`\"'(])|\n\s*[-*] ", paragraph))


@pytest.mark.parametrize("top", ["edge", "export", "training", "tests"])
def test_nothing_is_longer_than_a_reader_can_hold(top: str) -> None:
    assert not [line for _, path in modules(top) for line in lengths(path)]


@pytest.mark.parametrize("top", ["edge", "export", "training", "tests"])
def test_no_sentence_of_a_docstring_is_longer_than_thirty_words(top: str) -> None:
    long = []
    for name, path in modules(top):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                texts = sentences(ast.get_docstring(node) or "")
                long += [f"{name}: {text[:80]}" for text in texts if len(text.split()) > LONGEST_SENTENCE]
    assert not long


@pytest.mark.parametrize("name_and_path", modules("edge", "export", "training"), ids=lambda module: module[0])
def test_a_module_says_what_goes_in_and_out_in_its_first_sentence(name_and_path: tuple[str, Path]) -> None:
    name, path = name_and_path
    assert ast.get_docstring(parsed(path)), name


def test_each_module_has_a_test_file_of_its_name() -> None:
    missing = []
    for name, path in modules("edge", "export", "training"):
        room, _, module = name.rpartition(".")
        if path.name == "__init__.py" or name in TESTED_ELSEWHERE:
            continue
        folder = Path("tests", *(room.split(".")[1:] if room.split(".")[0] == "edge" else room.split(".")))
        if not (ROOT / folder / f"test_{module}.py").exists():
            missing.append(f"{name}: {folder}/test_{module}.py")
    assert not missing


def test_what_is_tested_elsewhere_exists() -> None:
    names = {name for name, _ in modules("edge", "export", "training")}
    assert set(TESTED_ELSEWHERE) <= names
    assert all((ROOT / "tests" / where).exists() for where in TESTED_ELSEWHERE.values())
