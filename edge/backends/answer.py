"""What a served model's outputs have to be in; an answer's arrays, or why they cannot be this model's, out.

The one list of outputs: `edge-export triton` writes it down for the server, and each answer is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.backends.network import require_numbers
from edge.errors import BackendError
from edge.models.card import ModelCard, card_path

Task = Literal["segment", "classify"]
STRIDE: Final = 4
"""Pixels of the input for one cell of the prototypes."""
MOST_BYTES: Final = 256 << 20
"""Of one answer; the largest that a model of ours gives to `MOST_AT_ONCE` views of 640 × 640 pixels is 28 MB."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of one image.

    shape: sides; a name stands for one that outputs share or the card tells, None for one that the model alone knows.
    kind: "number" and "part", which is from 0 to 1, are float32 in the file; "class" is int64.
    """

    shape: tuple[int | str | None, ...]
    kind: Literal["number", "part", "class"] = "number"


OUTPUTS: Final[Mapping[Task, Mapping[str, Output]]] = {
    "segment": {
        "boxes": Output(("K", 4)),
        "scores": Output(("K",), "part"),
        "classes": Output(("K",), "class"),
        "coefficients": Output(("K", 32)),
        "prototypes": Output((32, "height/4", "width/4")),
    },
    "classify": {
        "logits": Output(("C",)),
        "cam": Output(("C", None, None)),
        "embedding": Output(("D",)),
    },
}
"""See docs/models/export.md and docs/develop/add-a-backend.md."""


class UnfitError(Exception):
    """An answer that cannot be this model's, in words that go on from "its answer"."""


def outputs_of(names: frozenset[str]) -> Mapping[str, Output] | None:
    """Those of the task whose outputs are all among `names`; None where there is none."""
    return next((outputs for outputs in OUTPUTS.values() if outputs.keys() <= names), None)


def sides_of(model: Path) -> Mapping[str, int]:
    """How many classes, C, and numbers of an embedding, D, the card beside a model tells; nothing without a card."""
    try:
        card = ModelCard.model_validate_json(card_path(model).read_bytes())
    except (OSError, ValueError):
        return {}
    domain = card.calibration.domain
    return {"C": len(card.classes), **({"D": len(domain.mean)} if domain else {})}


def believed(
    given: Callable[[str], NDArray[Any] | None], outputs: Mapping[str, Output], sent: tuple[int, ...], sides: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    """All outputs where they can be this model's: float32, or whole numbers. Raises UnfitError.

    given: an output by its name; None for none.  sent: the shape [N, 1, H, W].  sides: as `sides_of` tells.
    """
    found: dict[str, NDArray[Any]] = {}
    known = {**sides, "height/4": sent[2] // STRIDE, "width/4": sent[3] // STRIDE}
    for name, output in outputs.items():
        values = _read(given, name)
        _require_shape(name, values, (sent[0], *output.shape), known)
        if not np.issubdtype(values.dtype, np.integer if output.kind == "class" else np.floating):
            raise UnfitError(f"'s {name} are {values.dtype}")
        try:
            require_numbers(values, name)
        except BackendError as error:
            raise UnfitError(f"'s {name} are not numbers") from error
        most = {"part": 1, "class": sides.get("C", np.inf) - 1}.get(output.kind)
        if most is not None and values.size and (values.min() < 0 or values.max() > most):
            raise UnfitError(f"'s {name} go from {values.min()} to {values.max()}")
        found[name] = values if output.kind == "class" else np.asarray(values, np.float32)
    return found


def _read(given: Callable[[str], NDArray[Any] | None], name: str) -> NDArray[Any]:
    try:
        values = given(name)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UnfitError(f"'s {name} cannot be read: {error}") from error
    if values is None:
        raise UnfitError(f" has no {name}")
    return values


def _require_shape(name: str, values: NDArray[Any], wanted: tuple[int | str | None, ...], known: dict[str, int]) -> None:
    """known: sides that have a name, as the outputs before had them; those of this one are added."""
    fits = values.ndim == len(wanted)
    for side, has in zip(wanted, values.shape, strict=False):
        expected = known.setdefault(side, has) if isinstance(side, str) and fits else side
        fits = fits and expected in (None, has)
    if not fits:
        raise UnfitError(f"'s {name} have the shape {values.shape}")
