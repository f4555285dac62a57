"""A request a verdict, signed; what each answer of the server means for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.config import Settings
from edge.errors import ConfigError
from edge.journal import Journal
from edge.sinks.delivery import TRIES, Delivery
from edge.sinks.sink import NotNowError, RefusedError
from edge.sinks.webhook import Webhook, key_of, signature
from tests import ROOT
from tests.fakes.brokers import eventually
from tests.fakes.http_server import HttpServer, answer
from tests.sinks.making import conclude
from tests.wire.examples import example, failure

Opened = Callable[..., Webhook]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


@pytest.fixture
def opened(configured: Callable[..., Settings], server: HttpServer) -> Opened:
    """The webhook to that server, with these settings."""

    def made(**settings: Any) -> Webhook:
        return Webhook(configured(webhook={"url": f"http://127.0.0.1:{server.port}/hook", "proxy": "none", **settings}))

    return made


def deliver(journal: Journal, webhook: Webhook) -> None:
    webhook.deliver(journal.outbox.unsent(limit=1, channel="webhook"))


@pytest.mark.parametrize(
    ("body", "verdict", "schema"),
    [("summary", example(), "summary"), ("inspection", example(), "inspection"), ("summary", failure(), "failure")],
)
def test_a_verdict_is_posted_as_the_message_that_it_is_over_mqtt(
    journal: Journal, opened: Opened, server: HttpServer, body: str, verdict: Any, schema: str
) -> None:
    webhook = opened(body=body)
    identity = conclude(journal, webhook, "a.tif", verdict)
    deliver(journal, webhook)
    (asked,) = server.asked
    said = json.loads(asked.body)
    jsonschema.validate(said, json.loads((ROOT / "docs" / "schemas" / f"{schema}.json").read_text()))
    assert identity == said.get("inspection_id") or said.get("failure_id")
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == identity
    assert asked.headers["content-type"] == "application/json"
    assert "webhook-signature" not in asked.headers


def test_it_is_signed_so_that_the_receiver_can_tell_who_sent_it(
    journal: Journal, opened: Opened, server: HttpServer, tmp_path: Path
) -> None:
    key = b"twenty-four random bytes"
    (tmp_path / "secret").write_text(f"whsec_{base64.b64encode(key).decode()}\n")
    (tmp_path / "token").write_text("t0ken\n")
    webhook = opened(secret_file=str(tmp_path / "secret"), token_file=str(tmp_path / "token"), headers={"X-Plant": "7"})
    conclude(journal, webhook, "a.tif")
    deliver(journal, webhook)
    (asked,) = server.asked
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert asked.headers["webhook-signature"] == f"v1,{expected}"
    assert (asked.headers["authorization"], asked.headers["x-plant"]) == ("Bearer t0ken", "7")


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_not_there_or_damaged_waits_and_is_told(
    journal: Journal, opened: Opened, server: HttpServer, tmp_path: Path
) -> None:
    webhook = opened(secret_file=str(tmp_path / "secret"))
    conclude(journal, webhook, "a.tif")
    with pytest.raises(NotNowError, match=r"webhook\.secret_file .* cannot be read"):
        deliver(journal, webhook)
    for text in ("", "whsec_", "whsec_%%%"):
        with pytest.raises(ConfigError, match=r"webhook\.secret_file"):
            key_of(text)
    assert key_of("plain") == b"plain"
    (tmp_path / "secret").write_text("plain")
    deliver(journal, webhook)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_200_is_taken(journal: Journal, opened: Opened, server: HttpServer, status: int) -> None:
    server.says = lambda handler, _: answer(handler, status, "" if status == 204 else "thanks")
    webhook = opened()
    conclude(journal, webhook, "a.tif")
    deliver(journal, webhook)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_server_that_cannot_now_is_asked_later(journal: Journal, opened: Opened, server: HttpServer, status: int) -> None:
    server.says = lambda handler, _: answer(handler, status, "busy", Retry_After="9")
    webhook = opened()
    conclude(journal, webhook, "a.tif")
    with pytest.raises(NotNowError, match=f"HTTP {status}.*: busy") as caught:
        deliver(journal, webhook)
    assert caught.value.wait_s == 9


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(journal: Journal, opened: Opened, server: HttpServer, status: int) -> None:
    server.says = lambda handler, _: answer(handler, status, Location="https://other.example/hook")
    webhook = opened()
    conclude(journal, webhook, "a.tif")
    with pytest.raises(NotNowError, match=r"redirects to https://other\.example/hook, which is not followed"):
        deliver(journal, webhook)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 451])
def test_what_the_server_does_not_want_is_refused(journal: Journal, opened: Opened, server: HttpServer, status: int) -> None:
    server.says = lambda handler, _: answer(handler, status, "no such line")
    webhook = opened()
    conclude(journal, webhook, "a.tif")
    with pytest.raises(RefusedError, match=f"HTTP {status}.*: no such line"):
        deliver(journal, webhook)


def test_verdicts_come_in_order_through_every_kind_of_trouble(journal: Journal, opened: Opened, server: HttpServer) -> None:
    troubles = [500, 429, 503, 307, 408]

    def says(handler: Any, number: int) -> None:
        if troubles and number % 2:
            answer(handler, troubles.pop())
        else:
            taken.append(server.asked[number - 1].headers["idempotency-key"])  # before the answer, which brings the next
            answer(handler, 200)

    taken: list[str] = []
    server.says = says
    webhook = opened()
    ids = [conclude(journal, webhook, f"{number}.tif") for number in range(8)]
    delivery = Delivery(webhook, journal.outbox, shortest_wait_s=0.001, longest_wait_s=0.002)
    delivery.start()
    eventually(lambda: len(taken) == 8, 60)
    eventually(lambda: journal.outbox.waiting_in("webhook")[0] == 0)
    assert delivery.stop(20)
    assert taken == ids


def test_a_verdict_that_is_never_wanted_becomes_a_dead_letter_with_the_servers_words(
    journal: Journal, opened: Opened, server: HttpServer
) -> None:
    server.says = lambda handler, _: answer(handler, 422, "severity is no field of mine")
    webhook = opened()
    conclude(journal, webhook, "a.tif")
    delivery = Delivery(webhook, journal.outbox, shortest_wait_s=0.001, longest_wait_s=0.002)
    delivery.start()
    eventually(lambda: journal.outbox.dead_letter_count() == 1, 60)
    assert delivery.stop(20)
    (letter,) = journal.outbox.dead_letters()
    assert letter.topic == "webhook/summary"
    assert letter.reason.endswith("HTTP 422 Unprocessable Entity: severity is no field of mine")
    assert len(server.asked) == TRIES
