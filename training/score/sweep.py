"""A labelled folder in, how good stage 1 is at each least confidence out: what `inspect.confidence` is chosen by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.backends import table
from edge.backends.network import Arrays, Network
from edge.config import CommandSettings, change
from edge.errors import ConfigError, ImageError
from edge.folder.file import read_file
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import source_of
from training.data.read_images import Page
from training.score import folder_scores
from training.score.field_scores import FieldScore, compare
from training.score.score_folder import LabelledPages, Tell, truth_of

SCHEMA: Final = "edge.sweep/1"
CONFIDENCES: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)


class Remembering:
    """A network that answers a repeated question from memory, until `forget`; closed by who opened it, not by a pipeline."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.name, self.precision = network.name, network.precision
        self._known: dict[str, Arrays] = {}

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 images [N, 1, H, W]. Raises BackendError."""
        key = f"{image.shape} {hashlib.sha256(image.tobytes()).hexdigest()}"
        if key not in self._known:
            self._known[key] = {name: np.array(values) for name, values in self._network.run(image).items()}
        return self._known[key]

    def forget(self) -> None:
        """Free what is remembered."""
        self._known.clear()

    def close(self) -> None:
        """Nothing: the next pipeline asks the same network."""

    def __enter__(self) -> Remembering:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None


def sweep(data: LabelledPages, settings: CommandSettings, confidences: Sequence[float], tell: Tell) -> dict[str, Any]:
    """`edge.sweep/1`: the numbers of `edge.score/1` for each confidence, from one run of the network an image.

    Raises ConfigError without labels or images, ModelError or BackendError.
    """
    if not data.regions:
        raise ConfigError("a sweep needs labels, or --clean where nothing is corroded")
    failed = dict(data.unreadable)
    fields: dict[float, list[FieldScore]] = {confidence: [] for confidence in confidences}
    groups: list[str] = []
    with ExitStack() as opened:
        remembering: list[Remembering] = []

        def once(backend: str, path: Path, precision: str) -> Network:
            if not remembering:
                remembering.append(Remembering(opened.enter_context(table.open_network(backend, path, precision))))
            return remembering[0]

        pipelines = {
            one: opened.enter_context(
                Pipeline(change(settings, {"inspect": {"confidence": one, "stages": "segment"}}), open_network=once)
            )
            for one in confidences
        }
        pages = _by_file(data)
        for done, (name, of_file) in enumerate(pages.items(), 1):
            try:
                file = read_file(next(iter(of_file.values())).file.path, limits_of(settings).max_bytes)
                micrographs = sem.read(
                    file.data, Path(name).name, file.sidecars, limits_of(settings), settings.inspect.pixel_size_nm
                )
            except ImageError as error:
                failed[name] = f"{error.code}: {error.message}"
                continue
            for micrograph in micrographs:
                page = of_file.get(micrograph.page)
                if page is None:
                    continue
                groups.append(page.group)
                for confidence, pipeline in pipelines.items():
                    found = pipeline.inspect(micrograph, source_of(Path(name).name, name, file.sha256))
                    truth = truth_of(data, page, found)
                    if truth is not None:
                        shape = (micrograph.height_px, micrograph.width_px)
                        fields[confidence].append(compare(truth, found.regions, shape, micrograph.drawn_px))
                remembering[0].forget()
            tell(done, len(pages))
    if not groups:
        raise ConfigError("\n".join(["no image could be inspected:", *(f"  {a}: {b}" for a, b in failed.items())]))
    rows = [{"confidence": one, **folder_scores.numbers(of, groups)} for one, of in fields.items()]
    return {
        "schema": SCHEMA,
        "images": len(groups),
        "default": settings.inspect.confidence,
        "failed": [{"image": name, "why": why} for name, why in failed.items()],
        "confidences": rows,
    }


def describe(document: Mapping[str, Any]) -> str:
    """A line each confidence. document: `edge.sweep/1`."""
    names = ("area_iou", "area_bias", "area_absolute_error", "region_recall", "region_precision", "false_regions", "area_found")
    lines = ["confidence  area IoU    bias  absolute  recall  precision  false a field  area found"]
    for row in document["confidences"]:
        told = ["–" if row[name]["value"] is None else f"{row[name]['value']:.3f}" for name in names]
        mark = " *" if row["confidence"] == document["default"] else ""
        widths = (8, 8, 10, 8, 11, 15, 12)
        lines.append(f"{row['confidence']:10.2f}" + "".join(f"{a:>{w}}" for a, w in zip(told, widths, strict=True)) + mark)
    return "\n".join([*lines, f"{document['images']} images; * what the settings say"])


def _by_file(data: LabelledPages) -> dict[str, dict[int, Page]]:
    pages: dict[str, dict[int, Page]] = {}
    for page in data.pages:
        pages.setdefault(page.file.relative, {})[page.number] = page
    return pages
