"""The kernels' source becomes one file for every GPU that the compiler knows, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends.tensorrt import cuda
from export import fatbin

NVCC = """#!/bin/sh
case "$1" in --list-gpu-code) printf 'sm_75\\nsm_87\\nsm_999\\n'; exit 0;; esac
echo "$@" > "{log}"
{then}
while [ "$1" != "-o" ]; do shift; done
echo binary > "$2"
"""


def compiler(folder: Path, then: str = "") -> str:
    path = folder / "nvcc"
    path.write_text(NVCC.format(log=folder / "log", then=then))
    path.chmod(0o755)
    return str(path)


def test_every_target_that_the_compiler_knows_goes_in_with_ptx_for_later_ones(tmp_path: Path) -> None:
    path = fatbin.build(tmp_path / "out", compiler(tmp_path))
    assert path == tmp_path / "out" / cuda.kernels_name()
    assert path.read_text() == "binary\n"
    called = (tmp_path / "log").read_text()
    assert "arch=compute_75,code=sm_75" in called
    assert "arch=compute_87,code=sm_87" in called
    assert "code=compute_75" in called
    assert "999" not in called
    assert "-fmad=false" in called
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_what_the_daemon_looks_for_is_what_is_built(tmp_path: Path) -> None:
    path = fatbin.build(tmp_path, compiler(tmp_path))
    assert cuda.find_kernels([tmp_path / "none", tmp_path]) == path


def test_other_source_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tuple(tmp_path / source.name for source in cuda.SOURCES)
    for source, copy in zip(cuda.SOURCES, copies, strict=True):
        copy.write_bytes(source.read_bytes())
    name = cuda.kernels_name()
    monkeypatch.setattr(cuda, "SOURCES", copies)
    assert cuda.kernels_name() == name
    copies[1].write_text("changed")
    assert cuda.kernels_name() != name


def test_kernels_that_do_not_compile_leave_nothing_and_show_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NVCC", compiler(tmp_path, then="echo 'error: a semicolon' >&2; exit 1"))
    assert fatbin.main(["--out", str(tmp_path / "out")]) == 1
    assert "a semicolon" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_a_check_without_a_compiler_is_skipped_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fatbin, "find_nvcc", lambda: None)
    assert fatbin.main(["--check"]) == 0
    assert "skipped: there is no nvcc" in capsys.readouterr().err
    assert fatbin.main([]) == 2


def test_a_check_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NVCC", compiler(tmp_path))
    before = sorted(path.name for path in cuda.SOURCES[0].parent.iterdir())
    assert fatbin.main(["--check"]) == 0
    assert "compiles" in capsys.readouterr().out
    assert sorted(path.name for path in cuda.SOURCES[0].parent.iterdir()) == before
