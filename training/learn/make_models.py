"""The generator and two files of initial weights in, the two shipped models with their cards out: `make models`.

Every number that decides what the models become stands here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.backends.table import open_network
from edge.errors import EdgeError
from edge.inspection.segment import Segmenter
from edge.models.card import load_card
from edge.records import SEVERITIES
from training.data.dataset import open_data_set
from training.draw.relief import render_relief
from training.draw.synthetic import render, write_data_set
from training.score.region_scores import score_regions

if TYPE_CHECKING:
    from torch import Tensor

    from export.checkpoint import Checkpoint

SEGMENTER_SIDE_PX = 416
PAINTED_ROUNDS = (  # images, first seed, epochs: new images in each round
    (1400, 100_000, 10),
    (1400, 102_000, 5),
    (2000, 104_000, 12),
)
TRAINED_PART = 0.75  # of the weights after a mixed round; the rest are those before it, which keep what they knew
MIXED_ROUNDS = (  # the same of both generators, squares of real images, one painted image of so many
    (4200, 800_000, 2, 800, 4),
    (5600, 900_000, 2, 900, 3),
)
CLASSIFIER_SIZE_PX = (448, 336)
CLASSIFIER_ROUNDS = (  # images, first seed, epochs of the new head alone, epochs, part of these on small images, area's weight
    (2400, 200_000, 20, 4, 0.75, 0.0),
    (1600, 205_000, 0, 3, 0.0, 0.0),
    (3000, 207_000, 0, 12, 0.8, 1.0),
)
CALIBRATION_FIELDS, CALIBRATION_SEED = 1500, 400_000
COVERAGE_FIELDS, COVERAGE_SEED = 2000, 410_000
SURFACES, SURFACE_SIZE_PX, SURFACE_SEED = 200, (960, 720), 420_000
REGION_SCENES, REGION_SEED = 60, 430_000
TEST_IMAGES, TEST_SIZE_PX, TEST_SEED = 150, (640, 480), 300_000
RELIEF_TEST_SEED = 310_000
SEED = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Train, score and export both models; 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m training.learn.make_models",
        description="Train and export the shipped models again, from the generator and initial weights alone.",
        epilog="example: python -m training.learn.make_models --weights yolov8n-seg.safetensors "
        "--classifier-weights efficientnet-lite0.pth --out edge/models/files",
    )
    parser.add_argument(
        "--weights", default="coco", metavar="FILE|coco|shipped|none", help="where the segmenter begins (%(default)s)"
    )
    parser.add_argument(
        "--classifier-weights",
        default="imagenet",
        metavar="FILE|imagenet|none",
        help="where the classifier begins (%(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("edge/models/files"), metavar="DIR", help="folder of the models (%(default)s)"
    )
    parser.add_argument(
        "--real",
        type=Path,
        metavar="DIR",
        help="real images to learn from besides: superalloy/ and nanocomposite/ with NAME_mask.png beside each image",
    )
    parser.add_argument(
        "--oxide", type=Path, metavar="DIR", help="with --real: images/ of oxide sections, foreign to corroded metal"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/models"), metavar="DIR", help="data and weights (%(default)s)")
    parser.add_argument("--model-version", default="0.6.1", metavar="V", help="version written into the cards (%(default)s)")
    arguments = parser.parse_args(argv)
    try:
        make_segmenter(arguments.weights, arguments.work, arguments.out, arguments.model_version, arguments.real)
        make_classifier(arguments.classifier_weights, arguments.work, arguments.out, arguments.model_version)
        if arguments.real:
            make_fits(arguments.work, arguments.out, arguments.model_version, arguments.real, arguments.oxide)
        else:
            print("no fits of abstaining, severity by measures and intervals: they need other materials, see --real")
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_segmenter(weights: str, work: Path, out: Path, version: str, real: Path | None = None) -> Path:
    """Train YOLOv8n-seg, score it, export it; returns the model's path.

    weights: where the painted rounds begin; "shipped" has them behind it.  real: a folder with real images and masks.
    """
    from training.learn import segmenter as train_segmenter
    from training.learn.segmenter_mix import write_mixture
    from training.learn.segmenter_weights import averaged

    command = f"python -m training.learn.make_models --weights {Path(weights).name}" + (" --real DIR" if real else "")

    def learn(data: Path, epochs: int) -> Checkpoint:
        nonlocal weights
        recipe = train_segmenter.Recipe(weights=weights, epochs=epochs, imgsz=SEGMENTER_SIDE_PX, seed=SEED)
        results = work / f"segmenter-{data.name}"
        checkpoint = train_segmenter.train(data, results, recipe, command)
        weights = str(results / "segmenter.pt")
        return checkpoint

    if weights != "shipped":
        for number, (images, first_seed, epochs) in enumerate(PAINTED_ROUNDS, start=1):
            data = work / f"painted-{number}"
            write_data_set(data, images, first_seed, (SEGMENTER_SIDE_PX, SEGMENTER_SIDE_PX))
            learn(data, epochs)
    for number, (images, first_seed, epochs, squares, painted_every) in enumerate(MIXED_ROUNDS, start=1):
        data, before = work / f"mixed-{number}", weights
        write_mixture(data, images, first_seed, SEGMENTER_SIDE_PX, real, squares, painted_every)
        checkpoint = learn(data, epochs)
        checkpoint = replace(checkpoint, state=averaged(_begun(before, checkpoint, data), checkpoint.state, TRAINED_PART))
        weights = str(work / f"averaged-{number}.pt")
        checkpoint.save(Path(weights))
    return publish_segmenter(checkpoint, work, out, version)


def _begun(weights: str, checkpoint: Checkpoint, data: Path) -> dict[str, Tensor]:
    """The weights with which a round on `data` began, BatchNorm restored on the same images."""
    from training.learn.segmenter import HELD_OUT
    from training.learn.segmenter_data import BATCH, stack_images
    from training.learn.segmenter_weights import initial_network

    kept, _ = open_data_set(data).split(HELD_OUT)
    images = [stack_images(kept[:BATCH], SEGMENTER_SIDE_PX)]
    network = initial_network(checkpoint.architecture, weights, checkpoint.classes, images)
    return dict(network.state_dict())


def publish_segmenter(checkpoint: Checkpoint, work: Path, out: Path, version: str) -> Path:
    """Export, and put into the card what the network and the exported file reach on images of other seeds and sizes."""
    from export.to_onnx import export_segmenter
    from training.learn import segmenter as train_segmenter

    test, size = work / "synthetic-test", f"{TEST_SIZE_PX[0]} × {TEST_SIZE_PX[1]} px"
    write_data_set(test, TEST_IMAGES, TEST_SEED, TEST_SIZE_PX)
    drawn = f"{TEST_IMAGES} synthetic images of {size}, seeds from {TEST_SEED}"
    images = open_data_set(test).images
    scores = train_segmenter.score(checkpoint.network(), images, checkpoint.classes, work, max(TEST_SIZE_PX), drawn)
    path = export_segmenter(checkpoint, out, version=version)
    scenes = (render(TEST_SEED + index, TEST_SIZE_PX, SEVERITIES[index % len(SEVERITIES)]) for index in range(TEST_IMAGES))
    reliefs = (render_relief(RELIEF_TEST_SEED + index, TEST_SIZE_PX) for index in range(TEST_IMAGES))
    with open_network("onnxruntime", path) as network:
        segmenter = Segmenter(network, load_card(path, "segment"), confidence=0.3, iou=0.7)
        found, of_reliefs = score_regions(segmenter, scenes), score_regions(segmenter, reliefs)
    by_physics = of_reliefs.card(f"{TEST_IMAGES} relief images of {size}, seeds from {RELIEF_TEST_SEED}")
    scored = replace(
        checkpoint,
        scores={**scores, **found.card(drawn), **{f"relief_{name}": value for name, value in by_physics.items()}},
        card={**checkpoint.card, "smallest_region_px": found.smallest_resolved_px()},
    )
    return export_segmenter(scored, out, version=version)


def make_classifier(weights: str, work: Path, out: Path, version: str) -> Path:
    """Train EfficientNet-B0, calibrate and score it on fields drawn for that alone, export it; returns the model's path."""
    from training.learn import classifier as train_classifier
    from training.learn.classifier_recipe import Recipe

    command = f"python -m training.learn.make_models --classifier-weights {Path(weights).name}"
    for number, (images, first_seed, head_epochs, epochs, small_part, area) in enumerate(CLASSIFIER_ROUNDS, start=1):
        data, results = work / f"synthetic-classify-{number}", work / f"classifier-{number}"
        write_data_set(data, images, first_seed, CLASSIFIER_SIZE_PX)
        recipe = Recipe(
            weights=weights,
            head_epochs=head_epochs,
            epochs=epochs,
            small_part=small_part,
            crops_part=0.15,
            area_weight=area,
            seed=SEED,
        )
        checkpoint = train_classifier.train(data, results, recipe, command)
        weights = str(results / "classifier.pt")
    return publish_classifier(checkpoint, out, version)


