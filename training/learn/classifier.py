"""A data set whose fields of view have severities in, a calibrated severity classifier with its scores out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from edge.errors import ConfigError
from edge.inspection.classify import field_of_view
from edge.models.card import Training
from edge.records import SEVERITIES
from export.checkpoint import Checkpoint
from export.graphs import ClassifierGraph
from training.data.dataset import Images, open_data_set
from training.learn.calibration import calibrate, domain_statistics, outputs, score
from training.learn.classifier_data import (
    Examples,
    load_corroded,
    load_crops,
    load_fields,
    load_pictures,
    load_surfaces,
    zoom_in,
)
from training.learn.classifier_fit import fit, initial_network
from training.learn.classifier_recipe import Recipe
from training.score.score_views import CROP_MARGIN, SIDE_PX, magnification_agreement

SET_ASIDE = 5  # one part in so many groups of what a fold learns from is for calibration


def train(data: Path, out: Path, recipe: Recipe, command: str, fold: int | None = None) -> Checkpoint:
    """Train on the fields in `data`, and on a region of some of them; write `out/classifier.pt`.

    command: what the card will say.  Groups are split into fields to learn from, to calibrate on and to score on: as
    prepared, else 70/15/15.  fold: score on this fold of a prepared data set, learn from the others, but for a part of
    their groups that calibrates.  Raises ConfigError and ModelError.
    """
    data_set = open_data_set(data)
    if fold is None:
        kept, aside, test = data_set.parts()
        what = f"held-out fields of {data.name}"
    else:
        others, test = data_set.fold(fold)
        kept, aside = _set_aside(others, recipe.seed)
        what = f"fold {fold} of {data.name}"
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)

    pictures, labels = load_pictures(kept)
    crops, crop_labels = load_crops(data_set, kept, rng, recipe.crops_part)
    fields = np.stack([field_of_view(picture, SIDE_PX) for picture in pictures])
    mean, std = float(fields.mean()) / 255, float(fields.std()) / 255 or 1.0
    beginning = initial_network(recipe.architecture, recipe.weights, recipe.dropout)
    corroded = load_corroded(data_set, kept, pictures) if recipe.area_weight else (None,) * len(pictures)
    fit(beginning, Examples(pictures, labels, corroded, crops, crop_labels, mean, std, recipe.zoom, rng), recipe)

    graph = ClassifierGraph(beginning.network, mean, std)
    held_out, held_out_labels = load_fields(aside)
    # the distances of images that the network learnt are too small: statistics come from these, the threshold does not
    domain = domain_statistics(
        outputs(graph, np.concatenate([fields, zoom_in(pictures, recipe.zoom, rng)]))[1],
        outputs(graph, np.concatenate([held_out, zoom_in(load_pictures(aside)[0], recipe.zoom, rng)]))[1],
    )
    calibration = calibrate(graph, held_out, held_out_labels).model_copy(update={"domain": domain})
    scores = score(graph, calibration, *load_fields(test), measured_on=what)
    surfaces = load_surfaces(data_set, test)
    if surfaces:
        scores |= magnification_agreement(graph, calibration, surfaces, what)
    checkpoint = Checkpoint(
        task="classify",
        architecture=recipe.architecture,
        classes=SEVERITIES,
        state=beginning.network.state_dict(),
        training=Training(
            data=f"{data.name}: {len(pictures)} fields and {len(crops)} regions, grey mean {mean:.4f}, deviation {std:.4f}",
            data_sha256=data_set.sha256,
            initialised_from=beginning.name,
            epochs=recipe.epochs,
            images=len(pictures),
            seed=recipe.seed,
            command=command,
        ),
        scores=scores,
        calibration=calibration,
        grey_mean=mean,
        grey_std=std,
        card={"input_px": SIDE_PX, "crop_margin": CROP_MARGIN},
    )
    checkpoint.save(out / "classifier.pt")
    return checkpoint


def _set_aside(images: Images, seed: int) -> tuple[Images, Images]:
    """Images to learn from, and to calibrate on: whole groups, severities as even as groups allow, no varied copies."""
    from sklearn.model_selection import StratifiedGroupKFold

    known = [image for image in images if image.severity is not None]
    originals = [image for image in known if image.origin is None]
    groups = [image.group for image in originals]
    severities = [image.severity for image in originals]
    parts = min(SET_ASIDE, len(set(groups)), max(severities.count(severity) for severity in SEVERITIES))
    if parts < 2:
        raise ConfigError("too few groups of images with a severity to learn from some and calibrate on others")
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of a severity with fewer images than parts; it is then learnt from or calibrated on
        warnings.simplefilter("ignore", UserWarning)
        _, chosen = next(splitter.split(originals, severities, groups))
    aside = {groups[index] for index in chosen}
    return (
        tuple(image for image in known if image.group not in aside),
        tuple(image for image in originals if image.group in aside),
    )
