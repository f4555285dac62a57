"""A data set in YOLO-seg layout in, a YOLOv8n-seg checkpoint with its scores out."""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError, ModelError
from edge.inspection.segment import STRIDE, letterbox_scale
from edge.models.card import BUILTIN_FOLDER, Training, load_card
from edge.records import Grey
from export.to_onnx import Checkpoint, folded_weights, segmentation_network
from training.data.dataset import DataSet, LabelledImage, open_data_set

BATCH = 16
HELD_OUT = 0.06
FEWEST_FIELDS = 7  # of a label's line: a class and three corners


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
    data_set = open_data_set(data)
    run = _Run(recipe, fold, data_set.sha256, command)
    reached = progress(out) if resume else "none"
    if reached == "finished":
        return Checkpoint.load(out / "segmenter.pt")
    if reached == "begun":
        run = _continued(cast(_Run, _Run.read(out)), run, out)
        recipe = run.recipe
    kept, held_out = data_set.split(HELD_OUT) if fold is None else data_set.fold(fold)
    if not _any_region(kept):
        raise ConfigError(f"no image of {data} to learn from has a labelled region in {data / 'labels'}")
    if Path(recipe.weights).is_dir():
        recipe = replace(recipe, weights=str(_of_run(Path(recipe.weights), fold, data_set)))
    torch.manual_seed(recipe.seed)
    network = (
        segmentation_network(data_set.classes, recipe.model)
        if reached == "begun"
        else initial_network(recipe.model, recipe.weights, data_set.classes, [_batch(kept[:BATCH], recipe.imgsz)])
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
            initialised_from=_named(recipe.weights),
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

    trainer = Trainer(overrides=_trainer_options(recipe, description, out, whole if resume else None))

    def keep(trainer: Any) -> None:
        whole.parent.mkdir(parents=True, exist_ok=True)
        _replace(whole, Path(trainer.last).read_bytes())

    def spare(trainer: Any) -> None:
        """After the averaged copy of the network is made, which is pickled and shall not know this class."""
        if type(trainer.model.init_criterion()) is v8SegmentationLoss:
            trainer.model.criterion = SparseSegmentationLoss(trainer.model)

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
    if not _any_region(images):
        return {}
    from ultralytics.models.yolo.segment import SegmentationValidator

    description = write_for_ultralytics(out / "segmenter-score", classes, imgsz, train=images, val=images)
    validator = SegmentationValidator(
        args={
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
    )
    network = copy.deepcopy(network).eval()
    cast(Any, network).names = dict(enumerate(classes))
    results = validator(model=network)
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


def write_for_ultralytics(folder: Path, classes: tuple[str, ...], side_px: int, **parts: tuple[LabelledImage, ...]) -> Path:
    """Write the images as the network will see them, their labels and the YAML (in its JSON subset) that ultralytics reads.

    Images are shrunk to `side_px` here, as the edge shrinks them: ultralytics would drop pixels instead of averaging them.
    An image without a label file is one without regions. Returns the YAML's path. Raises ConfigError.
    """
    content: dict[str, Any] = {"path": str(folder.resolve()), "names": list(classes)}
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for cache in folder.glob("*.cache"):  # ultralytics distinguishes label files by their sizes alone
        cache.unlink()
    written: dict[str, Path] = {}
    for part, images in parts.items():
        lines = []
        for image in images:
            stem = image.path.stem
            target = folder / "images" / f"{stem}.png"
            lines.append(f"{target.resolve()}\n")
            if written.get(stem) == image.path:  # in two parts
                continue
            first = written.setdefault(stem, image.path)
            if first != image.path:
                raise ConfigError(f"{image.path} and {first.name} would share {stem}.txt: rename one and its labels")
            _write_shrunk(image.path, target, side_px)
            (folder / "labels" / f"{stem}.txt").write_text(_outlines(_label(image), len(classes)), encoding="utf-8")
        (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")
        content[part] = f"{part}.txt"
    path = folder / "data.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _label(image: LabelledImage) -> Path:
    return image.path.parent.parent / "labels" / f"{image.path.stem}.txt"


def _any_region(images: tuple[LabelledImage, ...]) -> bool:
    return any(_label(image).is_file() and _label(image).read_bytes().strip() for image in images)


def _outlines(label: Path, classes: int) -> str:
    """The text of a label file, "" when there is none. Raises ConfigError.

    ultralytics would leave out an image with a line that it cannot read, and train on the others.
    """
    text = label.read_text(encoding="utf-8-sig") if label.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            values = [-1.0]
        within = all(-0.01 <= value <= 1.01 for value in values[1:])
        whole = len(values) >= FEWEST_FIELDS and len(values) % 2 == 1 and values[0] in range(classes)
        if values and not (within and whole):
            raise ConfigError(
                f"{label}, line {number}: not an outline `class x y x y x y …` of one of {classes} classes, in parts of "
                "the image's sides: edge-train prepare reads more kinds of labels and says all that is wrong"
            )
    return text


def _grey(image: Path) -> Grey:
    """uint8 [H, W] of a file that holds 8 bits. Raises ConfigError."""
    grey = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey is None:
        raise ConfigError(f"cannot decode {image}: let edge-train prepare convert it")
    if grey.dtype != np.uint8:  # OpenCV would keep the upper byte, the edge maps a window to 8 bits
        raise ConfigError(f"{image} holds {grey.dtype}, not 8 bits: let edge-train prepare convert it as the edge does")
    return cast(Grey, grey)


def _write_shrunk(image: Path, target: Path, side_px: int) -> None:
    grey = _grey(image)
    scale = letterbox_scale(grey.shape, side_px)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cast(Grey, cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    target.write_bytes(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _batch(images: tuple[LabelledImage, ...], side_px: int) -> Tensor:
    """float32 [N, 3, side, side] in 0…1."""
    resized = [cv2.resize(_grey(image.path), (side_px, side_px), interpolation=cv2.INTER_AREA) for image in images]
    return torch.from_numpy(np.stack(resized)).float().div(255)[:, None].expand(-1, 3, -1, -1)


def _of_run(run: Path, fold: int | None, data_set: DataSet) -> Path:
    """The weights of an earlier run; of its same fold, which has not seen the images that this one is scored on."""
    weights = run / "segmenter.pt" if fold is None else run / f"fold{fold}" / "segmenter.pt"
    if fold is not None and Checkpoint.load(weights).training.data_sha256 != data_set.sha256:
        raise ConfigError(f"{weights} learnt from another data set than {data_set.folder}, whose folds are others")
    return weights


def _named(weights: str) -> str:
    """What a card says about where training began."""
    if weights in ("none", "coco"):
        return weights
    if weights == "shipped":
        return f"the shipped segmenter {load_card(BUILTIN_FOLDER / 'segmenter.onnx', 'segment').version}"
    path = Path(weights)
    if path.suffix != ".pt":
        return path.name
    earlier = Checkpoint.load(path).training
    return f"{path.name}, {earlier.epochs} epochs from {earlier.initialised_from}"


def initial_network(model: str, weights: str, classes: tuple[str, ...], images: Iterable[Tensor]) -> nn.Module:
    """The architecture `model` for `classes`, initialised from `weights`.

    weights: a .pt file of edge-train or ultralytics, a .safetensors file, an .onnx file of edge-export, or a word. "none":
    at random. "coco": ultralytics' own, downloaded. "shipped": the segmenter of this package, which knows micrographs.
    What depends on the number of classes begins at random where that differs.
    images: float32 [N, 3, H, W] in 0…1, a few batches of what the network will learn from; a file whose BatchNorm is
    folded into its convolutions gets BatchNorm back with statistics measured on them.
    Raises ConfigError for a name that means nothing, ModelError for weights that are missing or of another network.
    """
    if weights == "shipped":
        weights = str(BUILTIN_FOLDER / "segmenter.onnx")
    if weights not in ("none", "coco") and Path(weights).suffix not in (".pt", ".safetensors", ".onnx"):
        raise ConfigError(f"--weights {weights}: allowed are none, coco, shipped, and a .pt, .safetensors or .onnx file")
    network = segmentation_network(classes, model)
    if weights == "none":
        return network
    if weights == "coco":
        from ultralytics import YOLO

        try:
            known = cast(Any, YOLO(f"{model}.pt").model)
        except Exception as error:  # ultralytics raises what its download raises
            raise ModelError(
                f"cannot get the COCO weights {model}.pt ({str(error).splitlines()[0]}): put the file into the working "
                "folder, or name one with --weights"
            ) from error
        cast(Any, network).load(known)
        return network
    if weights.endswith(".pt"):
        checkpoint, fits = Checkpoint.load(Path(weights)), network.state_dict()
        fitting = {
            name: tensor for name, tensor in checkpoint.state.items() if name in fits and fits[name].shape == tensor.shape
        }
        if len(fitting) < len(fits) / 2:
            raise ModelError(f"{weights} is a {checkpoint.architecture}, whose weights do not fit a {model}: see --model")
        network.load_state_dict({**fits, **fitting})
        return network
    from safetensors.torch import load_file

    try:
        folded = folded_weights(Path(weights)) if weights.endswith(".onnx") else load_file(weights)
    except Exception as error:  # safetensors and onnx raise their own and OSError
        raise ModelError(f"cannot read the weights {weights}: {error}") from error
    _restore_batchnorm(network, folded, list(images))
    return network


@torch.no_grad()
def _restore_batchnorm(network: nn.Module, folded: dict[str, Tensor], images: list[Tensor]) -> None:
    """Put folded weights into an unfused network so that it says the same in eval mode and can be trained.

    A BatchNorm with mean and variance 0 and 1 would say the same too, but would change every activation as soon as it
    normalises by a batch. So each convolution's output is measured, in the order of the network, and its BatchNorm
    gets that mean and variance, and the scale and shift that undo them.
    """
    cast(Any, network).float().eval()
    modules = cast(Iterable[tuple[str, Any]], network.named_modules())
    convolutions = {name: module for name, module in modules if hasattr(module, "conv") and hasattr(module, "bn")}
    for name, parameter in [*network.named_parameters(), *network.named_buffers()]:
        stored = folded.get(name)
        if stored is not None and stored.shape == parameter.shape:
            parameter.copy_(stored)

    def measure(name: str, bn: nn.BatchNorm2d) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            mean, variance = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3), unbiased=False)
            cast(Tensor, bn.running_mean).copy_(mean)
            cast(Tensor, bn.running_var).copy_(variance)
            bn.weight.copy_((variance + bn.eps).sqrt())
            bn.bias.copy_(folded[f"{name}.conv.bias"] + mean)

        return hook

    hooks = [
        module.conv.register_forward_hook(measure(name, module.bn))
        for name, module in convolutions.items()
        if f"{name}.conv.bias" in folded and folded[f"{name}.conv.weight"].shape == module.conv.weight.shape
    ]
    if not hooks:
        raise ModelError("none of the weights fit the network")
    network(torch.cat(images))
    for hook in hooks:
        hook.remove()
