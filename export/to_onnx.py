"""A trained checkpoint in, an ONNX file that takes grey 8-bit images, with its card, out.

The only file of `export` that imports torch. The graphs do what the edge would otherwise have to do outside them:
they take uint8, scale it, use a stem folded to one channel (exact, because the networks learnt on grey copied to three
equal channels) and return small outputs.
"""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.errors import ModelError
from edge.models.card import GREY_WINDOW_RULE, Calibration, ModelCard, Training, card_path, load_card

OPSET = 17
CANDIDATES = 1024
COARSEST_STRIDE = 32
PARITY_TOLERANCE = 1e-3

_SEGMENTER_NAME = re.compile(r"yolo(v?\d+)[a-z]-seg")


def licence_of(architecture: str) -> str:
    """The licence under which weights of this architecture are, because of the code that they were trained with."""
    if found := _SEGMENTER_NAME.fullmatch(architecture):
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

    if not _SEGMENTER_NAME.fullmatch(architecture):
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
    return name if _SEGMENTER_NAME.fullmatch(name) else re.sub(r"(?<=\d)-seg", f"{size}-seg", name)


def fold_stem(stem: nn.Conv2d) -> nn.Conv2d:
    """A convolution on one channel that equals `stem` on three equal channels: the sum of its weights over the input."""
    folded = nn.Conv2d(
        1,
        stem.out_channels,
        cast(Any, stem.kernel_size),
        cast(Any, stem.stride),
        cast(Any, stem.padding),
        cast(Any, stem.dilation),
        bias=stem.bias is not None,
        dtype=stem.weight.dtype,
    )
    with torch.no_grad():
        folded.weight.copy_(stem.weight.sum(dim=1, keepdim=True))
        if stem.bias is not None and folded.bias is not None:
            folded.bias.copy_(stem.bias)
    return folded


def _with_folded_stem(network: nn.Module) -> nn.Module:
    """A copy of a segmenter of ultralytics or of a timm network whose first convolution takes one channel."""
    network = copy.deepcopy(network)
    holder, name = next(
        (holder, name)
        for holder in network.modules()
        for name, child in holder.named_children()
        if isinstance(child, nn.Conv2d)
    )
    setattr(holder, name, fold_stem(cast(nn.Conv2d, getattr(holder, name))))
    return network


class TrainedNetwork:
    """A checkpoint's network exactly as it was trained, in the form of `edge.backends.Network`.

    Three equal channels, nothing folded, boxes decoded by ultralytics: what an exported file is measured against.
    """

    name = "torch"
    precision = "float32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._network = cast(Any, checkpoint.network())
        if checkpoint.task == "segment":
            _require_head(self._network.model[-1])
        self._task = checkpoint.task
        self._mean, self._std = checkpoint.grey_mean, checkpoint.grey_std

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The outputs that the exported file has, by name, for uint8 [N, 1, H, W]."""
        with torch.no_grad():
            grey = (torch.from_numpy(image).float() / 255 - self._mean) / self._std
            found = (self._segment if self._task == "segment" else self._classify)(grey.expand(-1, 3, -1, -1))
        return {name: tensor.numpy() for name, tensor in found.items()}

    def close(self) -> None:
        """Free the network."""
        self._network = None

    def __enter__(self) -> TrainedNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _segment(self, grey: Tensor) -> dict[str, Tensor]:
        head = self._network.model[-1]
        (rows, prototypes), _ = self._network(grey)
        centre, size, probabilities, coefficients = rows.split((2, 2, head.nc, head.nm), dim=1)
        scores, labels = probabilities.max(dim=1)
        top, index = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
        return {
            "boxes": _pick(torch.cat((centre - size / 2, centre + size / 2), dim=1), index).transpose(1, 2),
            "scores": top,
            "classes": labels.gather(1, index),
            "coefficients": _pick(coefficients, index).transpose(1, 2),
            "prototypes": prototypes,
        }

    def _classify(self, grey: Tensor) -> dict[str, Tensor]:
        features, stages = self._network.forward_intermediates(grey)
        textures = [
            moment for stage in stages[:TEXTURE_STAGES] for moment in torch.std_mean(stage, dim=(2, 3), correction=0)[::-1]
        ]
        return {
            "logits": self._network(grey),
            "cam": torch.einsum("cd,ndhw->nchw", self._network.get_classifier().weight, features),
            "embedding": torch.cat(textures, dim=1),
        }


def folding_difference(checkpoint: Checkpoint, image: NDArray[np.uint8]) -> float:
    """How far the network with its stem folded to one channel is from the unfolded one on three equal channels.

    The largest difference of any output, relative to that output's largest magnitude, in float64, where rounding hides nothing.
    image: uint8 [N, 1, H, W].
    """
    network = checkpoint.network().double()
    folded = _with_folded_stem(network)
    grey = (torch.from_numpy(image).double() / 255 - checkpoint.grey_mean) / checkpoint.grey_std
    with torch.no_grad():
        pairs = zip(_tensors(network(grey.expand(-1, 3, -1, -1))), _tensors(folded(grey)), strict=True)
        return max(float((one - other).abs().max() / one.abs().max().clamp(min=1e-9)) for one, other in pairs)


def _tensors(output: Any) -> list[Tensor]:
    """The tensors among nested outputs, without the raw ones that ultralytics adds for its loss."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for part in output if not isinstance(part, dict) for tensor in _tensors(part)]


