"""The sections `[csv]` and `[webhook]`: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config import load_for_command, parse
from edge.config_sinks import WebhookSettings
from edge.config_text import read, written
from edge.errors import ConfigError


def refused(**webhook: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse({"watch": {"folder": "/a"}, "webhook": webhook}, {})
    return str(caught.value)


def test_both_are_off_by_default() -> None:
    settings = parse({"watch": {"folder": "/a"}}, {})
    assert (settings.csv.folder, settings.webhook.url) == ("", "")


def test_an_address_must_be_one_and_hold_no_secret() -> None:
    assert "must be an address that begins with https:// or http://" in refused(url="ftp://x/y")
    assert "put a token into token_file" in refused(url="https://me:secret@host/x")
    assert "names no host" in refused(url="https:///x")
    assert "is no address" in refused(url="https://host:port/x")
    assert "beyond ASCII" in refused(url="https://host/ü")
    assert "must be http://HOST:PORT, none, or empty" in refused(url="https://h/", proxy="socks5://h:1")


def test_headers_hold_no_secrets_and_nothing_that_ends_a_line() -> None:
    assert "is no name of a header" in refused(url="https://h/", headers={"a b": "c"})
    assert "must be printable ASCII" in refused(url="https://h/", headers={"X-A": "b\r\nX-C: d"})
    for own in ("Authorization", "Idempotency-Key", "webhook-id", "Host"):
        assert "it is ours" in refused(url="https://h/", headers={own: "x"})


def test_certificates_are_for_https() -> None:
    assert "no effect" in refused(url="http://h/", ca_file="/ca")
    assert "cert_file needs key_file" in refused(url="https://h/", cert_file="/c")


def test_headers_come_from_the_environment_and_survive_being_written_down() -> None:
    environment = {"EDGE_WEBHOOK__HEADERS": '{ X-Plant = "7" }', "EDGE_WEBHOOK__URL": "https://h:8443/x?y=1"}
    settings = parse({"watch": {"folder": "/a"}, "csv": {"folder": "/b"}}, environment)
    assert settings.webhook.headers == {"X-Plant": "7"}
    assert read(written(settings)) == settings
    assert load_for_command(None, environment).webhook == settings.webhook


def test_an_address_is_shown_without_its_path() -> None:
    assert WebhookSettings(url="https://h:8443/hook/secret-of-a-kind").where == "h:8443"


def test_without_a_broker_nothing_can_be_asked_of_it() -> None:
    assert parse({"watch": {"folder": "/a"}, "mqtt": {"host": ""}}, {}).mqtt.host == ""
    with pytest.raises(ConfigError, match="home_assistant and sparkplug need a broker"):
        parse({"watch": {"folder": "/a"}, "mqtt": {"host": "", "home_assistant": True}}, {})
