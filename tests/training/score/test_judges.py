"""No checkpoint judges what it learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError


def test_a_checkpoint_that_learnt_from_a_copy_of_what_it_judges_is_refused(ready: Path, run: Path, tmp_path: Path) -> None:
    from training.data.dataset import open_data_set
    from training.score.evaluate import evaluate

    judged = open_data_set(ready).fold(0)[1][0].path.stem
    folder = tmp_path / "leaky" / "fold0"
    (folder / "segmenter-data").mkdir(parents=True)
    (folder / "segmenter.pt").write_bytes((run / "fold0" / "segmenter.pt").read_bytes())
    (folder / "segmenter-data" / "train.txt").write_text(f"/elsewhere/{judged}_varied1.png\n")
    copies = {image.path.stem for image in open_data_set(ready).images if image.origin is not None}
    assert f"{judged}_varied1" in copies
    with pytest.raises(ConfigError, match="learnt from"):
        evaluate(ready, {"leaky": tmp_path / "leaky"}, {}, "test")


def test_a_run_without_its_first_checkpoint_says_how_to_train(ready: Path, run: Path, tmp_path: Path) -> None:
    from training.score.evaluate import evaluate

    with pytest.raises(ConfigError, match="edge-train segmenter --fold all"):
        evaluate(ready, {"manual": tmp_path}, {}, "test")
