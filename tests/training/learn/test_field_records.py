"""Fields that were inspected once, kept for all fits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.models.card import BUILTIN_FOLDER
from training.learn.field_records import Job, Records, collect, jobs, steps_of
from training.score.grown import FRACTIONS


def records(kinds: list[str], whats: list[int]) -> Records:
    n = len(kinds)
    rng = np.random.default_rng(0)
    return Records(
        names=("area", "regions"),
        numbers=rng.random((n, 2)),
        logits=rng.random((n, 3)),
        embeddings=rng.random((n, 4)).astype(np.float32),
        truths=rng.random((n, 3)),
        severities=np.zeros(n, np.int64),
        regions=np.zeros((n, 32, 8), np.float32),
        region_truths=np.full((n, 32), -1),
        kinds=np.array(kinds),
        whats=np.array(whats),
        views=np.array([""] * n),
        groups=np.array([""] * n),
    )


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = records(["painted", "relief"], [1, 2])
    kept.save(tmp_path / "new" / "fields.npz")
    held = Records.load(tmp_path / "new" / "fields.npz")
    assert held.names == kept.names
    assert (held.number("regions") == kept.numbers[:, 1]).all()
    assert held.kinds.tolist() == ["painted", "relief"]


def test_growing_scenes_come_back_whole_and_in_order() -> None:
    n = len(FRACTIONS)
    scenes = steps_of(records(["grown"] * n + ["painted"] + ["grown"], [7] * n + [7] + [8]))
    assert [len(scene) for scene in scenes] == [n]


def test_without_real_images_there_are_drawn_jobs_alone() -> None:
    assert {job.kind for job in jobs(0, 6, 1, None, None)} == {"painted", "relief", "grown", "grown_relief"}


def test_specimens_that_may_be_learnt_from_and_the_others_are_told_apart(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    for name in ("superalloy/spot1_a", "superalloy/spot2_a", "nanocomposite/5_a", "nanocomposite/2_a", "clean/one"):
        for path in (tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"):
            path.parent.mkdir(exist_ok=True)
            if not path.name.startswith("one_mask"):
                cv2.imwrite(str(path), grey)
    todo = jobs(0, 20, 0, tmp_path, None)
    of = {
        kind: {Path(job.path).name for job in todo if job.kind == kind} for kind in ("foreign", "held_out", "clean", "control")
    }
    assert of["foreign"] == {"spot2_a.png", "5_a.png"}
    assert of["held_out"] == {"spot1_a.png", "2_a.png"}
    assert of["clean"] == of["control"] == {"one.png"}


def test_a_drawn_field_is_inspected_with_its_truth() -> None:
    seen = collect(BUILTIN_FOLDER, [Job("painted", 5), Job("painted", 5, "noise_6")], 1)
    assert len(seen) == 2
    assert seen.logits.shape == (2, 3)
    assert (seen.truths[0] == seen.truths[1]).all()
    assert (seen.numbers[0] != seen.numbers[1]).any()
    assert seen.severities[0] in (0, 1, 2)
