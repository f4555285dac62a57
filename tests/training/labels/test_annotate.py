"""Annotation finds what was planted, and beats a plain threshold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.records import SEVERITIES, Grey, Regions
from tests.training.labels.planted import SIZE, pits
from training.draw.synthetic import render
from training.labels.annotate import annotate
from training.labels.compare import Agreement, compare
from training.labels.image_labels import LabelImage
from training.labels.rules import Rules


@pytest.mark.parametrize("contrast", [-70.0, 60.0])
def test_planted_discs_are_found_each_with_its_outline(contrast: float) -> None:
    grey, truth = pits(contrast)
    agreement = compare(annotate(grey).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)
    assert agreement.pixel_iou > 0.75


def test_labels_are_int32_of_the_images_shape_and_numbered_without_gaps() -> None:
    labels = annotate(pits()[0]).labels
    assert labels.dtype == np.int32
    assert labels.shape == (SIZE[1], SIZE[0])
    assert np.unique(labels).tolist() == list(range(7))


def test_the_same_image_gives_the_same_labels() -> None:
    grey, _ = pits()
    np.testing.assert_array_equal(annotate(grey).labels, annotate(grey).labels)


@pytest.mark.parametrize("size", [(3, 3), (1, 40), (40, 1), (9, 200)])
def test_tiny_images_are_no_trouble(size: tuple[int, int]) -> None:
    assert annotate(np.zeros(size, np.uint8)).labels.shape == size


def plain_threshold(grey: Grey) -> LabelImage:
    """The rival: Otsu on the blurred image, the smaller side of it, components of at least the same size."""
    blurred = cv2.GaussianBlur(grey, (0, 0), 2)
    _, binary = cv2.threshold(blurred, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if binary.mean() > 0.5:
        binary = 1 - binary
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    labels = np.zeros(grey.shape, np.int32)
    kept = 0
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= np.pi / 4 * Rules().min_diameter_px ** 2:
            kept += 1
            labels[numbers == number] = kept
    return labels


def numbered(regions: Regions, shape: tuple[int, int]) -> LabelImage:
    labels = np.zeros(shape, np.int32)
    for number, ((x, y, width, height), mask) in enumerate(zip(regions.boxes_px, regions.masks, strict=True), start=1):
        labels[y : y + height, x : x + width][mask] = number
    return labels


def test_the_plain_threshold_is_beaten_on_forty_drawn_scenes() -> None:
    ours, rival = Agreement(), Agreement()
    scores: list[tuple[float, float]] = []
    for index in range(40):
        scene = render(7100 + index, SIZE, SEVERITIES[index % 3])
        truth = numbered(scene.regions, scene.grey.shape)
        annotation = annotate(scene.grey)
        agreement = compare(annotation.labels, truth)
        ours, rival = ours + agreement, rival + compare(plain_threshold(scene.grey), truth)
        scores.append((annotation.trust.score, agreement.pixel_iou))
    print(f"ours F1 {ours.f1:.3f} pixel IoU {ours.pixel_iou:.3f}; rival F1 {rival.f1:.3f} pixel IoU {rival.pixel_iou:.3f}")
    assert ours.f1 > 1.5 * rival.f1
    assert ours.pixel_iou > 1.5 * rival.pixel_iou
    scores.sort()
    worse, better = (float(np.mean([iou for _, iou in half])) for half in (scores[:20], scores[20:]))
    print(f"mean pixel IoU of the half with the lower scores {worse:.3f}, of the other half {better:.3f}")
    assert worse < better
