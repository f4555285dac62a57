"""The documents as types: mypy refuses a field that is misspelt, missing or of another type, before any message is made."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.wire import documents, inspection_documents
from tests import ROOT

MISUSED = """
from edge.wire import documents
from edge.wire.inspection_documents import RegionSeverityFields, SampleFields

documents.DeviceFields(site="a", area="b", id="c")
documents.DeviceFields(site="a", area="b", id="c", ident="c")  # call-arg: Unexpected keyword argument "ident"
documents.DeviceFields(site="a", area="b")  # call-arg: Missing named argument "id"
documents.DeviceFields(site="a", area="b", id=1)  # arg-type: incompatible type "int"; expected "str"
RegionSeverityFields(label="odd", confidence=1.0, weak=True, basis="exposure")  # arg-type: expected "Literal['low',
SampleFields(annealing_min=None, exposure_hours=None)  # call-arg: Missing named argument "exposure_h"
SampleFields(annealing_min=None, exposure_h=None, operator="ab")
"""


def test_mypy_refuses_what_is_no_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    code = tmp_path / "misused.py"
    code.write_text(MISUSED)
    config, cache = ROOT / "pyproject.toml", ROOT / ".mypy_cache"
    found, trouble, _ = api.run(["--config-file", str(config), "--cache-dir", str(cache), "--no-error-summary", str(code)])
    assert not trouble
    errors = {int(line): text for line, text in re.findall(r"misused\.py:(\d+): error: (.*)", found)}
    expected = {
        number: line.split("  # ")[1].split(": ", 1) for number, line in enumerate(MISUSED.splitlines(), 1) if "  # " in line
    }
    assert errors.keys() == expected.keys(), found
    for number, (code_of_error, message) in expected.items():
        assert message in errors[number]
        assert f"[{code_of_error}]" in errors[number]


def sent() -> list[type[BaseModel]]:
    kinds = (*vars(documents).values(), *vars(inspection_documents).values())
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, documents.Document)]


def test_no_field_has_a_default() -> None:
    assert [
        f"{kind.__name__}.{name}" for kind in sent() for name, field in kind.model_fields.items() if not field.is_required()
    ] == []


def test_no_document_is_named_as_a_record_or_a_setting() -> None:
    names = {kind.__name__ for kind in sent()} - {"Document"}
    assert all(name.endswith(("Document", "Fields")) for name in names)
    assert inspection_documents.SeverityFields.model_json_schema()["title"] == "Severity"


def test_the_examples_of_the_docstrings_are_true() -> None:
    assert doctest.testmod(documents).failed == 0
