"""The folder of a trained run in, its checkpoints out, each with the images that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from edge.errors import ConfigError
from export.checkpoint import Checkpoint
from training.data.dataset import DataSet, Images
from training.score.evaluation import Judge


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A checkpoint and the images that it is to judge."""

    checkpoint: Checkpoint
    images: Images
    judge: Judge


def assign_images(data_set: DataSet, name: str, run: Path, file: str, warnings: list[str]) -> list[Assignment]:
    """The checkpoints of a run and the images that each did not learn from. Raises ConfigError."""
    folds = [fold for fold in range(data_set.folds) if (run / f"fold{fold}" / file).is_file()]
    if folds:
        missing = [str(fold) for fold in range(data_set.folds) if fold not in folds]
        if missing:
            warnings.append(f"{name}: no checkpoint of fold {', '.join(missing)} yet, so their images are not scored")
        places: list[tuple[int | None, Path, Images]] = [(fold, run / f"fold{fold}", data_set.fold(fold)[1]) for fold in folds]
    elif (run / file).is_file():
        places = [(None, run, data_set.parts()[2])]
    else:
        raise ConfigError(f"no {file} in {run} or {run / 'fold0'}: train with edge-train {file.removesuffix('.pt')} --fold all")
    assignments = []
    for fold, folder, images in places:
        checkpoint = Checkpoint.load(folder / file)
        _require_unseen(data_set, name, folder, images, checkpoint, warnings)
        facts = checkpoint.training
        judge = Judge(
            file=str((folder / file).relative_to(run)),
            fold=fold,
            images=len(images),
            initialised_from=facts.initialised_from,
            epochs=facts.epochs,
            learnt_from=facts.data,
            command=facts.command,
        )
        assignments.append(Assignment(checkpoint, images, judge))
    return assignments


def _require_unseen(
    data_set: DataSet, name: str, folder: Path, images: Images, checkpoint: Checkpoint, warnings: list[str]
) -> None:
    """Refuse a checkpoint that learnt from an image of these, a copy of one, or another image of the same group.

    The list of what a segmenter learnt from lies beside it. Without one, equal hashes mean equal labels and folds.
    """
    listed = folder / "segmenter-data" / "train.txt"
    if listed.is_file() and checkpoint.task == "segment":
        learnt = {PurePath(line.strip()).stem for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()}
        group_of = {image.path.stem: image.group for image in data_set.images}
        known = {group_of[stem] for stem in learnt if stem in group_of}
        seen = sorted(image.path.name for image in images if image.group in known)
        if seen:
            raise ConfigError(
                f"{name}: {folder} learnt from {seen[0]} or its group, as from {len(seen)} of the {len(images)} images that it "
                "would have to judge: prepare both label sets with the same --seed, --folds and --test"
            )
        if not known:
            warnings.append(f"{name}: none of the images that {folder.name} learnt from is in the data set, by their names")
    elif checkpoint.training.data_sha256 != data_set.sha256:
        warnings.append(
            f"{name}: {folder.name} was trained on other data or labels, and nothing says from which images: "
            "it may have learnt from those that it judges"
        )
