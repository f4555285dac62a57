"""The section `[kserve]`, and who hears of a server that is away."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.backends.server import Remote, ServerSettings


@pytest.mark.parametrize("url", ["", "gpu-box:8001", "10.0.0.7:8001", "[fe80::1]:8001"])
def test_an_address_has_host_and_port(url: str) -> None:
    assert ServerSettings(url=url).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://gpu-box:8001"},
        {"url": "gpu-box"},
        {"away": "never"},
        {"timeout_s": 0.0},
        {"patience_s": -1.0},
        {"tls": True, "cert_file": "a.pem"},
        {"ca_file": "ca.pem"},
        {"tls": "yes"},
        {"port": 1},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerSettings(**wrong)


def test_it_is_back_when_it_answers_all_of_its_networks() -> None:
    heard: list[str | None] = []
    remote = Remote(ServerSettings(), lambda why: not heard.append(why))  # type: ignore[func-returns-value]
    remote.is_back("stage 1")
    assert heard == []
    assert remote.is_away("stage 1", "it is slow")
    assert remote.is_away("stage 2", "it is gone")
    assert remote.is_known_away
    remote.is_back("stage 1")
    assert heard[-1] == "it is gone"
    remote.is_back("stage 2")
    assert heard[-1] is None
    assert not remote.is_known_away
