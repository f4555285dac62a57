"""Where an inference server is and who may be believed there: the section `[kserve]`, and who hears that it is away.

Nothing of a library for servers is imported here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.wording import form_of

log = logging.getLogger(__name__)

Tell = Callable[[str | None], bool]
"""Hears why the server does not answer, None when it does again; says whether to wait on. Called by any thread."""

WaitOn = Callable[[], bool]
"""Asked a few times a second while an answer is awaited; says whether to wait on. Called by any thread."""

Address = Annotated[
    str, form_of(r"|(\[[0-9a-fA-F:]+\]|[^:\s\[\]/]+):\d{1,5}", "must be HOST:PORT, such as gpu-box:8001, or empty")
]


class ServerSettings(BaseModel):
    """A server of the KServe v2 protocol over gRPC.

    url: HOST:PORT.  tls: encrypted; with `ca_file` who signed its certificate, with `cert_file` and `key_file` who we are.
    away: what to do while it does not answer: "wait", or inspect with the box's "own" backend meanwhile.
    timeout_s: longest wait for one answer.  patience_s: so long an image is offered again before the server counts as away.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)

    url: Address = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    away: Literal["own", "wait"] = "own"
    timeout_s: float = Field(10.0, gt=0, le=600)
    patience_s: float = Field(5.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _whole(self) -> ServerSettings:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("kserve.cert_file and kserve.key_file belong together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("kserve.ca_file and kserve.cert_file are of use with kserve.tls = true alone")
        return self


class Remote:
    """A server as the networks that run there see it, in whatever thread."""

    def __init__(self, settings: ServerSettings, tell: Tell | None = None, wait_on: WaitOn = lambda: True) -> None:
        """tell: see `Tell`; without one a command waits for `patience_s` and no longer.  wait_on: see `WaitOn`."""
        self.settings = settings
        self.wait_on = wait_on
        self._tell = tell or self._tell_log
        self._away: dict[object, str] = {}
        self._mutex = threading.Lock()
        self._since: float | None = None

    @property
    def is_known_away(self) -> bool:
        """Whether one of its networks was patient in vain and no answer came since: the others need not be."""
        with self._mutex:
            return bool(self._away)

    def is_away(self, who: object, why: str) -> bool:
        """Tell that it does not answer this network; whether to wait on."""
        with self._mutex:
            self._away[who] = why
        return self._tell(why)

    def is_back(self, who: object) -> None:
        """Tell that it answers this network, once it answers all."""
        with self._mutex:
            was_away = self._away.pop(who, None) is not None
            others = next(iter(self._away.values()), None)
        if was_away:
            self._tell(others)

    def _tell_log(self, why: str | None) -> bool:
        now = time.monotonic()
        if why is None:
            log.warning("the inference server at %s answers again", self.settings.url)
            self._since = None
            return True
        if self._since is None:
            self._since = now
            log.warning("%s", why)
        return now - self._since < self.settings.patience_s
