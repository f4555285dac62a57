"""What people type to make data and weights: `edge-train`."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import ConfigError, EdgeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edge-train`; 0 done, 1 training failed, 2 wrong usage or unusable data."""
    arguments = _parser().parse_args(argv)
    command = shlex.join(["edge-train", *(sys.argv[1:] if argv is None else argv)])
    try:
        return int(arguments.run(arguments, command))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"edge-train {arguments.command} needs more: install sem-corrosion-edge[training] ({error})", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-train", description="Labels and images to trained weights.")
    commands = parser.add_subparsers(dest="command", required=True)

    synthesize = commands.add_parser(
        "synthesize",
        help="draw micrographs with exact labels",
        epilog="examples: edge-train synthesize --preset paper --out data/paper; "
        "edge-train synthesize --out data/synthetic --images 200 --seed 1 --size 640x480",
    )
    synthesize.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets images/, labels/, truth/, samples.csv")
    synthesize.add_argument(
        "--preset",
        choices=("transfer", "paper"),
        default="transfer",
        help="transfer: any metal under any microscope; paper: 3 annealing times x 4 exposures, 117 images (%(default)s)",
    )
    synthesize.add_argument("--images", type=_count, metavar="N", help="how many; the paper's preset has 117")
    synthesize.add_argument("--seed", type=int, metavar="S", help="of the first image, the next has S + 1 (the preset's own)")
    synthesize.add_argument("--size", type=_size, default=(640, 480), metavar="WxH", help="in pixels (640x480)")
    synthesize.add_argument(
        "--classes",
        choices=("annealing", "morphology"),
        help="of the labels; annealing (AN_60 …) is for the paper's preset alone, and its default",
    )
    synthesize.set_defaults(run=_synthesize)

    prepare = commands.add_parser(
        "prepare",
        help="check, split and augment labelled images",
        epilog="example: edge-train prepare my-images --out data/mine --classes pit product --seed 1",
    )
    prepare.add_argument("data", type=Path, metavar="DATA", help="images/ with labels/, masks/ or a COCO file; samples.csv")
    prepare.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets images/, labels/, samples.csv, dataset.json"
    )
    prepare.add_argument(
        "--labels", choices=("auto", "yolo", "labelme", "coco", "png", "npy"), default="auto", help="kind (%(default)s)"
    )
    prepare.add_argument(
        "--labels-from", type=Path, metavar="DIR", help="folder of labels/ or masks/, where they are not in DATA"
    )
    prepare.add_argument("--folds", type=int, default=4, metavar="K", help="for cross-validation, 0 for none (%(default)s)")
    prepare.add_argument("--test", type=float, default=0.1, metavar="PART", help="part of the images (%(default)s)")
    prepare.add_argument("--val", type=float, default=0.1, metavar="PART", help="part of the images (%(default)s)")
    prepare.add_argument(
        "--augment",
        type=_count,
        default=4,
        metavar="N",
        help="images made of each training image, itself included (%(default)s)",
    )
    prepare.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")
    prepare.add_argument("--classes", nargs="+", default=(), metavar="NAME", help="in the order of their numbers")
    prepare.add_argument(
        "--mask-rule",
        choices=("auto", "binary", "class", "instance"),
        default="auto",
        help="what the values of PNG and NPY masks mean (%(default)s)",
    )
    prepare.add_argument(
        "--classes-by",
        choices=("labels", "annealing"),
        default="labels",
        help="annealing: name each region by the annealing of its image, as the paper does (%(default)s)",
    )
    prepare.set_defaults(run=_prepare)

    annotate = commands.add_parser(
        "annotate",
        help="label images without a person",
        epilog="example: edge-train annotate my-images --out data/automatic --report",
    )
    annotate.add_argument("images", type=Path, metavar="IMAGES", help="an image, or a folder that is searched for images")
    annotate.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets masks/*.npy and quality.csv")
    annotate.add_argument(
        "--min-diameter-px", type=float, default=6.0, metavar="N", help="of a disc of the region's area (%(default)g)"
    )
    annotate.add_argument(
        "--polarity",
        choices=("auto", "dark", "bright", "both"),
        default="auto",
        help="regions against the ground (%(default)s)",
    )
    annotate.add_argument("--report", action="store_true", help="also write report.html, a page of outlines, worst first")
    annotate.add_argument(
        "--against",
        type=Path,
        metavar="LABELS",
        help="folder of labels made by hand (.npy, .png, .txt): also write against.json",
    )
    annotate.set_defaults(run=_annotate)

    samples = commands.add_parser(
        "samples", help="write the demo's sample micrographs", epilog="example: edge-train samples --out edge/samples"
    )
    samples.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets eight image files")
    samples.set_defaults(run=_samples)

    segmenter = commands.add_parser(
        "segmenter",
        help="stage 1: YOLOv8n-seg, or another segmenter of ultralytics",
        epilog="examples: edge-train segmenter --data data/ready --weights coco --epochs 50 --imgsz 640 --out runs/segmenter; "
        "edge-train segmenter --data data/ready --preset short --fold all --out runs/folds",
    )
    _training_arguments(segmenter, "FILE|RUN|shipped|coco|none", "coco")
    segmenter.add_argument("--model", default="yolov8n-seg", metavar="NAME", help="or yolov8s-seg, yolo11n-seg … (%(default)s)")
    segmenter.add_argument(
        "--preset",
        choices=("paper", "short"),
        help="paper: 200 epochs at 640 px, for a GPU; short: 30 at 320 px, for a CPU",
    )
    segmenter.add_argument("--imgsz", type=_count, metavar="PX", help="side of the training images (640)")
    segmenter.add_argument("--resume", action="store_true", help="go on where a run into the same --out was cut off")
    segmenter.set_defaults(run=_segmenter)

    classifier = commands.add_parser(
        "classifier",
        help="stage 2: EfficientNet-B0 or ResNet18",
        epilog="examples: edge-train classifier --data data/ready --weights imagenet --epochs 20 --out runs/classifier; "
        "edge-train classifier --data data/ready --preset short --architecture resnet18 --fold all --out runs/folds",
    )
    _training_arguments(classifier, "FILE|imagenet|none", "imagenet")
    classifier.add_argument(
        "--architecture", choices=("efficientnet_b0", "resnet18"), default="efficientnet_b0", help="(%(default)s)"
    )
    classifier.add_argument(
        "--preset",
        choices=("paper", "short"),
        help="paper: 30 epochs of the head, 60 of all layers, for a GPU; short: 20 and 8, six of them at 160 px, for a core",
    )
    classifier.add_argument("--head-epochs", type=_whole, metavar="N", help="of the new head alone (20)")
    classifier.add_argument("--mixup", type=_weight, default=0.2, metavar="ALPHA", help="0 for none (%(default)s)")
    classifier.add_argument("--dropout", type=_part, default=0.2, metavar="PART", help="before the head (%(default)s)")
    classifier.add_argument("--label-smoothing", type=_part, default=0.0, metavar="PART", help="(%(default)s)")
    classifier.add_argument(
        "--crops", type=_part, default=0.35, metavar="PART", help="part of the images that also give a region (%(default)s)"
    )
    classifier.add_argument("--no-crops", action="store_const", const=0.0, dest="crops", help="learn from whole fields alone")
    classifier.add_argument(
        "--zoom",
        type=_part,
        default=0.5,
        metavar="PART",
        help="least part of a field's sides that keeps the field's severity; 1 for whole fields alone (%(default)s)",
    )
    classifier.add_argument(
        "--area-weight",
        type=_weight,
        default=0.0,
        metavar="W",
        help="also learn the corroded fraction from labelled regions, 0 for severities alone, as in the paper (%(default)s)",
    )
    classifier.add_argument(
        "--averaged",
        type=_part,
        default=0.1,
        metavar="PART",
        help="part of the steps over which the weights are averaged, 0 for the last step's (%(default)s)",
    )
    classifier.add_argument(
        "--prior",
        choices=("data", "balanced"),
        default="data",
        help="answer for the data set's mix of severities, or as if all were as frequent (%(default)s)",
    )
    classifier.set_defaults(run=_classifier)

    evaluate = commands.add_parser(
        "evaluate",
        help="the paper's tables and figures for a prepared data set and trained runs",
        epilog="example: edge-train evaluate --data data/ready --segmenter manual=runs/manual "
        "--segmenter automated=runs/automated --classifier efficientnet_b0=runs/b0 --classifier resnet18=runs/r18 --out report",
    )
    evaluate.add_argument(
        "--data", type=Path, required=True, metavar="READY", help="made by edge-train prepare; its labels count"
    )
    for stage in ("segmenter", "classifier"):
        evaluate.add_argument(
            f"--{stage}",
            type=_named_run,
            action="append",
            default=[],
            metavar="NAME=RUN",
            help=f"folder with fold0/{stage}.pt, fold1/{stage}.pt … or {stage}.pt, scored on the test part; may be repeated",
        )
    evaluate.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets evaluation.json, index.html, plots")
    evaluate.add_argument("--imgsz", type=_count, metavar="PX", help="side of the images for segmenters (that of training)")
    evaluate.add_argument(
        "--truth", type=Path, metavar="FILE", help="truth.json of drawn images, for the area against exposure"
    )
    evaluate.set_defaults(run=_evaluate)
    return parser


def _training_arguments(parser: argparse.ArgumentParser, weights: str, begin: str) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set: images/, labels/, samples.csv")
    parser.add_argument("--weights", default=begin, metavar=weights, help="where training begins (%(default)s)")
    parser.add_argument("--epochs", type=_count, metavar="N", help="passes over the images")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="gets the weights (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")
    parser.add_argument(
        "--fold",
        type=_fold,
        metavar="K|all",
        help="of a prepared data set: learn from the others, score on this one; into OUT/fold0, OUT/fold1, …",
    )


def _fold(text: str) -> int | str:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError("a fold is a number from 0, or all")
    return text if text == "all" else int(text)


def _runs(arguments: argparse.Namespace) -> list[tuple[int | None, Path]]:
    """The folds that were asked for, and the folder of each; (None, OUT) without folds."""
    if arguments.fold is None:
        return [(None, arguments.out)]
    from training.data.dataset import open_data_set

    folds = open_data_set(arguments.data).folds
    if not folds:
        raise ConfigError(f"{arguments.data} has no folds: make them with edge-train prepare --folds 4")
    wanted = range(folds) if arguments.fold == "all" else [arguments.fold]
    return [(fold, arguments.out / f"fold{fold}") for fold in wanted]


def _named_run(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not folder or not re.fullmatch(r"[\w.+-]+", name):
        raise argparse.ArgumentTypeError(f"{text!r}: write it like manual=runs/manual")
    return name, Path(folder)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def _weight(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def _part(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 640x480") from error
    if min(width, height) < 64:
        raise argparse.ArgumentTypeError("each side must have at least 64 pixels")
    return width, height


def _synthesize(arguments: argparse.Namespace, _command: str) -> int:
    from training.draw import synthetic

    if arguments.preset == "paper":
        if arguments.images not in (None, synthetic.PAPER_IMAGES):
            raise ConfigError(f"--images: the paper's preset has {synthetic.PAPER_IMAGES} images; leave the option out")
        seed = synthetic.PAPER_SEED if arguments.seed is None else arguments.seed
        classes = synthetic.CLASSES if arguments.classes == "morphology" else synthetic.PAPER_CLASSES
        synthetic.write_paper_set(arguments.out, arguments.size, seed, classes)
    else:
        if arguments.images is None:
            raise ConfigError("--images: say how many images to draw")
        if arguments.classes == "annealing":
            raise ConfigError("--classes annealing: only the paper's preset has annealing times that can be seen")
        seed = synthetic.TRANSFER_SEED if arguments.seed is None else arguments.seed
        synthetic.write_data_set(arguments.out, arguments.images, seed, arguments.size)
    print(arguments.out)
    return 0


def _prepare(arguments: argparse.Namespace, command: str) -> int:
    from training.data.options import Options
    from training.data.prepare import prepare

    options = Options(
        labels=arguments.labels,
        labels_from=arguments.labels_from,
        folds=arguments.folds,
        test=arguments.test,
        val=arguments.val,
        augment=arguments.augment,
        seed=arguments.seed,
        classes=tuple(arguments.classes),
        mask_rule=arguments.mask_rule,
        classes_by=arguments.classes_by,
    )
    prepared = prepare(arguments.data, arguments.out, options, command)
    for line in prepared.warnings:
        print(f"to be known: {line}", file=sys.stderr)
    print(prepared.describe())
    print(prepared.folder)
    return 0


def _annotate(arguments: argparse.Namespace, _command: str) -> int:
    from training.labels.annotate_folder import annotate_folder
    from training.labels.compare import describe
    from training.labels.rules import Rules

    rules = Rules(arguments.min_diameter_px, arguments.polarity)
    done = annotate_folder(arguments.images, arguments.out, rules, report=arguments.report, against=arguments.against)
    print(f"{done.regions} regions in {done.images} images; {done.failed} files failed")
    if done.agreement:
        print(f"{done.compared} images with labels. {describe(done.agreement)}")
    print(arguments.out)
    return 1 if done.failed else 0


def _samples(arguments: argparse.Namespace, _command: str) -> int:
    from training.draw.samples import write_samples

    print("\n".join(str(path) for path in write_samples(arguments.out)))
    return 0


def _segmenter(arguments: argparse.Namespace, command: str) -> int:
    from training.learn.segmenter import PRESETS, Recipe, progress, train

    preset = PRESETS[arguments.preset] if arguments.preset else {}
    recipe = Recipe(
        model=arguments.model,
        weights=arguments.weights,
        epochs=arguments.epochs or preset.get("epochs", 50),
        imgsz=arguments.imgsz or preset.get("imgsz", 640),
        seed=arguments.seed,
    )
    for fold, out in _runs(arguments):
        state = progress(out) if arguments.resume else None
        if state == "finished":
            print(f"{out / 'segmenter.pt'} is finished: nothing to resume", file=sys.stderr)
            continue
        if state == "none":
            print(f"no whole epoch in {out} to go on from: training begins", file=sys.stderr)
        train(arguments.data, out, recipe, command, fold, resume=arguments.resume)
        print(out / "segmenter.pt")
    return 0


def _classifier(arguments: argparse.Namespace, command: str) -> int:
    from training.learn.classifier import PRESETS, Recipe, train

    preset = PRESETS[arguments.preset] if arguments.preset else {}
    recipe = Recipe(
        architecture=arguments.architecture,
        weights=arguments.weights,
        head_epochs=preset.get("head_epochs", 20) if arguments.head_epochs is None else arguments.head_epochs,
        epochs=arguments.epochs or preset.get("epochs", 20),
        small_part=preset.get("small_part", 0.0),
        seed=arguments.seed,
        mixup=arguments.mixup,
        dropout=arguments.dropout,
        label_smoothing=arguments.label_smoothing,
        crops_part=arguments.crops,
        zoom=arguments.zoom,
        area_weight=arguments.area_weight,
        averaged=arguments.averaged,
        prior=arguments.prior,
    )
    for fold, out in _runs(arguments):
        train(arguments.data, out, recipe, command, fold)
        print(out / "classifier.pt")
    return 0


def _evaluate(arguments: argparse.Namespace, command: str) -> int:
    runs = [*arguments.segmenter, *arguments.classifier]
    if not runs:
        raise ConfigError("nothing to evaluate: give --segmenter NAME=RUN, --classifier NAME=RUN, or both")
    if len({name for name, _ in runs}) < len(runs):
        raise ConfigError("two runs have one name: the name before = must differ")
    from training.score.evaluate import evaluate
    from training.score.evaluation import summary
    from training.score.evaluation_page import write

    segmenters, classifiers = dict(arguments.segmenter), dict(arguments.classifier)
    evaluation = evaluate(arguments.data, segmenters, classifiers, command, arguments.imgsz, arguments.truth)
    page = write(evaluation, arguments.out)
    for line in evaluation.warnings:
        print(f"to be known: {line}", file=sys.stderr)
    print(summary(evaluation))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
