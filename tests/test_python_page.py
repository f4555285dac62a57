"""docs/use/python.md, run from top to bottom on a shipped image."""

from __future__ import annotations

import re
import shutil
from typing import Any

import numpy as np
import pytest

import edge
from edge.samples import sample_files
from tests import ROOT

PAGE = ROOT / "docs" / "use" / "python.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's code has defined at its end."""
    pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("page")
    (folder / "images").mkdir()
    image = next(path for path in sample_files() if path.name == "AN_90_1h_004.tif")
    shutil.copy(image, folder / "image.tif")
    shutil.copy(image, folder / "images" / "a.tif")
    (folder / "images" / "broken.tif").write_bytes(b"no image")
    defined: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            exec(block, defined)
    return defined


def test_the_page_gives_the_arrays_that_it_names(names: dict[str, Any]) -> None:
    grey, labels, mask, picture = (names[name] for name in ("grey", "labels", "mask", "picture"))
    assert (grey.dtype, labels.dtype, mask.dtype, picture.dtype) == (np.uint8, np.int32, np.bool_, np.uint8)
    assert grey.shape == labels.shape == mask.shape
    assert picture.ndim == 3
    assert mask.mean() == pytest.approx(names["inspection"].measures.area_fraction)


def test_the_pages_table_has_a_row_for_each_region(names: dict[str, Any]) -> None:
    regions, labels = names["regions"], names["labels"]
    assert len(regions) == len(names["inspection"].regions) > 0
    assert set(np.unique(labels)) - {0} <= set(regions["index"] + 1)
    assert regions["area_um2"].notna().all()


def test_the_page_goes_on_after_a_broken_image(names: dict[str, Any]) -> None:
    assert names["summary"]["image"].tolist() == ["a.tif"]
    assert names["segmented"].severity is None


def test_the_page_gives_an_array_the_length_of_its_pixels_and_a_name(names: dict[str, Any]) -> None:
    one: edge.Inspection = names["from_array"]
    assert (one.micrograph.pixel_size_nm, one.micrograph.pixel_size_source) == (55.0, "config")
    assert one.sample["exposure_h"] == 168.0
