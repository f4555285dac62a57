"""Quantised copies: which are taken, and which processors gain by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends import int8_copy
from edge.backends.int8_copy import copy_paths, has_copy, has_dot_products, read_copy
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER
from export import to_int8

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"


def test_the_shipped_copy_belongs_to_the_shipped_model() -> None:
    graph, weights, passport = read_copy(CLASSIFIER)
    assert graph.startswith(b"<?xml")
    assert len(weights) > 1_000_000
    assert to_int8.refusal(passport.agreement) is None
    assert passport.scores["region_accuracy_weak"]["n"] >= 500


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_that_is_missing_is_named(model: Path, number: int) -> None:
    gone = copy_paths(model)[number]
    gone.unlink()
    assert has_copy(model) == (number != 2)
    with pytest.raises(BackendError, match=gone.name):
        read_copy(model)


@pytest.mark.parametrize("number", [0, 1])
def test_other_bytes_than_the_passports_are_refused(model: Path, number: int) -> None:
    path = copy_paths(model)[number]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BackendError, match=f"{path.name} is not the file"):
        read_copy(model)


def test_a_copy_of_another_model_is_refused(model: Path) -> None:
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(BackendError, match="another model"):
        read_copy(model)


def test_a_passport_that_is_none_is_refused(model: Path) -> None:
    copy_paths(model)[2].write_text("{}")
    with pytest.raises(BackendError, match="not valid"):
        read_copy(model)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512_vnni amx_tile", True), ("fpu avx2 avx_vnni", True), ("fpu avx2 avx512f", False), ("", False)],
)
def test_dot_products_are_told_by_the_processors_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(int8_copy.platform, "machine", lambda: "x86_64")
    assert has_dot_products(cpuinfo) == expected
    assert not has_dot_products(tmp_path / "none")
    monkeypatch.setattr(int8_copy.platform, "machine", lambda: "aarch64")
    assert not has_dot_products(cpuinfo)
