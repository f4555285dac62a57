"""A data set in YOLO-seg layout in, a YOLOv8n-seg checkpoint with its scores out."""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError, ModelError
from edge.model_card import Training
from edge.segment import letterbox_scale
from export.to_onnx import Checkpoint, segmentation_network
from training.dataset import LabelledImage, open_data_set

BATCH = 16
HELD_OUT = 0.06


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, beside the data, how a segmenter is trained.

    model: ultralytics' name of an architecture: yolov8n-seg, yolov8s-seg, yolo11n-seg, yolo26n-seg …
    weights: where training begins, see `initial_network`.  imgsz: side of the training images in pixels.
    """

    model: str = "yolov8n-seg"
    weights: str = "coco"
    epochs: int = 50
    imgsz: int = 640
    seed: int = 0


PRESETS = {
    "paper": {"epochs": 200, "imgsz": 640},  # section 3.2: for a GPU
    "short": {"epochs": 30, "imgsz": 320},  # for two cores: about two hours for four folds of 117 images
}


def train(data: Path, out: Path, recipe: Recipe, command: str, fold: int | None = None, *, resume: bool = False) -> Checkpoint:
    """Train on the data set in `data`; write `out/segmenter.pt` and ultralytics' own files below `out/segmenter`.

    command: what the card will say.  fold: learn from the other folds of a prepared data set and score on this one.
    resume: go on after the last whole epoch of a run that was cut off; its own recipe counts. Raises ModelError and
    ConfigError.
    """
    from ultralytics.models.yolo.segment import SegmentationTrainer

    data_set = open_data_set(data)
    kept, held_out = data_set.split(HELD_OUT) if fold is None else data_set.fold(fold)
    last = out / "segmenter" / "weights" / "last.pt"
    if resume and not last.is_file():
        raise ConfigError(f"nothing to resume: there is no {last}")
    description = _describe(out / "segmenter-data", data_set.classes, recipe.imgsz, train=kept, val=held_out)
    torch.manual_seed(recipe.seed)
    network = (
        segmentation_network(data_set.classes, recipe.model)
        if resume
        else initial_network(recipe.model, recipe.weights, data_set.classes, [_batch(kept[:BATCH], recipe.imgsz)])
    )

    class Trainer(SegmentationTrainer):
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            if weights is not None:  # of the run that is resumed
                network.load_state_dict(weights.float().state_dict())
            return network.to(memory_format=torch.channels_last)  # 1.6 times as fast on two cores, and the same numbers

        def preprocess_batch(self, batch: Any) -> Any:
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            return batch

    trainer = Trainer(
        overrides={
            "model": str(last) if resume else f"{recipe.model}.yaml",
            "resume": str(last) if resume else False,
            "data": str(description),
            "epochs": recipe.epochs,
            "imgsz": recipe.imgsz,
            "batch": BATCH,
            "nbs": BATCH,  # a step per batch: the data set is small
            "seed": recipe.seed,
            "device": "0" if torch.cuda.is_available() else "cpu",
            "workers": 1,
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
    )
    try:
        trainer.train()
    except AssertionError as error:  # how ultralytics says that all epochs are done
        raise ConfigError(f"{last} cannot be resumed: {error}") from error
    best = cast(Any, torch.load(trainer.last, map_location="cpu", weights_only=False))  # our own file of a moment ago
    trained = (best.get("ema") or best["model"]).float()
    what = f"held-out images of {data.name}" if fold is None else f"fold {fold} of {data.name}"
    checkpoint = Checkpoint(
        task="segment",
        architecture=recipe.model,
        classes=data_set.classes,
        state=trained.state_dict(),
        training=Training(
            data=f"{data.name}: {len(kept)} images trained on, {len(held_out)} held out",
            data_sha256=data_set.sha256,
            initialised_from=recipe.weights if recipe.weights in ("none", "coco") else Path(recipe.weights).name,
            epochs=recipe.epochs,
            images=len(kept),
            seed=recipe.seed,
            command=command,
        ),
        scores=score(trained, held_out, data_set.classes, out, recipe.imgsz, what),
        card={"input_px": 640, "smallest_region_px": 8.0},
    )
    checkpoint.save(out / "segmenter.pt")
    return checkpoint


def score(
    network: nn.Module, images: tuple[LabelledImage, ...], classes: tuple[str, ...], out: Path, imgsz: int, measured_on: str
) -> dict[str, Any]:
    """Box and mask mAP as ultralytics computes them, in the form of a card's scores."""
    from ultralytics.models.yolo.segment import SegmentationValidator

    description = _describe(out / "segmenter-score", classes, imgsz, train=images, val=images)
    validator = SegmentationValidator(
        args={
            "data": str(description),
            "imgsz": imgsz,
            "batch": BATCH,
            "device": "cpu",
            "workers": 1,
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


def _describe(folder: Path, classes: tuple[str, ...], side_px: int, **parts: tuple[LabelledImage, ...]) -> Path:
    """Write the images as the network will see them, their labels and the YAML (in its JSON subset) that ultralytics reads.

    Images are shrunk to `side_px` here, as the edge shrinks them: ultralytics would drop pixels instead of averaging them.
    Returns the YAML's path.
    """
    content: dict[str, Any] = {"path": str(folder.resolve()), "names": list(classes)}
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    written: set[Path] = set()
    for part, images in parts.items():
        lines = []
        for image in images:
            target = folder / "images" / f"{image.path.stem}.png"
            lines.append(f"{target.resolve()}\n")
            if target in written:
                continue
            written.add(target)
            _write_shrunk(image.path, target, side_px)
            label = image.path.parent.parent / "labels" / f"{image.path.stem}.txt"
            text = label.read_bytes() if label.is_file() else b""
            (folder / "labels" / f"{image.path.stem}.txt").write_bytes(text)
        (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")
        content[part] = f"{part}.txt"
    path = folder / "data.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _write_shrunk(image: Path, target: Path, side_px: int) -> None:
    grey = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ConfigError(f"cannot decode {image}: let edge-train prepare convert it")
    scale = letterbox_scale(grey.shape, side_px)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    target.write_bytes(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _batch(images: tuple[LabelledImage, ...], side_px: int) -> Tensor:
    """float32 [N, 3, side, side] in 0…1."""
    pixels = [cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE) for image in images]
    resized = [cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA) for grey in pixels if grey is not None]
    return torch.from_numpy(np.stack(resized)).float().div(255)[:, None].expand(-1, 3, -1, -1)


def initial_network(model: str, weights: str, classes: tuple[str, ...], images: Iterable[Tensor]) -> nn.Module:
    """The architecture `model` for `classes`, initialised from `weights`.

    weights: "none", "coco" (ultralytics' own, downloaded), a .pt file of edge-train or ultralytics, or a .safetensors file.
    images: float32 [N, 3, H, W] in 0…1, a few batches of what the network will learn from; a file whose BatchNorm is
    folded into its convolutions gets BatchNorm back with statistics measured on them. Raises ModelError.
    """
    network = segmentation_network(classes, model)
    if weights == "none":
        return network
    if weights == "coco":
        from ultralytics import YOLO

        cast(Any, network).load(cast(Any, YOLO(f"{model}.pt").model))
        return network
    if weights.endswith(".pt"):
        known, fits = Checkpoint.load(Path(weights)).state, network.state_dict()
        fitting = {name: tensor for name, tensor in known.items() if name in fits and fits[name].shape == tensor.shape}
        if len(fitting) < len(fits) / 2:
            raise ModelError(f"{weights} holds another network than {model}")
        network.load_state_dict({**fits, **fitting})
        return network
    from safetensors.torch import load_file

    try:
        folded = load_file(weights)
    except Exception as error:  # safetensors raises its own and OSError
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