class BoxDecode(nn.Module):
    """Distances to the four sides as distributions over 0…15 strides in, corners in pixels out (DFL, Li et al. 2020).

    A module of its own so that its nodes are named /box_decode/… : pixel coordinates need float32 in an FP16 graph.
    """

    def __init__(self, bins: int = 16) -> None:
        super().__init__()
        self.bins = bins
        self.register_buffer("bin_index", torch.arange(bins, dtype=torch.float32).view(1, 1, bins, 1), persistent=False)
        self.bin_index: Tensor

    def forward(self, sides: Tensor, anchors: Tensor, strides: Tensor) -> Tensor:
        """[N, 4·bins, K], anchors [N, K, 2] and strides [N, K, 1] in pixels → xyxy [N, K, 4] in pixels."""
        distances = (sides.unflatten(1, (4, self.bins)).softmax(dim=2) * self.bin_index).sum(dim=2).transpose(1, 2) * strides
        left_top, right_bottom = distances[..., :2], distances[..., 2:]
        return torch.cat((anchors - left_top, anchors + right_bottom), dim=-1)


class SegmenterGraph(nn.Module):
    """uint8 [N, 1, H, W] → boxes, scores, classes, coefficients of the best candidates, and prototypes.

    Only the K = min(1024, all) best candidates are decoded; H and W are any multiples of 32. Raises ModelError for a
    network with another head than YOLOv8's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        _require_head(cast(Any, network).model[-1])
        fused = cast(Any, copy.deepcopy(network).eval()).fuse(verbose=False)
        layers = cast(nn.Sequential, cast(Any, _with_folded_stem(fused)).model)
        self.body = layers[:-1]
        self.head = cast(Any, layers[-1])
        self.strides = [float(stride) for stride in self.head.stride]
        self.box_decode = BoxDecode(self.head.reg_max)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Boxes [N,K,4], scores [N,K], classes [N,K], coefficients [N,K,32], prototypes [N,32,H/4,W/4]."""
        levels = self._features(image.float() / 255.0)
        head = self.head
        sides = torch.cat([branch(level).flatten(2) for branch, level in zip(head.cv2, levels, strict=True)], dim=2)
        logits = torch.cat([branch(level).flatten(2) for branch, level in zip(head.cv3, levels, strict=True)], dim=2)
        coefficients = torch.cat([branch(level).flatten(2) for branch, level in zip(head.cv4, levels, strict=True)], dim=2)
        anchors, strides = self._anchors(levels)

        best, labels = logits.max(dim=1)
        # a shape is a tensor while the graph is traced, and an integer otherwise
        count = torch.as_tensor(best.shape[1]).clamp(max=CANDIDATES)
        top, index = best.topk(cast(int, count), dim=1)
        boxes = self.box_decode(_pick(sides, index), anchors[index], strides[index])
        return boxes, top.sigmoid(), labels.gather(1, index), _pick(coefficients, index).transpose(1, 2), head.proto(levels[0])

    def _features(self, x: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        for layer in self.body:
            sources = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [x if source == -1 else outputs[source] for source in sources]
            x = layer(inputs[0] if len(inputs) == 1 else inputs)
            outputs.append(x)
        return [outputs[source] for source in self.head.f]

    def _anchors(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Centres [A, 2] and strides [A, 1] of all candidates in pixels, from the feature maps' own shapes."""
        centres, strides = [], []
        for level, stride in zip(levels, self.strides, strict=True):
            height, width = level.shape[2], level.shape[3]
            y = (torch.arange(height, dtype=torch.float32, device=level.device) + 0.5).view(-1, 1).expand(height, width)
            x = (torch.arange(width, dtype=torch.float32, device=level.device) + 0.5).view(1, -1).expand(height, width)
            centre = torch.stack((x.flatten(), y.flatten()), dim=1) * stride
            centres.append(centre)
            strides.append(torch.full_like(centre[:, :1], stride))
        return torch.cat(centres), torch.cat(strides)


def _require_head(head: Any) -> None:
    """The graph repeats what the head of YOLOv8 does; YOLO11 and others have the same one."""
    kind = type(head).__name__
    if kind != "Segment" or getattr(head, "one2one_cv2", None) is not None:
        raise ModelError(
            f"cannot export a segmenter whose head is {kind} of the end-to-end kind: it chooses one box for each region "
            "itself and gives no distribution of its sides, while the edge decodes the head of YOLOv8 and YOLO11; "
            "train one of these"
        )
    if float(max(head.stride)) != COARSEST_STRIDE:
        raise ModelError(
            f"cannot export a segmenter with a stride of {max(head.stride):.0f} px: the edge pads to {COARSEST_STRIDE}"
        )


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Columns `index` [N, K] of `values` [N, C, A]."""
    return values.gather(2, index.unsqueeze(1).expand(-1, values.shape[1], -1))


TEXTURE_STAGES = 3


class ClassifierGraph(nn.Module):
    """uint8 [N, 1, 224, 224] → logits [N, C], cam [N, C, h, w], embedding [N, D].

    cam is the class-weighted sum of the last feature maps, without bias: exact Grad-CAM for a head of global average
    pooling and one linear layer (Selvaraju et al. 2017, section 3.1). Its mean over positions plus the bias is logits.
    embedding holds the mean and the standard deviation over positions of every channel of the first `TEXTURE_STAGES`
    stages. The last layer's features would be of no use for telling foreign images: a trained head maps noise, too, to
    where its classes are.
    """

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.body = cast(Any, _with_folded_stem(network).eval())
        head = self.body.get_classifier()
        if not isinstance(head, nn.Linear):
            raise ModelError("the classifier's head must be one linear layer after global average pooling")
        self.position_scores = nn.Conv2d(head.in_features, head.out_features, 1, bias=False)
        with torch.no_grad():
            self.position_scores.weight.copy_(head.weight[:, :, None, None])
        self.register_buffer("bias", head.bias.detach().clone())
        self.bias: Tensor
        self.mean, self.std = mean, std

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        features, stages = self.body.forward_intermediates((image.float() / 255.0 - self.mean) / self.std)
        cam = self.position_scores(features)
        textures = stages[:TEXTURE_STAGES]
        parts = [part for stage in textures for part in (stage.mean(dim=(2, 3)), stage.std(dim=(2, 3), correction=0))]
        return cam.mean(dim=(2, 3)) + self.bias, cam, torch.cat(parts, dim=1)


SEGMENTER_OUTPUTS = ("boxes", "scores", "classes", "coefficients", "prototypes")
CLASSIFIER_OUTPUTS = ("logits", "cam", "embedding")


def export_segmenter(checkpoint: Checkpoint, folder: Path, name: str = "segmenter", version: str = "0.1.0") -> Path:
    """Write `folder/name.onnx` and its card; returns the model's path. Raises ModelError, also when onnxruntime disagrees."""
    graph = SegmenterGraph(checkpoint.network())
    # 96 × 160 has 315 candidates, fewer than K: the branch of the minimum that a constant would get wrong
    examples = [_noise(1, 96, 160), _noise(2, 416, 352)]
    axes = {
        "image": {0: "N", 2: "H", 3: "W"},
        "prototypes": {0: "N", 2: "H4", 3: "W4"},
        **{output: {0: "N", 1: "K"} for output in SEGMENTER_OUTPUTS[:4]},
    }
    path = folder / f"{name}.onnx"
    _write(graph, examples[1], path, SEGMENTER_OUTPUTS, axes)
    _require_parity(graph, path, examples, SEGMENTER_OUTPUTS)
    defaults = {"input_px": 640, "tile_above_px": 1024, "tile_overlap_px": 96}
    _write_card(checkpoint, path, name, version, defaults)
    return path


def export_classifier(checkpoint: Checkpoint, folder: Path, name: str = "classifier", version: str = "0.1.0") -> Path:
    """Write `folder/name.onnx` and its card; returns the model's path. Raises ModelError, also when onnxruntime disagrees."""
    graph = ClassifierGraph(checkpoint.network(), checkpoint.grey_mean, checkpoint.grey_std)
    examples = [_noise(1, 224, 224), _noise(3, 224, 224)]
    axes = {"image": {0: "N"}, **{output: {0: "N"} for output in CLASSIFIER_OUTPUTS}}
    path = folder / f"{name}.onnx"
    _write(graph, examples[0], path, CLASSIFIER_OUTPUTS, axes)
    _require_parity(graph, path, examples, CLASSIFIER_OUTPUTS)
    _write_card(checkpoint, path, name, version, {"input_px": 224, "crop_margin": 0.25})
    return path


def folded_weights(model: Path) -> dict[str, Tensor]:
    """The weights of an exported segmenter by their names in ultralytics; each BatchNorm is folded into its convolution.

    The stem's one channel becomes three of a third. Raises ModelError.
    """
    import onnx
    from onnx import numpy_helper

    card = load_card(model, "segment")
    head = len(cast(Any, segmentation_network(card.classes, card.architecture)).model) - 1
    weights: dict[str, Tensor] = {}
    for tensor in onnx.load(model).graph.initializer:
        part, dot, rest = tensor.name.partition(".")
        name = {"body": f"model.{rest}", "head": f"model.{head}.{rest}"}.get(part, tensor.name) if dot else tensor.name
        weights[name] = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    stem = "model.0.conv.weight"
    weights[stem] = weights[stem].expand(-1, 3, -1, -1) / 3
    return weights


def _noise(n: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 1, height, width), dtype=np.uint8))


