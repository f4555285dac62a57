"""The table of backends: what auto means, what is installed, and that each row is true of this package."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.backends import table
from edge.backends.table import BACKENDS, Backend
from edge.errors import BackendError, ConfigError
from edge.models.card import BUILTIN_FOLDER
from tests import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SEGMENTER = BUILTIN_FOLDER / "segmenter.onnx"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROWS = pytest.mark.parametrize("row", BACKENDS.values(), ids=lambda row: row.name)

Without = Callable[..., None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Plays a machine that has every library but these."""

    def play(*missing: str) -> None:
        monkeypatch.setattr(table, "find_spec", lambda name: None if name in missing else object())

    return play


def test_auto_is_the_first_installed_that_runs_in_float32() -> None:
    assert table.resolve("auto") == next(name for name in table.installed() if name != "tensorrt")


def test_auto_is_tensorrt_where_its_engines_were_found(without: Without) -> None:
    without()
    assert table.resolve("auto", "float16") == "tensorrt"
    assert table.resolve("auto", "bfloat16") == "openvino"


def test_auto_is_onnxruntime_where_openvino_is_not(without: Without) -> None:
    without("openvino")
    assert table.resolve("auto") == "onnxruntime"


@pytest.mark.parametrize("missing", [("pycuda",), ("tensorrt", "tensorrt_rtx")])
def test_a_machine_without_tensorrt_has_no_engine(without: Without, missing: tuple[str, ...]) -> None:
    without(*missing)
    assert "not installed" in (BACKENDS["tensorrt"].refusal([SEGMENTER]) or "")


@pytest.mark.parametrize("other", ["tensorrt", "tensorrt_rtx"])
def test_either_tensorrt_will_do(without: Without, other: str) -> None:
    without(other)
    assert table.installed() == tuple(BACKENDS)
    assert tuple(BACKENDS)[:3] == ("tensorrt", "openvino", "onnxruntime")


def test_a_backend_that_is_not_installed_is_refused_by_name(without: Without) -> None:
    without("pycuda")
    with pytest.raises(ConfigError, match="tensorrt"):
        table.resolve("tensorrt")


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'tflite' is not part of this version; there are tensorrt, openvino, onnxruntime"):
        table.resolve("tflite")


def test_auto_never_means_a_server(without: Without) -> None:
    without("openvino", "onnxruntime", "pycuda")
    with pytest.raises(ConfigError, match="no inference library"):
        table.resolve("auto")
    assert table.resolve("kserve") == "kserve"


def test_without_any_library_the_cure_is_told(without: Without) -> None:
    without(*table.libraries())
    assert table.installed() == ()
    with pytest.raises(ConfigError, match="pip install sem-corrosion-edge"):
        table.resolve("auto")


@ROWS
def test_what_a_row_names_is_there(row: Backend) -> None:
    assert callable(getattr(importlib.import_module(row.module), row.opener))


@ROWS
def test_a_cure_names_an_extra_that_exists(row: Backend) -> None:
    wanted = PROJECT["dependencies"] if row.extra is None else PROJECT["optional-dependencies"][row.extra]
    assert any(requirement.startswith(library) for requirement in wanted for library in row.libraries[0])
    assert (f"[{row.extra}]" in row.cure) == (row.extra is not None)


@ROWS
def test_a_precision_beyond_the_default_belongs_to_one_row(row: Backend) -> None:
    lower = set(row.precisions) - {"float32"}
    assert not any(lower & set(other.precisions) for other in BACKENDS.values() if other is not row)


@ROWS
def test_what_several_precisions_need_is_there(row: Backend) -> None:
    file = importlib.import_module(row.module)
    asked = ["refusal", "device"] if row.gate == "passport" else ["lower_precisions", "fingerprint"] * (len(row.precisions) > 1)
    assert all(callable(getattr(file, name)) for name in asked)


def test_an_engines_precision_is_its_own_whatever_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.backends.tensorrt import engine

    monkeypatch.setattr(engine, "open_engine", lambda model, precision: (model, precision))
    assert table.open_network("tensorrt", SEGMENTER, "float32") == (SEGMENTER, "float16")


def test_a_precision_that_a_row_does_not_name_never_reaches_its_file() -> None:
    with pytest.raises(BackendError, match="onnxruntime runs in float32 here, not in bfloat16"):
        table.open_network("onnxruntime", Path("/nowhere.onnx"), "bfloat16")


def test_reading_the_table_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom edge.backends import table\ntable.installed()\n"
        "print(sorted({'numpy', 'cv2', 'pydantic', 'onnxruntime', 'openvino', 'pycuda'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_auto_never_takes_a_backend_that_is_for_those_who_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = replace(BACKENDS["onnxruntime"], name="shown", named_only=True)
    monkeypatch.setattr(table, "BACKENDS", {"shown": shown})
    assert table.installed() == ("shown",)
    assert table.resolve("shown") == "shown"
    monkeypatch.setattr(table, "BACKENDS", {"shown": shown, "onnxruntime": BACKENDS["onnxruntime"]})
    assert table.resolve("auto") == "onnxruntime"
