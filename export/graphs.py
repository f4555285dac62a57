"""Trained torch networks in, the graphs that are exported out.

The graphs do what the edge would otherwise have to do outside them: they take uint8, scale it and return small outputs.
Their stem is folded to one channel, which is exact, because the networks learnt on grey copied to three equal channels.
"""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge.errors import ModelError

CANDIDATES = 1024


COARSEST_STRIDE = 32


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


def with_folded_stem(network: nn.Module) -> nn.Module:
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


class BoxDecode(nn.Module):
    """Distances to the four sides as distributions over 0…15 strides in, corners in pixels out (DFL, Li et al. 2020).

    With one bin they are the distances themselves, in strides, as YOLO26 has them.
    A module of its own so that its nodes are named /box_decode/… : pixel coordinates need float32 in an FP16 graph.
    """

    def __init__(self, bins: int = 16) -> None:
        super().__init__()
        self.bins = bins
        self.register_buffer("bin_index", torch.arange(bins, dtype=torch.float32).view(1, 1, bins, 1), persistent=False)
        self.bin_index: Tensor

    def forward(self, sides: Tensor, anchors: Tensor, strides: Tensor) -> Tensor:
        """[N, 4·bins, K], anchors [N, K, 2] and strides [N, K, 1] in pixels → xyxy [N, K, 4] in pixels."""
        if self.bins > 1:
            sides = (sides.unflatten(1, (4, self.bins)).softmax(dim=2) * self.bin_index).sum(dim=2)
        distances = sides.transpose(1, 2) * strides
        left_top, right_bottom = distances[..., :2], distances[..., 2:]
        return torch.cat((anchors - left_top, anchors + right_bottom), dim=-1)


class SegmenterGraph(nn.Module):
    """uint8 [N, 1, H, W] → boxes, scores, classes, coefficients of the best candidates, and prototypes.

    Only the K = min(1024, all) best candidates are decoded; H and W are any multiples of 32. Raises ModelError for a
    network with another head than those of YOLOv8 to YOLO26.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        fused = cast(Any, with_every_candidate(copy.deepcopy(network).eval())).fuse(verbose=False)
        layers = cast(nn.Sequential, cast(Any, with_folded_stem(fused)).model)
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
        boxes = self.box_decode(pick(sides, index), anchors[index], strides[index])
        return (
            boxes,
            top.sigmoid(),
            labels.gather(1, index),
            pick(coefficients, index).transpose(1, 2),
            self._prototypes(levels),
        )

    def _features(self, x: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        for layer in self.body:
            sources = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [x if source == -1 else outputs[source] for source in sources]
            x = layer(inputs[0] if len(inputs) == 1 else inputs)
            outputs.append(x)
        return [outputs[source] for source in self.head.f]

    def _prototypes(self, levels: list[Tensor]) -> Tensor:
        """YOLO26 makes them of all feature maps, the others of the finest."""
        of_all = type(self.head).__name__ == "Segment26"
        return cast(Tensor, self.head.proto(levels if of_all else levels[0]))

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


def with_every_candidate(network: nn.Module) -> nn.Module:
    """The same network, giving all candidates of its grid: the edge itself suppresses those of one region.

    YOLO26 has a second head that picks one box for each region; it is left out, here and of the exported graph.
    Raises ModelError for heads that the edge cannot decode.
    """
    head = cast(Any, network).model[-1]
    kind = type(head).__name__
    if kind not in ("Segment", "Segment26"):
        raise ModelError(f"cannot export a segmenter whose head is {kind}: the edge decodes those of YOLOv8 to YOLO26")
    if getattr(head, "one2one_cv2", None) is not None:
        if head.cv2 is None:
            raise ModelError("cannot export a segmenter that was fused already: name the weights as they were trained")
        head.end2end = False
    if float(max(head.stride)) != COARSEST_STRIDE:
        raise ModelError(
            f"cannot export a segmenter with a stride of {max(head.stride):.0f} px: the edge pads to {COARSEST_STRIDE}"
        )
    return network


def pick(values: Tensor, index: Tensor) -> Tensor:
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
        self.body = cast(Any, with_folded_stem(network).eval())
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
