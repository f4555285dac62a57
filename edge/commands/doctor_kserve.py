"""The settings of the inference server in, findings out: whether it proves to serve each model of this box, and answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from edge.backends import table
from edge.backends.server import Remote
from edge.commands.finding import Finding
from edge.config import Settings
from edge.errors import BackendError, ModelError
from edge.models.card import load_card, resolve
from edge.service.cures import cure_of

BLANK_PX: Final = 64


def look_at_server(settings: Settings) -> Iterator[Finding]:
    """Nothing where the networks run here. A blank image is asked for once, by each network, without patience."""
    if settings.models.backend != "kserve":
        return
    if not table.BACKENDS["kserve"].is_installed:
        yield Finding("kserve", "problem", "tritonclient is not installed", table.BACKENDS["kserve"].cure)
        return
    if not settings.kserve.url:
        yield Finding("kserve", "problem", "no inference server is named", "set kserve.url to HOST:PORT")
        return
    for model, side_px in _models(settings):
        try:
            spent_ms, precision = _asked(settings, model, side_px)
        except BackendError as error:
            yield Finding("kserve", "problem", str(error), cure_of(str(error)))
            continue
        told = f"the inference server at {settings.kserve.url} serves {model.name} in {precision}: {spent_ms:.0f} ms"
        yield Finding("kserve", "ok", f"{told} for a blank image")


def _models(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Those that are asked, with the side of an image for each; what is wrong with a model itself is told elsewhere."""
    stages, named = settings.inspect.stages, settings.models
    try:
        if stages != "classify":
            yield resolve(named.segmenter, "segment"), BLANK_PX
        if stages != "segment":
            classifier = resolve(named.classifier, "classify")
            yield classifier, load_card(classifier, "classify", named.public_key).input_px
    except ModelError:
        return


def _asked(settings: Settings, model: Path, side_px: int) -> tuple[float, str]:
    """Milliseconds of one answer, and what it was made in. Raises BackendError."""
    wanted = settings.kserve.model_copy(update={"away": "wait"})
    blank = np.zeros((1, 1, side_px, side_px), np.uint8)
    with table.open_network("kserve", model, remote=Remote(wanted, lambda why: why is None)) as network:
        network.run(blank)
        started = time.perf_counter()
        network.run(blank)
        return (time.perf_counter() - started) * 1e3, network.precision
