"""What is installed for the edge, in megabytes."""

from __future__ import annotations

from importlib import metadata

import pytest

from export import footprint
from tests.test_bare import dependencies


def test_it_lists_what_the_edge_needs_and_nothing_else() -> None:
    sizes = footprint.footprint()
    assert set(sizes) == {footprint.PRODUCT, *dependencies(footprint.PRODUCT, set())}
    assert not {"torch", "pytest", "openvino", "scipy"} & set(sizes)


def test_a_size_is_what_the_packages_files_take_on_the_disk() -> None:
    files = metadata.files("onnxruntime") or []
    largest = max(file.locate().stat().st_size for file in files)  # type: ignore[attr-defined]
    assert footprint.footprint()["onnxruntime"] >= largest > 5_000_000


def test_an_extra_adds_what_it_needs() -> None:
    pytest.importorskip("openvino")
    assert footprint.footprint(["openvino"])["openvino"] > 50_000_000


def test_the_table_has_the_largest_first_and_the_sum_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert footprint.main(["--most", "100000"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    sizes = [float(row.split()[-2]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert float(last.split()[-2]) == pytest.approx(sum(sizes), abs=0.1 * len(sizes))


def test_too_large_is_exit_1_and_a_missing_extra_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert footprint.main(["--most", "1"]) == 1

    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("export.footprint.metadata.requires", missing)
    with pytest.raises(SystemExit) as raised:
        footprint.main([])
    assert raised.value.code == 2
