"""What the service says of itself."""

from __future__ import annotations

from edge.config import Settings
from edge.journal import Journal
from edge.service.reports import Reports
from edge.service.shared import Shared


def test_it_is_not_online_before_the_models_are_loaded(settings: Settings, journal: Journal, shared: Shared) -> None:
    assert Reports(settings, journal, shared).status().state == "degraded"
