from __future__ import annotations

import pytest

from edge.errors import ConfigError
from edge.web.subscriber import broker_of


@pytest.mark.parametrize(
    ("url", "port", "tls", "websocket"),
    [
        ("mqtt://h", 1883, False, None),
        ("mqtts://h", 8883, True, None),
        ("ws://h", 80, False, "/mqtt"),
        ("wss://h:9001/here", 9001, True, "/here"),
        ("mqtt://[::1]:1884", 1884, False, None),
    ],
)
def test_an_address_says_how_to_connect(url: str, port: int, tls: bool, websocket: str | None) -> None:
    broker = broker_of(url)
    assert (broker.port, broker.tls, broker.websocket) == (port, tls, websocket)


@pytest.mark.parametrize(
    "url", ["", "h", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h:99999", "mqtt://h/topic", "mqtt://u:p@h", "ws://h?a=b"]
)
def test_other_addresses_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError):
        broker_of(url)


def test_certificates_need_tls_and_a_password_its_user() -> None:
    with pytest.raises(ConfigError, match="mqtts"):
        broker_of("mqtt://h", ca_file="x")
    with pytest.raises(ConfigError, match="USER"):
        broker_of("mqtt://h", password_file="x")
