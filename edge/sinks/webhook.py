"""Verdicts in, a POST of JSON each out, signed, until the server has taken it or refused it for good.

The signature is that of Standard Webhooks 1.0.0: HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Final

from edge import __version__
from edge.config import Settings
from edge.config_section import secret_of
from edge.config_sinks import WebhookSettings
from edge.errors import ConfigError
from edge.journal import Outgoing
from edge.records import Inspection
from edge.sinks.post import Answer, post
from edge.sinks.sink import NotNowError, RefusedError
from edge.wire.channel import Numbered, Publication
from edge.wire.encode import shorten
from edge.wire.failure import encode_failure
from edge.wire.inspection import encode_inspection
from edge.wire.summary import encode_summary

LATER: Final = frozenset((408, 425, 429))
"""Of the answers from 400 to 499: those that are about the moment, not about the message."""
PREFIX: Final = "whsec_"
"""Of a secret in Base64."""
LONGEST_REASON: Final = 200


class Webhook:
    """One request a verdict, in order, each on a connection of its own. Secrets and certificates are read for each."""

    name, at_once = "webhook", 1

    def __init__(self, settings: Settings) -> None:
        self._device, self._webhook = settings.device, settings.webhook
        self.subject = f"webhook.url {settings.webhook.where}"

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """The message as it is sent, at whatever time that is."""
        verdict, epoch, seq, device = numbered.verdict, numbered.epoch, numbered.seq, self._device
        if not isinstance(verdict, Inspection):
            failed = encode_failure(verdict, failure_id=numbered.verdict_id, epoch=epoch, seq=seq, device=device)
            return (Publication("webhook/failure", failed),)
        encode = encode_summary if self._webhook.body == "summary" else encode_inspection
        payload = encode(verdict, inspection_id=numbered.verdict_id, epoch=epoch, seq=seq, device=device)
        return (Publication(f"webhook/{self._webhook.body}", payload),)

    def deliver(self, rows: Sequence[Outgoing]) -> None:
        """Have the server take each of them."""
        for row in rows:
            body = row.payload or b""
            try:
                headers = headers_of(self._webhook, row.verdict_id, body, int(time.time()))
            except ConfigError as error:
                raise NotNowError(str(error)) from error
            _judge(post(self._webhook, body, headers))


def headers_of(webhook: WebhookSettings, verdict_id: str, body: bytes, at: int) -> dict[str, str]:
    """All that one request says of itself. at: seconds since 1970. Raises ConfigError where a secret cannot be read."""
    headers = {
        **webhook.headers,
        "Content-Type": "application/json",
        "User-Agent": f"sem-corrosion-edge/{__version__}",
        "Idempotency-Key": verdict_id,
        "webhook-id": verdict_id,
        "webhook-timestamp": str(at),
    }
    if webhook.secret_file:
        key = key_of(secret_of("webhook.secret_file", webhook.secret_file))
        headers["webhook-signature"] = f"v1,{signature(key, verdict_id, at, body)}"
    if webhook.token_file:
        token = secret_of("webhook.token_file", webhook.token_file).strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ConfigError(f"webhook.token_file {webhook.token_file} must hold one line of printable ASCII")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def key_of(secret: str) -> bytes:
    """The bytes of a secret: behind `whsec_` Base64, else the text itself. Raises ConfigError for an empty or a damaged one."""
    text = secret.strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else text.encode()
    except binascii.Error as error:
        raise ConfigError(f"webhook.secret_file: what stands behind {PREFIX} is no Base64 ({error})") from error
    if not key:
        raise ConfigError("webhook.secret_file holds no secret")
    return key


def signature(key: bytes, verdict_id: str, at: int, body: bytes) -> str:
    """HMAC-SHA256 of `id.timestamp.body`, in Base64 (Standard Webhooks 1.0.0, "Signature scheme")."""
    signed = f"{verdict_id}.{at}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _judge(answer: Answer) -> None:
    """Raises what the answer means, nothing where the message was taken."""
    if 200 <= answer.status < 300:
        return
    said = shorten(
        f"HTTP {answer.status} {answer.reason}".strip() + (f": {answer.text}" if answer.text else ""), LONGEST_REASON
    )
    if 300 <= answer.status < 400:
        to = f" to {shorten(answer.location, LONGEST_REASON)}" if answer.location else ""
        raise NotNowError(f"HTTP {answer.status}: it redirects{to}, which is not followed: name the right address")
    if 400 <= answer.status < 500 and answer.status not in LATER:
        raise RefusedError(said)
    raise NotNowError(said, answer.retry_after_s)
