"""ultralytics trains without the services that it would start and without downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.learn.quiet import ultralytics_alone


@pytest.fixture
def ultralytics() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("ultralytics")


def test_a_services_callbacks_are_not_added(ultralytics: Any) -> None:
    from ultralytics.utils import callbacks

    class SomeTrainer:
        def __init__(self) -> None:
            self.callbacks = callbacks.get_default_callbacks()

    alone, alike = SomeTrainer(), SomeTrainer()
    with ultralytics_alone():
        callbacks.add_integration_callbacks(alone)
    assert alone.callbacks == callbacks.get_default_callbacks()
    callbacks.add_integration_callbacks(alike)
    assert alike.callbacks != alone.callbacks  # which it does by itself


def test_the_network_with_which_it_tries_half_precision_is_not_downloaded(
    ultralytics: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ultralytics_alone(), pytest.raises(ConnectionError):  # this error, it takes as "tried before"
        ultralytics.YOLO("yolo26n.pt")
