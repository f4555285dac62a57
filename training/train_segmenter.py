"""A data set in YOLO-seg layout in, a YOLOv8n-seg checkpoint with its scores out."""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ModelError
from edge.model_card import Training
from export.to_onnx import Checkpoint, segmentation_network
from training.dataset import LabelledImage, open_data_set

BATCH = 16
HELD_OUT = 0.06


def train(data: Path, out: Path, weights: str, epochs: int, imgsz: int, seed: int, command: str) -> Checkpoint:
    """Train on the data set in `data`; write `out/segmenter.pt` and ultralytics' own files below `out/segmenter`.

    weights: see `initial_network`.  imgsz: side of the training images in pixels.  command: what the card will say.
    Raises ModelError and ConfigError.
    """
    from ultralytics.models.yolo.segment import SegmentationTrainer

    data_set = open_data_set(data)
    kept, held_out = data_set.split(HELD_OUT)
    description = _describe(out / "segmenter-data", data_set.classes, train=kept, val=held_out)
    torch.manual_seed(seed)
    network = initial_network(weights, data_set.classes, [_batch(kept[:BATCH], imgsz)])

    class Trainer(SegmentationTrainer):
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            return network

    trainer = Trainer(
        overrides={
            "model": "yolov8n-seg.yaml",
            "data": str(description),
            "epochs": epochs,
            "imgsz": imgsz,
            "batch": BATCH,
            "nbs": BATCH,  # a step per batch: the data set is small
            "seed": seed,
            "device": "0" if torch.cuda.is_available() else "cpu",
            "workers": 1,
            "project": str(out.resolve()),
            "name": "segmenter",
            "exist_ok": True,
            "optimizer": "AdamW",
            "lr0": 1.5e-3 if weights != "none" else 2e-3,
            "lrf": 0.05,
            "cos_lr": True,
            "warmup_epochs": 0.5,
            "hsv_h": 0.0,  # grey has no hue and no saturation
            "hsv_s": 0.0,
            "hsv_v": 0.35,
            "flipud": 0.5,
            "fliplr": 0.5,
            "degrees": 10.0,
            "scale": 0.4,
            "mosaic": 0.5,
            "close_mosaic": max(1, epochs // 4),
            "plots": False,
            "val": False,
        }
    )
    trainer.train()
    best = cast(Any, torch.load(trainer.last, map_location="cpu", weights_only=False))  # our own file of a moment ago
    trained = (best.get("ema") or best["model"]).float()
    checkpoint = Checkpoint(
        task="segment",
        architecture="yolov8n-seg",
        classes=data_set.classes,
        state=trained.state_dict(),
        training=Training(
            data=f"{data.name}: {len(kept)} images trained on, {len(held_out)} held out",
            data_sha256=data_set.sha256,
            initialised_from=weights if weights in ("none", "coco") else Path(weights).name,
            epochs=epochs,
            images=len(kept),
            seed=seed,
            command=command,
        ),
        scores=score(trained, held_out, data_set.classes, out, imgsz, f"held-out images of {data.name}"),
        card={"input_px": 640, "smallest_region_px": 8.0},
    )
    checkpoint.save(out / "segmenter.pt")
    return checkpoint


def score(
    network: nn.Module, images: tuple[LabelledImage, ...], classes: tuple[str, ...], out: Path, imgsz: int, measured_on: str
) -> dict[str, Any]:
    """Box and mask mAP as ultralytics computes them, in the form of a card's scores."""
    from ultralytics.models.yolo.segment import SegmentationValidator

    description = _describe(out / "segmenter-score", classes, train=images, val=images)
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


def _describe(folder: Path, classes: tuple[str, ...], **parts: tuple[LabelledImage, ...]) -> Path:
    """Write lists of images and the YAML (in its JSON subset) that ultralytics reads; returns the YAML's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"path": str(folder.resolve()), "names": list(classes)}
    for part, images in parts.items():
        (folder / f"{part}.txt").write_text("".join(f"{image.path.resolve()}\n" for image in images), encoding="utf-8")
        content[part] = f"{part}.txt"
    path = folder / "data.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _batch(images: tuple[LabelledImage, ...], side_px: int) -> Tensor:
    """float32 [N, 3, side, side] in 0…1."""
    pixels = [cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE) for image in images]
    resized = [cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA) for grey in pixels if grey is not None]
    return torch.from_numpy(np.stack(resized)).float().div(255)[:, None].expand(-1, 3, -1, -1)


def initial_network(weights: str, classes: tuple[str, ...], images: Iterable[Tensor]) -> nn.Module:
    """YOLOv8n-seg for `classes`, initialised from `weights`: "none", "coco" (ultralytics' own) or a .safetensors file.

    images: float32 [N, 3, H, W] in 0…1, a few batches of what the network will learn from; a file whose BatchNorm is
    folded into its convolutions gets BatchNorm back with statistics measured on them. Raises ModelError.
    """
    network = segmentation_network(classes)
    if weights == "none":
        return network
    if weights == "coco":
        from ultralytics import YOLO

        cast(Any, network).load(cast(Any, YOLO("yolov8n-seg.pt").model))
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
        raise ModelError("none of the weights fit YOLOv8n-seg")
    network(torch.cat(images))
    for hook in hooks:
        hook.remove()
