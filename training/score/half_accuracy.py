"""The shipped models in, how far FP16 takes their answers from float32 on samples and drawn images out; no GPU is needed.

`python -m training.score.half_accuracy` runs the very graph that TensorRT is given, rounding as its types say
(`export.half_network`), through the gate that an engine has to pass on its GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.backends.tensorrt.passport import EngineParity
from edge.config import InspectionSettings
from edge.models.card import load_card, resolve
from edge.records import Micrograph
from edge.samples import sample_micrographs
from export import fp16
from export.engine_parity import measure_parity, refusal
from export.half_network import NOT_IMITATED, HalfNetwork
from export.to_tensorrt import examples
from training.draw.synthetic import render

SEED = 4200


def drawn(count: int, size_px: tuple[int, int] = (640, 480)) -> list[Micrograph]:
    """Micrographs that no model learnt from."""
    greys = (render(SEED + number, size_px, bars=False).grey for number in range(count))
    return [Micrograph(grey, grey.shape[1], grey.shape[0], pixel_size_nm=None, pixel_size_source=None) for grey in greys]


def half_accuracy(model: Path, task: Any, images: Sequence[Micrograph]) -> tuple[EngineParity, set[str]]:
    """The gate's figures for a model in FP16, and the nodes that overflowed."""
    card = load_card(model, task)
    network = HalfNetwork(fp16.convert(model, examples(card, images)).model)
    return measure_parity(model, card, network, InspectionSettings(), images), network.overflows


def main(arguments: Sequence[str] | None = None) -> int:
    """0 both models pass the gate, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m training.score.half_accuracy", description=__doc__)
    parser.add_argument("--segmenter", default="builtin", metavar="MODEL")
    parser.add_argument("--classifier", default="builtin", metavar="MODEL")
    parser.add_argument("--drawn", type=int, default=40, metavar="N", help="drawn images beside the shipped ones (%(default)s)")
    chosen = parser.parse_args(arguments)
    images = [*sample_micrographs(), *drawn(chosen.drawn)]
    failed = False
    for task, name in (("segment", chosen.segmenter), ("classify", chosen.classifier)):
        figures, overflows = half_accuracy(resolve(name, task), task, images)  # type: ignore[arg-type]
        reason = refusal(figures) or (f"FP16 overflows in {', '.join(sorted(overflows))}" if overflows else None)
        failed |= reason is not None
        known = {key: value for key, value in figures.model_dump().items() if value is not None}
        print(f"{task}: {'passes' if reason is None else f'refused: {reason}'}")
        print("  " + ", ".join(f"{key} {value:.4g}" for key, value in known.items()), flush=True)
    print("not imitated:", *NOT_IMITATED, sep="\n  ")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
