"""Pictures that a kill left undrawn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline
from edge.records import Inspection
from edge.service import pictures
from edge.service.decoder import Decoder
from edge.service.inspector import Inspector
from edge.service.pictures import MissingPictures
from edge.service.recorder import Recorder
from tests.fakes.brokers import eventually
from tests.service.one_image import recorded
from tests.service.running_daemon import (
    png,
)


class Killed(BaseException):
    """Ends what runs, as a kill would."""


def killed(_: Inspection) -> NDArray[np.uint8]:
    raise Killed


def drawn_at_the_next_start(inspector: Inspector) -> list[str]:
    with Pipeline(inspector.settings) as pipeline:
        missing = MissingPictures(inspector)
        while missing:
            missing.draw_next(pipeline)
    return [path.name for path in inspector.journal.pictures.folder.iterdir()]


def test_a_picture_that_a_kill_left_out_is_drawn_at_the_next_start(
    decoder: Decoder, inspector: Inspector, recorder: Recorder
) -> None:
    with pytest.raises(Killed):
        recorded(decoder, inspector, recorder, killed)
    (undrawn,) = inspector.journal.pictures.undrawn()
    assert drawn_at_the_next_start(inspector) == [undrawn.picture]
    assert inspector.journal.pictures.undrawn() == []


def test_a_picture_waits_for_a_folder_that_is_away_at_the_start(
    decoder: Decoder, inspector: Inspector, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a machine is often back before its share."""
    monkeypatch.setattr(pictures, "RETRY_S", 0.5)  # longer than a busy machine takes from one line to the next
    with pytest.raises(Killed):
        recorded(decoder, inspector, recorder, killed)
    away = inspector.folder.rename(inspector.folder.with_name("away"))
    with Pipeline(inspector.settings) as pipeline:
        missing = MissingPictures(inspector)
        for _ in range(5):  # more often than one that kills is tried
            assert eventually(lambda: missing)
            missing.draw_next(pipeline)
            assert not missing
            assert len(missing) == 1
        away.rename(inspector.folder)
        assert eventually(lambda: missing)
        missing.draw_next(pipeline)
        assert len(missing) == 0
    assert inspector.journal.pictures.undrawn() == []


def test_a_picture_of_another_image_is_not_drawn(decoder: Decoder, inspector: Inspector, recorder: Recorder) -> None:
    with pytest.raises(Killed):
        recorded(decoder, inspector, recorder, killed)
    inspector.shared.being_drawn.add(one.picture for one in inspector.journal.pictures.undrawn())
    (inspector.folder / "a.png").write_bytes(png(2))
    assert drawn_at_the_next_start(inspector) == []
    assert inspector.shared.being_drawn.all() == ()


def test_a_drawing_that_kills_is_given_up(decoder: Decoder, inspector: Inspector, recorder: Recorder) -> None:
    with pytest.raises(Killed):
        recorded(decoder, inspector, recorder, killed)
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(overlay, "draw", killed)
            with pytest.raises(Killed):
                drawn_at_the_next_start(inspector)
    assert drawn_at_the_next_start(inspector) == []