def publish_classifier(checkpoint: Checkpoint, out: Path, version: str) -> Path:
    """Calibrate on drawn fields, put into the card what other drawn fields, surfaces and regions show, export."""
    from export.to_onnx import export_classifier
    from training.learn.calibration import drawn_fields, graph_of, recalibrated, score
    from training.score.score_views import Surface, magnification_agreement, score_region_verdicts

    checkpoint = recalibrated(checkpoint, *drawn_fields(CALIBRATION_SEED, CALIBRATION_FIELDS, CLASSIFIER_SIZE_PX))
    graph, calibration = graph_of(checkpoint), checkpoint.calibration
    drawn = "drawn fields, seeds from"
    surfaces = (Surface.of(render(SURFACE_SEED + index, SURFACE_SIZE_PX)) for index in range(SURFACES))
    scenes = [render(REGION_SEED + index) for index in range(REGION_SCENES)]
    fields = drawn_fields(COVERAGE_SEED, COVERAGE_FIELDS, CLASSIFIER_SIZE_PX)
    scores = {
        **score(graph, calibration, *fields, f"{COVERAGE_FIELDS} {drawn} {COVERAGE_SEED}"),
        **magnification_agreement(graph, calibration, surfaces, f"{SURFACES} {drawn} {SURFACE_SEED}"),
        **score_region_verdicts(graph, calibration, scenes, f"{REGION_SCENES} {drawn} {REGION_SEED}"),
    }
    return export_classifier(replace(checkpoint, scores=scores), out, version=version)


def make_fits(work: Path, out: Path, version: str, real: Path, oxide: Path | None) -> None:
    """Inspect drawn and real fields with both models, fit what rests on the measures, write it beside the models."""
    from training.learn import fields
    from training.learn.field_records import collect, jobs

    kept = work / "fields.npz"
    collect(out, jobs(fields.SEED, fields.FIELDS, fields.GROWN, real, oxide), 2).save(kept)
    fields.fitted_of(out, kept, version).write(out)


if __name__ == "__main__":
    sys.exit(main())
