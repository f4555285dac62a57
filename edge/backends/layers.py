"""What an inference library says about its layers in, one form for all of them out: where a network's time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as the library runs it, which may be several of the model's. ms: mean of a run of the network.

    kind: of the operation.  runs_as: the kernel or precision that the library chose, "" where it does not tell.
    """

    name: str
    kind: str
    ms: float
    runs_as: str = ""


def averaged(runs: Sequence[Iterable[Layer]]) -> list[Layer]:
    """The mean of each layer over several runs, the slowest first; a layer that runs twice in a run counts both times."""
    sums: dict[tuple[str, str, str], float] = {}
    for run in runs:
        for layer in run:
            key = (layer.name, layer.kind, layer.runs_as)
            sums[key] = sums.get(key, 0.0) + layer.ms
    layers = [Layer(name, kind, total / len(runs), runs_as) for (name, kind, runs_as), total in sums.items()]
    return sorted(layers, key=lambda layer: -layer.ms)
