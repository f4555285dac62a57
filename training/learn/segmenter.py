"""A data set in YOLO-seg layout in, a YOLOv8n-seg checkpoint with its scores out."""

# torch and ultralytics are Any where they are not installed
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from edge.errors import ConfigError, ModelError
from edge.inspection.segment import STRIDE
from edge.models.card import Training
from export.checkpoint import Checkpoint, segmentation_network
from training.data.dataset import LabelledImage, open_data_set
from training.learn.quiet import ultralytics_alone
from training.learn.segmenter_data import BATCH, any_region, stack_images, write_for_ultralytics
from training.learn.segmenter_weights import describe_weights, initial_network, weights_of_run

HELD_OUT = 0.06


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, beside the data, how a segmenter is trained.

    model: ultralytics' name of an architecture: yolov8n-seg, yolov8s-seg, yolo11n-seg, yolo26n-seg …
    weights: where training begins, see `initial_network`; or the folder of an earlier run on the same data, whose weights of
    the same fold are taken.  imgsz: side of the training images in pixels.
    """

    model: str = "yolov8n-seg"
    weights: str = "coco"
    epochs: int = 50
    imgsz: int = 640
    seed: int = 0

    def __post_init__(self) -> None:
        if self.imgsz % STRIDE:
            raise ConfigError(f"--imgsz {self.imgsz}: the side of the training images must be a multiple of {STRIDE}")


PRESETS = {
    "paper": {"epochs": 200, "imgsz": 640},  # section 3.2: for a GPU
    "short": {"epochs": 30, "imgsz": 320},  # for a CPU
}


@dataclass(frozen=True, slots=True)
class _Run:
    """A training run as `segmenter-run.json` keeps it, so that a killed one can go on as it began."""

    recipe: Recipe
    fold: int | None
    data_sha256: str
    command: str
    finished: bool = False

    def write(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        _replace(out / "segmenter-run.json", json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, out: Path) -> _Run | None:
        """None when no run began in `out`."""
        path = out / "segmenter-run.json"
        try:
            stored = json.loads(path.read_bytes())
            return cls(**{**stored, "recipe": Recipe(**stored["recipe"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path} cannot be read ({error}): begin anew, without --resume") from error


def _whole(out: Path) -> Path:
    """The state after the last whole epoch. ultralytics writes its own last.pt in place: a kill can leave half of it."""
    return out / "segmenter" / "weights" / "whole.pt"


def progress(out: Path) -> Literal["none", "begun", "finished"]:
    """How far a run into `out` came; "none" also before its first whole epoch. Raises ConfigError for a damaged record."""
    run = _Run.read(out)
    if run is not None and run.finished and (out / "segmenter.pt").is_file():
        return "finished"
    return "begun" if run is not None and _whole(out).is_file() else "none"


def train(data: Path, out: Path, recipe: Recipe, command: str, fold: int | None = None, *, resume: bool = False) -> Checkpoint:
    """Train on the data set in `data`; write `out/segmenter.pt` and ultralytics' own files below `out/segmenter`.

    command: what the card will say.  fold: learn from the other folds of a prepared data set and score on this one.
    resume: go on after the last whole epoch of the run in `out`, with its own recipe and command; return what a finished
    one wrote; begin where there is none. Raises ConfigError for data, names or a run that cannot be used, and ModelError
    for weights.
    """
    data_set = open_data_set(data).outlined()
    run = _Run(recipe, fold, data_set.sha256, command)
    reached = progress(out) if resume else "none"
    if reached == "finished":
        return Checkpoint.load(out / "segmenter.pt")
    if reached == "begun":
        run = _continued(cast(_Run, _Run.read(out)), run, out)
        recipe = run.recipe
    kept, held_out = data_set.split(HELD_OUT) if fold is None else data_set.fold(fold)
    if not any_region(kept):
        raise ConfigError(f"no image of {data} to learn from has a labelled region in {data / 'labels'}")
    if Path(recipe.weights).is_dir():
        recipe = replace(recipe, weights=str(weights_of_run(Path(recipe.weights), fold, data_set)))
    torch.manual_seed(recipe.seed)
    network = (
        segmentation_network(data_set.classes, recipe.model)
        if reached == "begun"
        else initial_network(recipe.model, recipe.weights, data_set.classes, [stack_images(kept[:BATCH], recipe.imgsz)])
    )
    description = write_for_ultralytics(out / "segmenter-data", data_set.classes, recipe.imgsz, train=kept, val=held_out)
    if reached == "none":
        _whole(out).unlink(missing_ok=True)
        run.write(out)
    trained = _learn(network, recipe, description, out, resume=reached == "begun")
    what = f"held-out images of {data.name}" if fold is None else f"fold {fold} of {data.name}"
    checkpoint = Checkpoint(
        task="segment",
        architecture=recipe.model,
        classes=data_set.classes,
        state=trained.state_dict(),
        training=Training(
            data=f"{data.name}: {len(kept)} images trained on, {len(held_out)} held out",
            data_sha256=data_set.sha256,
            initialised_from=describe_weights(recipe.weights),
            epochs=recipe.epochs,
            images=len(kept),
            seed=recipe.seed,
            command=run.command,
        ),
        scores=score(trained, held_out, data_set.classes, out, recipe.imgsz, what),
        card={"input_px": 640, "smallest_region_px": 8.0},
    )
    checkpoint.save(out / "segmenter.pt")
    replace(run, finished=True).write(out)
    _whole(out).unlink(missing_ok=True)
    return checkpoint


def _continued(begun: _Run, asked: _Run, out: Path) -> _Run:
    """The run to go on with, which must be on the same images."""
    if begun.data_sha256 != asked.data_sha256:
        raise ConfigError(f"the data have changed since the run in {out} began: begin anew, without --resume")
    if begun.fold != asked.fold:
        raise ConfigError(f"the run in {out} is of fold {begun.fold}, not {asked.fold}: name the same fold, or another --out")
    return begun


def _learn(network: nn.Module, recipe: Recipe, description: Path, out: Path, *, resume: bool) -> nn.Module:
    """Train `network`, or the state of the run in `out` up to the recipe's epochs; returns the averaged weights, on the CPU.

    After every epoch `_whole(out)` holds all that is needed to go on.
    """
    from ultralytics.models.yolo.segment import SegmentationTrainer
    from ultralytics.utils.loss import v8SegmentationLoss

    from training.learn.sparse_loss import SparseSegmentationLoss

    whole = _whole(out)
    if resume and _load_whole(whole)["epoch"] + 1 >= recipe.epochs:  # killed after the last epoch
        return cast(nn.Module, _load_whole(whole)["ema"].float())

    class Trainer(SegmentationTrainer):
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            if weights is not None:  # of the run that is resumed
                network.load_state_dict(weights.float().state_dict())
            return network.to(memory_format=torch.channels_last)  # 1.6 times as fast on two cores, and the same numbers

        def preprocess_batch(self, batch: Any) -> Any:
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            return batch

    def keep(trainer: Any) -> None:
        whole.parent.mkdir(parents=True, exist_ok=True)
        _replace(whole, Path(trainer.last).read_bytes())

    def spare(trainer: Any) -> None:
        """After the averaged copy of the network is made, which is pickled and shall not know this class."""
        torch.set_num_threads(threads)
        if type(trainer.model.init_criterion()) is v8SegmentationLoss:
            trainer.model.criterion = SparseSegmentationLoss(trainer.model)

    threads = torch.get_num_threads()  # ultralytics leaves one core idle, half of two
    with ultralytics_alone():
        trainer = Trainer(overrides=_trainer_options(recipe, description, out, whole if resume else None))
        trainer.add_callback("on_train_start", spare)
        trainer.add_callback("on_model_save", keep)
        trainer.train()
    return cast(nn.Module, _load_whole(whole)["ema"].float())


def _trainer_options(recipe: Recipe, description: Path, out: Path, resumed: Path | None) -> dict[str, Any]:
    """ultralytics' settings. resumed: the checkpoint to go on from; None to begin."""
    options: dict[str, Any] = {
        "model": str(resumed or f"{recipe.model}.yaml"),
        "resume": str(resumed) if resumed else False,
        "data": str(description),
        "epochs": recipe.epochs,
        "imgsz": recipe.imgsz,
        "batch": BATCH,
        "nbs": BATCH,  # a step per batch: the data set is small
        "seed": recipe.seed,
        "device": _device(),
        "workers": 8,  # ultralytics takes none on a CPU, and no more than there are cores
        "project": str(out.resolve()),
        "name": "segmenter",
        "exist_ok": True,
        "optimizer": "AdamW",
        "lr0": 1.5e-3 if recipe.weights != "none" else 2e-3,
        "lrf": 0.05,
        "cos_lr": True,
        "warmup_epochs": 0.5,
        "hsv_h": 0.0,  # grey has no hue and no saturation
        "hsv_s": 0.0,
        "hsv_v": 0.35,
        "flipud": 0.5,
        "fliplr": 0.5,
        "degrees": 10.0,
        "scale": 0.5,
        "mosaic": 0.5,
        "close_mosaic": max(1, recipe.epochs // 4),
        "plots": False,
        "val": False,
    }
    if resumed:
        options["save_dir"] = str((out / "segmenter").resolve())  # the folder may have moved since
    return options


def _load_whole(whole: Path) -> Any:
    """ultralytics' checkpoint with model and optimiser; a pickle, but one that this program wrote."""
    try:
        return cast(Any, torch.load(whole, map_location="cpu", weights_only=False))
    except Exception as error:  # torch raises pickle's, zipfile's and its own errors here
        raise ModelError(f"cannot read {whole} ({error}): begin anew, without --resume") from error


def _replace(path: Path, content: bytes) -> None:
    """Write so that a kill leaves either the old file or the new one."""
    fresh = path.with_name(f"{path.name}.part")
    fresh.write_bytes(content)
    fresh.replace(path)


def _device() -> str:
    return "0" if torch.cuda.is_available() else "cpu"


def score(
    network: nn.Module, images: tuple[LabelledImage, ...], classes: tuple[str, ...], out: Path, imgsz: int, measured_on: str
) -> dict[str, Any]:
    """Box and mask mAP as ultralytics computes them, in the form of a card's scores; none where no image has a region."""
    if not any_region(images):
        return {}
    from ultralytics.models.yolo.segment import SegmentationValidator

    description = write_for_ultralytics(out / "segmenter-score", classes, imgsz, train=images, val=images)
    options = {
        "data": str(description),
        "imgsz": imgsz,
        "batch": BATCH,
        "device": _device(),
        "workers": 8,
        "plots": False,
        "rect": True,
        "project": str(out.resolve()),
        "name": "segmenter-score",
        "exist_ok": True,
        "model": "segmenter",
        "task": "segment",
        "mode": "val",
    }
    network = copy.deepcopy(network).eval()
    cast(Any, network).names = dict(enumerate(classes))
    with ultralytics_alone():
        results = SegmentationValidator(args=options)(model=network)
    how = f"ultralytics val, {imgsz} px, {measured_on}, all classes"
    keys = {
        "mask_map50": "metrics/mAP50(M)",
        "mask_map50_95": "metrics/mAP50-95(M)",
        "box_map50": "metrics/mAP50(B)",
        "box_map50_95": "metrics/mAP50-95(B)",
        "mask_precision": "metrics/precision(M)",
        "mask_recall": "metrics/recall(M)",
    }
    return {name: {"value": round(float(results[key]), 4), "n": len(images), "how": how} for name, key in keys.items()}