def _write(graph: nn.Module, example: Tensor, path: Path, outputs: tuple[str, ...], axes: dict[str, dict[int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            graph.eval(),
            (example,),
            str(path),
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the tracing exporter needs no further package and writes IR 8, which onnxruntime 1.18 reads
        )


def _require_parity(graph: nn.Module, path: Path, examples: list[Tensor], outputs: tuple[str, ...]) -> None:
    """Refuse a file that does not say what torch says."""
    for example in examples:
        with torch.no_grad():
            expected = dict(zip(outputs, (tensor.numpy() for tensor in graph(example)), strict=True))
        drift = largest_drift(expected, run_onnx(path, example.numpy()))
        if drift > PARITY_TOLERANCE:
            path.unlink()
            raise ModelError(f"{path.name} drifted by {drift:.2g} from the torch network: not written")


def run_onnx(path: Path, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """All outputs of an ONNX model by name, on onnxruntime's CPU provider."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def largest_drift(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference between two sets of outputs, each relative to its largest magnitude (at least 1).

    Nearly equal scores may change places in a TopK, or one may fall out of it: so each expected candidate is compared
    with the found one that is most like it, and those at the very end of the ranking are left out.
    """
    if any(values.shape != found[name].shape for name, values in expected.items()):
        return float("inf")
    if "boxes" in expected:
        images = range(len(expected["boxes"]))
        return max(_drift(*_matched(expected, found, image)) for image in images)
    return _drift(expected, found)


def match_candidates(
    expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], least_score: float = 0.0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which candidates of one image's `expected` count, and the one of `found` that is most like each of them.

    Those below `least_score` do not count, nor those at the very end of a full ranking. Likeness is that of boxes and
    coefficients, because nearly equal scores may change places.
    """
    scores = expected["scores"]
    last = float(scores.min()) + 1e-4 if len(scores) == CANDIDATES else 0.0
    counted = np.flatnonzero((scores >= least_score) & (scores >= last))
    left, right = (np.hstack((side["boxes"], side["coefficients"])).astype(np.float64) for side in (expected, found))
    left = left[counted]
    distance = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2 * left @ right.T
    return counted, distance.argmin(axis=1)


def _matched(
    expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], image: int
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    one = {name: values[image] for name, values in expected.items()}
    other = {name: values[image] for name, values in found.items()}
    here, there = match_candidates(one, other)
    return (
        {name: values if name == "prototypes" else values[here] for name, values in one.items()},
        {name: values if name == "prototypes" else values[there] for name, values in other.items()},
    )


def _drift(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    worst = 0.0
    for name, values in expected.items():
        scale = max(1.0, float(np.abs(values).max(initial=0.0)))
        worst = max(worst, float(np.abs(values.astype(np.float64) - found[name]).max(initial=0.0)) / scale)
    return worst


def _write_card(checkpoint: Checkpoint, path: Path, name: str, version: str, defaults: Mapping[str, Any]) -> None:
    card = ModelCard(
        schema="edge.model/1",
        task=checkpoint.task,
        name=name,
        version=version,
        architecture=checkpoint.architecture,
        classes=checkpoint.classes,
        grey_window=GREY_WINDOW_RULE,
        calibration=checkpoint.calibration,
        training=checkpoint.training,
        scores=dict(checkpoint.scores),
        licence=licence_of(checkpoint.architecture),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        **{**defaults, **checkpoint.card},
    )
    text = card.model_dump_json(by_alias=True, indent=1)
    # a row of numbers stays on one line: the domain statistics have tens of thousands of them
    text = re.sub(r"\[[\d\s.,eE+-]+\]", lambda row: "[" + " ".join(row[0][1:-1].split()) + "]", text)
    card_path(path).write_text(text + "\n", encoding="utf-8")
