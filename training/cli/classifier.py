"""`edge-train classifier`: a data set in, the weights of stage 2 out."""

from __future__ import annotations

import argparse

from training.cli.options import Commands, add_training_options, folders_of_folds, part, weight, whole_number


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "classifier",
        help="stage 2: EfficientNet-B0 or ResNet18",
        epilog="examples: edge-train classifier --data data/ready --weights imagenet --epochs 20 --out runs/classifier; "
        "edge-train classifier --data data/ready --preset short --architecture resnet18 --fold all --out runs/folds",
    )
    add_training_options(parser, "FILE|imagenet|none", "imagenet")
    parser.add_argument(
        "--architecture", choices=("efficientnet_b0", "resnet18"), default="efficientnet_b0", help="(%(default)s)"
    )
    parser.add_argument(
        "--preset",
        choices=("paper", "short"),
        help="paper: 30 epochs of the head, 60 of all layers, for a GPU; short: 20 and 8, six of them at 160 px, for a core",
    )
    parser.add_argument("--head-epochs", type=whole_number, metavar="N", help="of the new head alone (20)")
    parser.add_argument("--mixup", type=weight, default=0.2, metavar="ALPHA", help="0 for none (%(default)s)")
    parser.add_argument("--dropout", type=part, default=0.2, metavar="PART", help="before the head (%(default)s)")
    parser.add_argument("--label-smoothing", type=part, default=0.0, metavar="PART", help="(%(default)s)")
    parser.add_argument(
        "--crops", type=part, default=0.35, metavar="PART", help="part of the images that also give a region (%(default)s)"
    )
    parser.add_argument("--no-crops", action="store_const", const=0.0, dest="crops", help="learn from whole fields alone")
    parser.add_argument(
        "--zoom",
        type=part,
        default=0.5,
        metavar="PART",
        help="least part of a field's sides that keeps the field's severity; 1 for whole fields alone (%(default)s)",
    )
    parser.add_argument(
        "--area-weight",
        type=weight,
        default=0.0,
        metavar="W",
        help="also learn the corroded fraction from labelled regions, 0 for severities alone, as in the paper (%(default)s)",
    )
    parser.add_argument(
        "--averaged",
        type=part,
        default=0.1,
        metavar="PART",
        help="part of the steps over which the weights are averaged, 0 for the last step's (%(default)s)",
    )
    parser.add_argument(
        "--prior",
        choices=("data", "balanced"),
        default="data",
        help="answer for the data set's mix of severities, or as if all were as frequent (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Train, a run for each fold that was asked for."""
    from training.learn.classifier import train
    from training.learn.classifier_recipe import PRESETS, Recipe

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
    for fold, out in folders_of_folds(arguments):
        train(arguments.data, out, recipe, command, fold)
        print(out / "classifier.pt")
    return 0
