"""Predictions and labels of images with hundreds of small regions in, ultralytics' own training loss out, sooner.

ultralytics assigns regions to anchors for a whole batch at once, padded to its fullest image. It computes every region's
mask loss on the whole image before it crops it to the region's box. On micrographs, where one image has 450 pits and the
next has three, most of that is zeros. Here each image is assigned by itself and the mask loss is computed inside the boxes
alone. The losses and their gradients are the same but for rounding; tests hold them against ultralytics' own.
"""

# torch and ultralytics are Any where they are not installed
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from ultralytics.utils.loss import v8SegmentationLoss
from ultralytics.utils.tal import TaskAlignedAssigner

PIXELS_AT_ONCE = 1 << 18  # of an image's boxes together: bounds the memory


class OneByOneAssigner(TaskAlignedAssigner):
    """The task-aligned assigner, an image at a time and without padding (Feng et al. 2021, as ultralytics has it)."""

    @torch.no_grad()
    def forward(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        **extra: Tensor,
    ) -> Any:
        """The same as the base class: float32 [B, A, …] of predictions, [B, N, …] of labels, `mask_gt` marks the real ones."""
        images = []
        for number in range(len(pd_scores)):
            one = slice(number, number + 1)
            filled = int(mask_gt[number].sum())  # labels of an image stand before the padding
            assigned = super().forward(
                pd_scores[one],
                pd_bboxes[one],
                anc_points,
                gt_labels[one, :filled],
                gt_bboxes[one, :filled],
                mask_gt[one, :filled],
                **{name: value[one] for name, value in extra.items()},
            )
            labels, *rest, index = assigned
            images.append((labels.long(), *rest, index.long()))  # an image without labels has them as floating point
        return tuple(torch.cat(parts) for parts in zip(*images, strict=True))


class SparseSegmentationLoss(v8SegmentationLoss):
    """The loss of YOLOv8's and YOLO11's segmenters, computed where it is not zero."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        made = cast(Any, self).assigner
        self.assigner = OneByOneAssigner(
            topk=made.topk, num_classes=made.num_classes, alpha=made.alpha, beta=made.beta, stride=made.stride, topk2=made.topk2
        )

    def calculate_segmentation_loss(
        self,
        fg_mask: Tensor,
        masks: Tensor,
        target_gt_idx: Tensor,
        target_bboxes: Tensor,
        batch_idx: Tensor,
        proto: Tensor,
        pred_masks: Tensor,
        imgsz: Tensor,
    ) -> Tensor:
        """Mean over the assigned anchors of the binary cross-entropy in their box, divided by the box's share of the image.

        fg_mask, target_gt_idx: [B, A].  masks: [B, h, w], n + 1 where region n lies.  target_bboxes: [B, A, 4] in pixels of
        the image.  proto: float [B, 32, h, w].  pred_masks: float [B, A, 32].  imgsz: height and width of the image.
        """
        if not self.overlap:
            return cast(
                Tensor,
                super().calculate_segmentation_loss(
                    fg_mask, masks, target_gt_idx, target_bboxes, batch_idx, proto, pred_masks, imgsz
                ),
            )
        height, width = proto.shape[-2:]
        relative = target_bboxes / imgsz[[1, 0, 1, 0]]
        shares = (relative[..., 2] - relative[..., 0]) * (relative[..., 3] - relative[..., 1])
        corners = (relative * relative.new_tensor([width, height, width, height])).ceil().long()
        lower = corners[..., :2].clamp_(min=0)
        sides = (torch.minimum(corners[..., 2:], corners.new_tensor([width, height])) - lower).clamp_(min=0)
        total = (proto[:, :, :0].sum() + pred_masks[:, :0].sum()).float()  # zero, and both always have a gradient
        for image in range(len(proto)):
            assigned = fg_mask[image]
            for part in _parts(sides[image][assigned].prod(1)):
                total = total + _inside_boxes(
                    proto[image],
                    pred_masks[image][assigned][part],
                    masks[image],
                    target_gt_idx[image][assigned][part] + 1,
                    lower[image][assigned][part],
                    sides[image][assigned][part],
                    shares[image][assigned][part],
                )
        return total / fg_mask.sum()


def _parts(pixels: Tensor) -> list[slice]:
    """Slices of consecutive boxes that hold about `PIXELS_AT_ONCE` together."""
    if not len(pixels):
        return []
    number = (pixels.cumsum(0) - pixels).div(PIXELS_AT_ONCE, rounding_mode="floor")
    _, counts = number.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0).tolist()
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def _inside_boxes(
    proto: Tensor, coefficients: Tensor, mask: Tensor, numbers: Tensor, lower: Tensor, sides: Tensor, shares: Tensor
) -> Tensor:
    """Sum over N boxes of the cross-entropy inside them, as parts of all pixels and of the box's share."""
    height, width = mask.shape
    pixels = sides.prod(1)
    box = torch.repeat_interleave(torch.arange(len(pixels), device=pixels.device), pixels)
    within = torch.arange(len(box), device=box.device) - (pixels.cumsum(0) - pixels)[box]
    across = sides[box, 0]
    row = lower[box, 1] + within.div(across, rounding_mode="floor")
    where = row * width + lower[box, 0] + within % across
    logits = (proto.flatten(1).T.index_select(0, where) * coefficients.index_select(0, box)).sum(1)
    truth = (mask.flatten()[where] == numbers[box]).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (losses / shares[box]).sum() / (height * width)
