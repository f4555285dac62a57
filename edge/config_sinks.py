"""The sections `[csv]`, `[webhook]` and `[opcua]`: where verdicts go beside a broker, or in place of one.

Below all rooms, as a part of `edge.config`.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config_section import Listen, Section, check_certificates
from edge.wording import form_of

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Name of a header (RFC 9110, 5.6.2)."""
OWN_HEADERS: Final = frozenset(
    ("authorization", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding", "connection")
)
"""What is set by us, or is a secret."""


class CsvSettings(Section):
    """One table a day of all verdicts. folder: where, empty for none.

    separator: with ";" numbers have a decimal comma.  must_be_mount: a file system must be mounted on this very folder.
    """

    folder: str = ""
    separator: Literal[",", ";"] = ","
    must_be_mount: bool = False


class WebhookSettings(Section):
    """A server that gets each verdict by POST. url: empty for none.  body: what is sent of an inspection.

    secret_file: of the signature.  token_file: of `Authorization: Bearer`.  headers: further ones, no secrets.
    proxy: `http://HOST:PORT`; empty: as the environment says; "none": never one.
    timeout_s: longest time for one try.
    """

    url: Annotated[str, form_of(r"|https?://[^\s]+", "must be an address that begins with https:// or http://")] = ""
    body: Literal["summary", "inspection"] = "summary"
    secret_file: str = ""
    token_file: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    proxy: Annotated[str, form_of(r"|none|http://[^\s/]+/?", "must be http://HOST:PORT, none, or empty")] = ""
    timeout_s: float = Field(10.0, gt=0, le=300)

    @field_validator("url", "proxy")
    @classmethod
    def _address(cls, text: str) -> str:
        if text in ("", "none"):
            return text
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"is no address: {error}") from error
        if not parts.hostname or port == 0:
            raise ValueError("names no host, or the port 0")
        if not text.isascii() or not text.isprintable():
            raise ValueError("cannot hold characters beyond ASCII: write them as %XX, and a host name as xn--…")
        return text

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if name.lower() in OWN_HEADERS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name!r} cannot be set here: it is ours, and secrets go into secret_file or token_file")
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"the value of {name!r} must be printable ASCII")
        return headers

    @model_validator(mode="after")
    def _possible(self) -> WebhookSettings:
        if urlsplit(self.url).username is not None:
            raise ValueError("url cannot hold a user or a password: put a token into token_file")
        check_certificates(self, self.url.startswith("https:"), "an url that begins with https://")
        return self

    @property
    def parts(self) -> SplitResult:
        """Of `url`."""
        return urlsplit(self.url)

    @property
    def where(self) -> str:
        """Host and port of `url`, for people: its path may be a secret of a kind."""
        return self.parts.netloc


class OpcUaSettings(Section):
    """An OPC UA server of this machine. listen: HOST:PORT, empty for none.

    cert_file, key_file: with them every client must sign and encrypt.
    """

    listen: Listen = ""
    cert_file: str = ""
    key_file: str = ""

    @model_validator(mode="after")
    def _possible(self) -> OpcUaSettings:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        if self.cert_file and not self.listen:
            raise ValueError("cert_file has no effect without listen")
        return self
