"""The section `[fleet]` as it is when nobody writes it; what is refused stands in `tests/fleet/test_source.py`."""

from __future__ import annotations

from edge.config_fleet import FleetSettings


def test_no_box_takes_models_unless_it_is_told_where_from() -> None:
    fleet = FleetSettings()
    assert (fleet.source, fleet.topic, fleet.shadow, fleet.on_the_web) == ("", "edge/models", True, False)


def test_an_address_ends_without_a_slash_and_has_its_parts() -> None:
    fleet = FleetSettings(source="https://models.plant.example:8443/releases/")
    assert (fleet.parts.path, fleet.where, fleet.on_the_web) == ("/releases", "models.plant.example:8443", True)
