"""`edge.Inspector`: files and arrays in, the inspections that `edge-inspect` gives out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import edge
from edge.cache import cache_folder
from edge.commands.cli import inspect as command
from edge.config import InspectionSettings
from edge.inspector import opener_for
from edge.samples import sample_files
from tests.conftest import pitted
from tests.sem.making import fei, specimen, tiff

SAMPLE = next(path for path in sample_files() if path.name == "AN_90_1h_004.tif")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def inspector() -> Iterator[edge.Inspector]:
    with edge.Inspector() as opened:
        yield opened


def comparable(inspection: edge.Inspection) -> dict[str, Any]:
    """The document without what differs from run to run."""
    return {name: value for name, value in edge.to_dict(inspection).items() if name not in ("ts", "ts_ms", "timing_ms")}


def test_a_file_is_inspected_as_the_command_does_it(inspector: edge.Inspector, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([str(SAMPLE), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    ours = comparable(inspector.inspect(SAMPLE))
    assert ours == {name: printed[name] for name in ours}
    assert ours == comparable(edge.inspect(str(SAMPLE)))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64", ">u2", "int32"])
def test_an_array_is_inspected_as_a_file_with_its_values(inspector: edge.Inspector, tmp_path: Path, kind: str) -> None:
    values = pitted(320, 240).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    of_file, of_array = inspector.inspect(tmp_path / "a.tif"), inspector.inspect(values)
    assert np.array_equal(of_file.micrograph.grey, of_array.micrograph.grey)
    assert np.array_equal(edge.label_image(of_file), edge.label_image(of_array))
    assert of_file.severity is not None
    assert of_array.severity is not None
    assert of_file.severity.probabilities == of_array.severity.probabilities
    assert len(of_array.regions) > 0
    assert (of_array.source.name, of_array.micrograph.pixel_size_nm) == ("array", None)


def test_colour_becomes_grey_and_the_strides_of_an_array_do_not_matter(inspector: edge.Inspector) -> None:
    grey = pitted(320, 240)
    for array in (np.dstack([grey] * 3), np.asfortranarray(grey), np.repeat(grey, 2, axis=1)[:, ::2]):
        assert np.array_equal(inspector.inspect(array).micrograph.grey, grey)


def test_a_pixel_size_is_used_only_where_the_file_has_none(inspector: edge.Inspector, tmp_path: Path) -> None:
    given = inspector.inspect(pitted(160, 120), pixel_size_nm=55.0).micrograph
    assert (given.pixel_size_nm, given.pixel_size_source) == (55.0, "config")
    (tmp_path / "fei.tif").write_bytes(tiff(specimen(), {34682: fei()}))
    assert inspector.inspect(tmp_path / "fei.tif", pixel_size_nm=55.0).micrograph.pixel_size_source == "metadata"
    with pytest.raises(edge.ConfigError, match="is no length"):
        inspector.inspect(pitted(160, 120), pixel_size_nm=-1.0)


def test_two_arrays_have_two_ids_and_one_array_has_one(inspector: edge.Inspector) -> None:
    first, second = pitted(160, 120, seed=1), pitted(160, 120, seed=2)
    ids = [edge.to_dict(inspector.inspect(array))["inspection_id"] for array in (first, second, first)]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros(5), "unsupported"),
        (np.zeros((4, 4), complex), "unsupported"),
        (np.zeros((4, 4, 7)), "unsupported"),
        (np.array([["a"]]), "unsupported"),
        (np.zeros((0, 5)), "empty"),
    ],
    ids=str,
)
def test_an_array_that_is_no_image_is_refused(inspector: edge.Inspector, array: NDArray[Any], code: str) -> None:
    with pytest.raises(edge.ImageError) as refused:
        inspector.inspect(array)
    assert refused.value.code == code


def test_an_array_over_the_limits_is_refused() -> None:
    for limit in ({"max_megapixels": 0.01}, {"max_file_mib": 0.01}):
        with (
            edge.Inspector(edge.InspectionSettings(inspect={"stages": "classify", **limit})) as strict,
            pytest.raises(edge.ImageError) as refused,
        ):
            strict.inspect(pitted(320, 240))
        assert refused.value.code == "too_large"


def test_a_missing_file_is_unreadable(inspector: edge.Inspector, tmp_path: Path) -> None:
    with pytest.raises(edge.ImageError) as refused:
        inspector.inspect(tmp_path / "nothing.tif")
    assert refused.value.code == "unreadable"


def test_every_page_is_inspected_or_the_one_that_is_asked_for(inspector: edge.Inspector, tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, np.stack([pitted(160, 120, seed=1), pitted(160, 120, seed=2)]), photometric="minisblack")
    pages = inspector.inspect_pages(path)
    assert [page.micrograph.page for page in pages] == [0, 1]
    assert comparable(inspector.inspect(path, 1)) == comparable(pages[1])
    with pytest.raises(edge.ConfigError, match="there are 2"):
        inspector.inspect(path, 2)


def test_arguments_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[inspect]\nstages = 'both'\npixel_size_nm = 7.0\n[mqtt]\nhost = 'broker'\n")
    with edge.Inspector(config, stages="classify", backend="onnxruntime") as opened:
        found = opened.inspect(pitted(160, 120))
    assert (found.models.segmenter, found.models.backend) == (None, "onnxruntime")
    assert found.micrograph.pixel_size_nm == 7.0
    with pytest.raises(edge.ConfigError, match=r"inspect\.confidence"):
        edge.Inspector(confidence=2.0)
    with pytest.raises(edge.ModelError):
        edge.Inspector(segmenter=tmp_path / "none.onnx")
    with pytest.raises(edge.ModelError, match="weights for regions"):
        edge.Inspector(regions=tmp_path / "none.json")


def test_the_picture_is_red_first_and_the_labels_count_regions(inspector: edge.Inspector) -> None:
    from edge.inspection import overlay

    found = inspector.inspect(SAMPLE)
    assert np.array_equal(edge.draw(found), overlay.draw(found)[..., ::-1])
    labels = edge.label_image(found)
    assert labels.shape == found.micrograph.grey.shape
    assert np.count_nonzero(labels) == found.measures.union_px
    x, y, width, height = found.regions.boxes_px[-1]
    assert (labels[y : y + height, x : x + width][found.regions.masks[-1]] == len(found.regions)).all()


def test_what_openvino_compiled_is_kept_for_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with edge.Inspector(backend="openvino", stages="segment") as first:
        kept = sorted(cache_folder().glob("compiled-*.openvino"))
        before = first.inspect(pitted())
    assert [path.name.split("-")[1] for path in kept] == ["segmenter"]
    told = kept[0].stat().st_mtime_ns
    with edge.Inspector(backend="openvino", stages="segment") as second:
        after = second.inspect(pitted())
    assert kept[0].stat().st_mtime_ns == told
    assert edge.to_dict(after)["regions"] == edge.to_dict(before)["regions"]


def test_where_models_have_to_be_signed_nothing_is_kept() -> None:
    settings = InspectionSettings(models={"public_key": "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"})
    assert opener_for(settings).keywords["memory"] is None  # type: ignore[attr-defined]
