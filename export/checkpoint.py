"""Weights with the facts that become a card in, a torch network that is as it was trained out, and back.

Stored as plain tensors and values, never as pickled code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from edge.errors import ModelError
from edge.models.card import Calibration, Training

SEGMENTER_NAME = re.compile(r"yolo(v?\d+)[a-z]-seg")


def licence_of(architecture: str) -> str:
    """The licence under which weights of this architecture are, because of the code that they were trained with."""
    if found := SEGMENTER_NAME.fullmatch(architecture):
        return f"AGPL-3.0 (YOLO{found[1]} by Ultralytics)"
    return "Apache-2.0 (architecture: timm)"


@dataclass(frozen=True)
class Checkpoint:
    """Weights and the facts about them that become the card; stored as plain tensors and values, never as pickled code.

    grey_mean, grey_std: of the classifier's training images, 0…1; the segmenter has 0 and 1.
    card: further fields of `ModelCard`, by name (input_px, crop_margin, smallest_region_px …).
    """

    task: Literal["segment", "classify"]
    architecture: str
    classes: tuple[str, ...]
    state: Mapping[str, Tensor]
    training: Training
    scores: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    grey_mean: float = 0.0
    grey_std: float = 1.0
    card: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the checkpoint; `Checkpoint.load` reads it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "schema": "edge.checkpoint/1",
                "task": self.task,
                "architecture": self.architecture,
                "classes": list(self.classes),
                "state": {name: tensor.detach().cpu().contiguous() for name, tensor in self.state.items()},
                "training": self.training.model_dump(),
                "scores": dict(self.scores),
                "calibration": self.calibration.model_dump(mode="json"),
                "grey_mean": self.grey_mean,
                "grey_std": self.grey_std,
                "card": dict(self.card),
            },
            path,
        )

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint of `edge-train`, or a segmenter that ultralytics itself saved. Raises ModelError.

        The latter is a pickle, which can run code when it is opened: give it only files that you trust.
        """
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise ModelError(f"cannot read the weights {path}: {error.strerror or error}") from error
        except Exception:  # torch raises pickle's, zipfile's and its own errors here
            return _from_ultralytics(path)
        if not isinstance(stored, dict) or stored.get("schema") != "edge.checkpoint/1":
            raise ModelError(f"{path} holds weights without the facts that a card needs: train them with edge-train")
        return cls(
            task=stored["task"],
            architecture=stored["architecture"],
            classes=tuple(stored["classes"]),
            state=stored["state"],
            training=Training.model_validate(stored["training"]),
            scores=stored["scores"],
            calibration=Calibration.model_validate(stored["calibration"]),
            grey_mean=stored["grey_mean"],
            grey_std=stored["grey_std"],
            card=stored["card"],
        )

    def network(self) -> nn.Module:
        """The trained network on three equal channels, in eval mode. Raises ModelError."""
        network = (
            segmentation_network(self.classes, self.architecture)
            if self.task == "segment"
            else classification_network(self.architecture, len(self.classes))
        )
        try:
            network.load_state_dict(dict(self.state))
        except RuntimeError as error:
            library = "ultralytics" if self.task == "segment" else "timm"
            raise ModelError(
                f"the weights do not fit {self.architecture} as this version of {library} builds it "
                f"({' '.join(str(error).split())[:160]} …)"
            ) from error
        return network.eval()


def segmentation_network(classes: tuple[str, ...], architecture: str = "yolov8n-seg") -> nn.Module:
    """A segmenter of ultralytics with random weights: yolov8n-seg (Jocher et al. 2023), yolo11n-seg, yolo26s-seg …

    Raises ModelError for a name that ultralytics does not know as a segmenter.
    """
    from ultralytics.nn.tasks import SegmentationModel

    if not SEGMENTER_NAME.fullmatch(architecture):
        raise ModelError(f"{architecture} is not a segmenter's name: write it like yolov8n-seg or yolo11n-seg")
    try:
        network = SegmentationModel(f"{architecture}.yaml", ch=3, nc=len(classes), verbose=False)
    except FileNotFoundError as error:
        raise ModelError(f"this version of ultralytics has no {architecture}") from error
    network.names = dict(enumerate(classes))
    return cast(nn.Module, network)


def classification_network(architecture: str, classes: int, **options: Any) -> nn.Module:
    """A timm network whose head is global average pooling and one linear layer, such as efficientnet_b0 or resnet18."""
    import timm

    return cast(nn.Module, timm.create_model(architecture, num_classes=classes, **options))


def _from_ultralytics(path: Path) -> Checkpoint:
    from ultralytics import YOLO

    try:
        model = YOLO(str(path), task="segment")
        network = cast(Any, model.model).float()
    except Exception as error:
        raise ModelError(f"{path} is neither a checkpoint of edge-train nor one of ultralytics: {error}") from error
    facts = dict(getattr(model, "ckpt", None) or {}).get("train_args", {})
    names = network.names
    data = Path(str(facts.get("data", "unknown")))
    return Checkpoint(
        task="segment",
        architecture=_name_of(network),
        classes=tuple(str(names[index]) for index in sorted(names)),
        state=network.state_dict(),
        training=Training(
            data=str(data.name),
            data_sha256=hashlib.sha256(data.read_bytes()).hexdigest() if data.is_file() else "0" * 64,
            initialised_from=Path(str(facts.get("model", "unknown"))).name,
            epochs=int(facts.get("epochs", 0)),
            images=0,
            seed=int(facts.get("seed", 0)),
            command="ultralytics",
        ),
        card={"input_px": int(facts.get("imgsz", 640))},
    )


def _name_of(network: Any) -> str:
    """ultralytics' name of a network that it has loaded; its file may be called yolov8-seg.yaml, with the size beside it."""
    name, size = Path(str(network.yaml.get("yaml_file", "unknown"))).stem, str(network.yaml.get("scale", ""))
    return name if SEGMENTER_NAME.fullmatch(name) else re.sub(r"(?<=\d)-seg", f"{size}-seg", name)
