"""The section `[fleet]`: where announced models come from, and where they are announced.

Below all rooms, as a part of `edge.config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config_section import Section, check_certificates
from edge.wording import form_of


class FleetSettings(Section):
    """Signed models for many boxes. source: a folder or an address with a folder for each release, empty: none is taken.

    topic: of the announcement, the whole of it, outside of the device's prefix.  shadow: whether a candidate is run beside.
    timeout_s: longest silence of the server.  Passwords and certificates are those of a web server at `source`.
    """

    topic: Annotated[
        str,
        form_of(
            r"[^+#/$\x00-\x1f][^+#\x00-\x1f]*[^+#/\x00-\x1f]",
            "must be a topic, without +, # and control characters, nor / at an end",
        ),
    ] = Field("edge/models", max_length=200)
    source: str = Field("", max_length=1000)
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    proxy: Annotated[str, form_of(r"|none|http://[^\s/]+/?", "must be http://HOST:PORT, none, or empty")] = ""
    timeout_s: float = Field(30.0, gt=0, le=300)
    shadow: bool = True

    @field_validator("source")
    @classmethod
    def _somewhere(cls, text: str) -> str:
        if not text:
            return text
        if "://" not in text:
            if not Path(text).is_absolute():
                raise ValueError("must be a folder with its whole path, or an address that begins with https:// or http://")
            return text
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"is no address: {error}") from error
        if parts.scheme not in ("http", "https"):
            raise ValueError("must be a folder with its whole path, or an address that begins with https:// or http://")
        if not parts.hostname or port == 0:
            raise ValueError("names no host, or the port 0")
        if parts.username is not None:
            raise ValueError("cannot hold a user or a password: use user and password_file")
        if parts.query or parts.fragment:
            raise ValueError("cannot hold ? or #: names of releases and files are put behind it")
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("cannot hold spaces or characters beyond ASCII: write them as %XX, and a host name as xn--…")
        return text.rstrip("/")

    @model_validator(mode="after")
    def _possible(self) -> FleetSettings:
        check_certificates(self, self.source.startswith("https:"), "a source that begins with https://")
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file belong together")
        if self.user and not self.on_the_web:
            raise ValueError("user and password_file have no effect without a source on a web server")
        return self

    @property
    def on_the_web(self) -> bool:
        """Whether `source` is an address and no folder."""
        return "://" in self.source

    @property
    def parts(self) -> SplitResult:
        """Of `source`, where that is an address."""
        return urlsplit(self.source)

    @property
    def where(self) -> str:
        """Host and port of the address, for people."""
        return self.parts.netloc
