"""A warm bench in, where the time of each network goes out, layer by layer, as the inference library itself counts it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edge.backends import table
from edge.commands.bench.scenarios import Bench

RUNS = 10


def profile(bench: Bench) -> dict[str, Any]:
    """The `profile` part of the document, by stage; `reason` where the backend tells no layers. Raises BackendError.

    Counting costs time itself, so layers are counted in runs of their own, on the input that the network saw last.
    """
    backend = table.BACKENDS[bench.models.backend]
    found = {}
    for stage, (model, precision, image) in bench.shown().items():
        layers = backend.layers(model, precision, image, RUNS)
        if layers is not None:
            total = sum(layer.ms for layer in layers) or 1.0
            rows = [{**asdict(layer), "ms": round(layer.ms, 5), "share": round(layer.ms / total, 5)} for layer in layers]
            found[stage] = {
                "precision": precision,
                "input": list(image.shape),
                "runs": RUNS,
                "total_ms": round(total, 4),
                "layers": rows,
            }
    reason = None if found else f"{backend.name} does not tell its layers here"
    return {"backend": backend.name, "reason": reason, "stages": found}
