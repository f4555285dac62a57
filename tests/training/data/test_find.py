"""The kind of labels is found, or has to be chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import make_images, run
from tests.training.labelled_images import as_png, ring


def test_labels_of_two_kinds_have_to_be_chosen_from(data: Path) -> None:
    as_png({path.stem: ring() for path in (data / "labels").glob("*.txt")}, data)
    with pytest.raises(ConfigError, match="several kinds"):
        run(data)
    assert run(data, labels="png").record["labels"] == {"kind": "png", "mask_rule": "binary"}


def test_images_without_labels_can_still_be_classified(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    make_images(tmp_path / "data", labels=False)
    prepared = run(tmp_path / "data")
    assert prepared.record["labels"]["kind"] is None
    assert any("only the classifier" in line for line in prepared.warnings)
