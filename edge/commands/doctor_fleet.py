"""The settings of the fleet in, findings out: whether signed models can come here, and which are here.

It fetches and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from edge.commands.finding import Finding
from edge.config import CommandSettings, Settings
from edge.errors import ConfigError, ModelError
from edge.fleet.shelf import AllSettings, Shelf, in_use
from edge.fleet.source import IN_TOML, credentials
from edge.models.signature import PublicKey
from edge.service.cures import cure_of
from edge.sinks.post import reach
from edge.sinks.sink import NotNowError


def look_at_fleet(settings: Settings) -> Iterator[Finding]:
    """Nothing where no source is named."""
    fleet = settings.fleet
    if not fleet.source:
        return
    if find_spec("cryptography") is None:
        yield Finding("fleet", "problem", "signatures cannot be checked", "pip install 'sem-corrosion-edge[signed]'")
    key = PublicKey.parse(settings.models.public_key).name
    if not settings.mqtt.host:
        yield Finding("fleet", "problem", "mqtt.host is empty, and models are announced by a broker", "name the broker's host")
    yield _source(settings)
    yield Finding("fleet", "ok", f"models that {key} signed are taken when they are announced on {fleet.topic}")
    try:
        now = Shelf(settings.state.folder).standing()
    except ModelError as error:
        yield Finding("fleet", "problem", str(error), "models of the configuration are used meanwhile")
        return
    used = f"release {now.active}" if now.active else "the models of the configuration"
    waits = f"; {now.candidate} waits for `edge-models switch`" if now.candidate else ""
    yield Finding("fleet", "ok", f"in use: {used}{waits}")
    if now.why_back:
        told = f"the chosen models are not used: {now.why_back}"
        yield Finding("fleet", "problem", told, cure_of(told))


def settings_in_use(settings: AllSettings) -> tuple[AllSettings, str | None]:
    """The settings with the models that run, and why a release is not among them, None where nothing is amiss."""
    try:
        return in_use(settings), None
    except (ModelError, ConfigError) as error:
        return settings, str(error)


def _source(settings: CommandSettings) -> Finding:
    fleet = settings.fleet
    try:
        if fleet.on_the_web:
            credentials(fleet)
            reach(fleet, IN_TOML)
            return Finding("fleet", "ok", f"{fleet.where} took a connection; what it has is seen with the first release")
        os.scandir(Path(fleet.source)).close()
    except NotNowError as error:
        why = str(error)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        return Finding("fleet", "ok", f"{fleet.source} can be read; what it has is seen with the first release")
    text = f"fleet.source {fleet.where if fleet.on_the_web else fleet.source}: {why}"
    return Finding("fleet", "problem", text, "images are inspected with the models in use; releases come when it is reached")
