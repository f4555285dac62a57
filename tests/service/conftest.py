"""A broker where there is one, and the parts of a service that is wired and not started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config
from edge.config import Settings
from edge.journal import Journal
from edge.service.decoder import Decoder
from edge.service.inspector import Inspector
from edge.service.recorder import Recorder
from edge.service.shared import Shared
from tests.fakes.brokers import MOSQUITTO, Mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "export"
    folder.mkdir()
    return config.parse({"watch": {"folder": str(folder), "settle_s": 0.0}, "models": {"backend": "onnxruntime"}}, {})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def shared() -> Shared:
    return Shared(wake_publishers=lambda: None, status_changed=lambda: None)


@pytest.fixture
def decoder(settings: Settings, journal: Journal, shared: Shared) -> Decoder:
    return Decoder(settings, journal, shared)


@pytest.fixture
def inspector(settings: Settings, journal: Journal, shared: Shared) -> Inspector:
    return Inspector(settings, journal, shared)


@pytest.fixture
def recorder(settings: Settings, journal: Journal, shared: Shared) -> Recorder:
    return Recorder(settings, journal, shared)
