"""What decides, beside the data, how a classifier is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, beside the data, how a classifier is trained (section 3.3).

    - weights: where training begins, see `initial_network`.
    - head_epochs: of the first phase, the new head alone. It is left out where the head is not new.
    - epochs: of the second phase, all layers.
    - small_part: part of these epochs at `SMALL_SIDE_PX`, at half the cost. Tan and Le 2021 let images grow too.
    - mixup: α of the Beta distribution that mixes pairs (Zhang et al. 2018); 0 for none.
    - dropout: before the head.
    - crops_part: part of the images that also give one region.
    - zoom: the least part of a field's sides that is taken for the whole; 1 for the field alone. 0.5 teaches that severity
      does not change up to twice the magnification.
    - area_weight: of a second task, the logarithm of the corroded fraction of what the network is shown. Labelled regions
      give it without the scatter that a severity has. Its layer is thrown away. 0 for the paper's method.
    - averaged: part of the steps over which the weights are averaged, later ones more; 0 for the last step's weights.
      It steadies what few images teach.
    - prior: for which mix of severities the network answers. "data": that of the data set. "balanced": as if all were as
      frequent, which the class weights alone would give.
    """

    architecture: str = "efficientnet_b0"
    weights: str = "imagenet"
    head_epochs: int = 20
    epochs: int = 20
    small_part: float = 0.0
    seed: int = 0
    mixup: float = 0.2
    dropout: float = 0.2
    label_smoothing: float = 0.0
    crops_part: float = 0.35
    zoom: float = 0.5
    area_weight: float = 0.0
    averaged: float = 0.1
    prior: Literal["data", "balanced"] = "data"


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"head_epochs": 30, "epochs": 60},  # for a GPU; the paper does not say how many
    "short": {"head_epochs": 20, "epochs": 8, "small_part": 0.75},  # for a core: five minutes for a fold of 117 images
}
