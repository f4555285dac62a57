"""One image through the parts of a service, without threads."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline
from edge.journal import Entry, Journal
from edge.records import Fingerprint, Inspection
from edge.service.decoder import Decoder
from edge.service.inspector import Inspector
from edge.service.recorder import Recorder
from edge.service.shared import Arrival
from tests.service.running_daemon import png


def begun(journal: Journal, name: str) -> Entry:
    journal.ledger.admit(name, Fingerprint(1, 1))
    return journal.ledger.begin(name)


def recorded(
    decoder: Decoder, inspector: Inspector, recorder: Recorder, draw: Callable[[Inspection], NDArray[np.uint8]] | None = None
) -> None:
    """An image is inspected and recorded; `draw` takes the place of the drawing."""
    (decoder.folder / "a.png").write_bytes(png(1))
    decoder.shared.arrivals.put({"a.png": Arrival(time.monotonic(), old=True)})
    decoded = decoder._read(begun(decoder.journal, "a.png"))
    assert decoded is not None
    with Pipeline(inspector.settings) as pipeline, pytest.MonkeyPatch.context() as patched:
        if draw is not None:
            patched.setattr(overlay, "draw", draw)
        inspected = inspector._inspect(pipeline, decoded)
        assert inspected is not None
        recorder._record(inspected.entry, inspected.source, inspected.outcome)
