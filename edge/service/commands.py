"""A command of the contract in, what it came to out: replay, inspect, pause, resume, rescan, info, taught, models.

Called in the publisher's thread and in the attendant's, one at a time, and does not block; what a command changes, the
threads meet in `Shared` or the journal. What changes something is written into the audit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from edge import __version__
from edge.config import Settings
from edge.errors import EdgeError, ModelError
from edge.fleet.shelf import Shelf, Standing
from edge.inspection import taught_shelf
from edge.inspection.pipeline import region_judge
from edge.journal import Journal, audit
from edge.service.shared import Shared
from edge.wire.documents import FleetFields
from edge.wire.encode import display_path

log = logging.getLogger(__name__)

AUDITED: Final = frozenset({"inspect", "pause", "resume", "rescan", "taught", "models"})


class Commands:
    """What a dashboard may ask for."""

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        self._settings = settings
        self._journal = journal
        self._shared = shared
        self._one_at_a_time = threading.Lock()

    def carry_out(self, name: str, fields: dict[str, Any], who: str | None = None) -> Mapping[str, Any] | None:
        """Carry out one command; its fields are checked already. Raises ValueError or an EdgeError with the reason.

        who: the user of the page who asks, None for a command over MQTT.
        """
        with self._one_at_a_time:
            try:
                result = self._carried_out(name, fields)
            except (EdgeError, ValueError) as error:
                self._audit(name, fields, who, {"error": str(error), "result": None})
                raise
            self._audit(name, fields, who, {"error": None, "result": result})
            return result

    def _audit(self, name: str, fields: dict[str, Any], who: str | None, told: Mapping[str, Any]) -> None:
        if name not in AUDITED:
            return
        try:
            audit.append(self._journal.folder, at=time.time(), who=who, command=name, fields=fields, told=told)
        except OSError as error:  # a full disk; the log has it all the same
            log.warning("command %s is not in the audit: %s", name, error)

    def _carried_out(self, name: str, fields: dict[str, Any]) -> Mapping[str, Any] | None:
        if name == "replay":
            wanted = str(fields["epoch"]), fields["first"], fields["last"]
            return {"messages": self._journal.outbox.replay(*wanted, behind_others=True)}
        if name == "inspect":
            return self._inspect_again(str(fields["inspection_id"]))
        if name in ("pause", "resume"):
            return self._pause(name == "pause")
        if name == "rescan":
            self._shared.rescan_wanted.set()
            self._shared.scan_now.set()
            return {}
        if name == "taught":
            return choose_adaptation(self._in_use, self._shared, fields["sha256"])
        if name == "models":
            return choose_models(self._settings, self._shared, fields["action"], fields["release"])
        return self._info()

    @property
    def _in_use(self) -> Settings:
        return self._shared.in_use or self._settings

    def _inspect_again(self, verdict_id: str) -> dict[str, Any]:
        entry = self._journal.ledger.again(verdict_id)
        if entry is None:
            raise ValueError("no inspection with this id is known here")
        self._shared.new_work.set()
        return {"path": display_path(entry.path), "revision": entry.revision, "run": entry.run}

    def _pause(self, wanted: bool) -> dict[str, Any]:
        paused = self._shared.paused
        (paused.set if wanted else paused.clear)()
        self._shared.new_work.set()
        self._shared.status.changed()
        return {"paused": paused.is_set()}

    def _info(self) -> dict[str, Any]:
        backend, precision = self._shared.figures.runs_on
        return {
            "version": __version__,
            "backend": backend,
            "precision": precision,
            "epoch": self._journal.epoch,
            "settings_sha256": self._in_use.inspection_sha256(),
            "taught": self._shared.figures.taught,
            "fleet": None if (fleet := fleet_fields(self._settings, self._shared)) is None else fleet.model_dump(),
            **{key: value for key, value in self._journal.info().items() if key != "epoch"},
        }


def choose_models(settings: Settings, shared: Shared, action: str, release_id: str) -> dict[str, Any]:
    """Switch to a checked release, go back from it, or forget it; it counts from the next image on.

    Its cards and hashes are checked first, and the choice is remembered before it is used. Raises ValueError or ModelError,
    and nothing has changed then.
    """
    if not settings.fleet.source:
        raise ValueError("fleet.source in the configuration is empty, so the models are those of the configuration")
    shelf = Shelf(settings.state.folder)
    before = shelf.standing()
    try:
        if action == "switch":
            if before.active != release_id:
                tried = shelf.get(release_id).in_place_of(settings)
                taught_shelf.cards_of(tried)
                region_judge(tried)
            now = shelf.switch(release_id)
        else:
            now = shelf.rollback(release_id) if action == "rollback" else shelf.drop(release_id)
    except OSError as error:
        raise ValueError(f"the choice cannot be written into {settings.state.folder}: {error.strerror or error}") from error
    if (now.active, now.why_back) != (before.active, before.why_back):
        shared.models_wanted.set()
    shared.shelf_changed.set()
    shared.status.changed()
    return {"active": now.active, "previous": now.previous, "candidate": now.candidate}


def fleet_fields(settings: Settings, shared: Shared) -> FleetFields | None:
    """How signed models from the fleet stand here, None where none are taken."""
    if not settings.fleet.source:
        return None
    try:
        now = Shelf(settings.state.folder).standing()
    except ModelError:  # said in the status, see `edge.service.inspector`
        now = Standing()
    figures = shared.figures
    return FleetFields(
        active=now.active,
        previous=now.previous,
        can_roll_back=now.can_go_back,
        candidate=now.candidate,
        announced=figures.announced,
        shadow=figures.shadow if now.candidate is not None else None,
    )


def choose_adaptation(settings: Settings, shared: Shared, sha256: str | None) -> dict[str, Any]:
    """Have this adaptation used from the next image on, None: none. It is checked first, and remembered before it is used.

    Raises ValueError or ModelError, and nothing has changed then.
    """
    if settings.models.taught != taught_shelf.STATE:
        raise ValueError('models.taught in the configuration names what is used: set it to "state" to choose by command')
    if sha256 is not None:
        taught_shelf.usable(settings, sha256)
    try:
        choice = taught_shelf.choose(settings.state.folder, sha256)
    except OSError as error:
        raise ValueError(f"the choice cannot be written into {settings.state.folder}: {error.strerror or error}") from error
    shared.models_wanted.set()
    return {"sha256": choice.sha256, "before": choice.before}
