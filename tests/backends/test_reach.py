"""Who cannot reach the inference server is told why, and what to look at."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.backends import reach
from edge.backends.reach import context_of, unreached
from edge.backends.server import ServerSettings
from tests.fakes.v2_server import V2Server, grpc

trustme = pytest.importorskip("trustme")
OURS, FOREIGN = trustme.CA(), trustme.CA()
NOW = datetime.datetime.now(datetime.timezone.utc)
OVER = {"not_before": NOW - datetime.timedelta(days=9), "not_after": NOW - datetime.timedelta(days=1)}
EARLY = {"not_before": NOW + datetime.timedelta(days=1), "not_after": NOW + datetime.timedelta(days=9)}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority's certificate, and some of boxes: made in the folder in which a test runs."""
    monkeypatch.chdir(tmp_path)
    OURS.cert_pem.write_to_path("ca.pem")
    for name, made in {"good": OURS.issue_cert("box"), "over": OURS.issue_cert("box", **OVER),
                       "foreign": FOREIGN.issue_cert("box")}.items():  # fmt: skip
        made.cert_chain_pems[0].write_to_path(f"{name}.pem")
        made.private_key_pem.write_to_path(f"{name}.key")


def encrypted(*names: str, by: Any = OURS, clients: bool = False, **times: Any) -> V2Server:
    made = by.issue_cert(*(names or ("localhost",)), **times)
    pairs = [(made.private_key_pem.bytes(), b"".join(one.bytes() for one in made.cert_chain_pems))]
    return V2Server(tls=grpc.ssl_server_credentials(pairs, OURS.cert_pem.bytes() if clients else None, clients))


def tls(server: V2Server, box: str = "") -> ServerSettings:
    own = {"cert_file": f"{box}.pem", "key_file": f"{box}.key"} if box else {}
    return ServerSettings(url=server.url, tls=True, ca_file="ca.pem", **own)


def test_one_that_can_be_reached_is_not_complained_of() -> None:
    with V2Server() as plain:
        assert unreached(ServerSettings(url=plain.url)) is None
    with encrypted() as server:
        assert unreached(tls(server)) is None
    with encrypted(clients=True) as server:
        assert unreached(tls(server, "good")) is None


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (encrypted(by=FOREIGN), "is not trusted"),
        (encrypted(**OVER), "has expired: have it renewed there"),
        (encrypted(**EARLY), "is not yet valid: is this machine's clock right?"),
        (encrypted("gpu-box"), "is for another name"),
        (V2Server(), "it does not speak TLS"),
        (encrypted(clients=True), "does it want a certificate of ours? see kserve.cert_file"),
    ],
)
def test_a_server_with_which_tls_cannot_be_spoken_is_told(server: V2Server, says: str) -> None:
    with server:
        found = unreached(tls(server))
    assert found is not None
    assert says in found[0]
    assert found[1], "waiting does not mend it"


@pytest.mark.parametrize(("box", "says"), [("over", "over.pem has expired"), ("foreign", "who signed foreign.pem")])
def test_why_our_certificate_is_refused_is_told(box: str, says: str) -> None:
    with encrypted(clients=True) as server:
        found = unreached(tls(server, box))
    assert found is not None
    assert says in found[0]


def test_one_that_wants_to_be_encrypted_is_told() -> None:
    with encrypted() as server:
        assert unreached(ServerSettings(url=server.url)) == ("it speaks TLS: see kserve.tls", True)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of one that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_one_that_says_nothing_may_come_back(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE_S", 0.2)
    found = unreached(ServerSettings(url=f"127.0.0.1:{silent}", tls=True, ca_file="ca.pem"))
    assert found == ("it takes connections and says nothing for 0.2 s", False)
    assert unreached(ServerSettings(url=f"127.0.0.1:{silent}")) is None, "gRPC tells that it gets no answer"


@pytest.mark.parametrize(
    ("url", "says"),
    [("localhost:1", "nobody listens there"), ("gpu-box.invalid:8001", "its name is not known"), ("h:99999", "kserve.url")],
)
def test_an_address_where_nobody_is_is_told(url: str, says: str) -> None:
    found = unreached(ServerSettings(url=url))
    assert found is not None
    assert says in found[0]
    assert not found[1]


def test_files_that_cannot_be_used_are_told_at_once() -> None:
    settings = ServerSettings(url="localhost:1", tls=True, cert_file="good.pem", key_file="over.key")
    with pytest.raises(ValueError, match="key of another certificate"):
        context_of(settings)
    with V2Server() as server:
        found = unreached(settings.model_copy(update={"url": server.url}))
    assert found == ("over.key is the key of another certificate than good.pem", True)
