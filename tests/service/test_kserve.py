"""The real service with a server for its models: it goes away and comes back, and no image is lost."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge.backends import table
from edge.models.card import BUILTIN_FOLDER
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.v2_server import V2Server, grpc
from tests.service.running_daemon import PREFIX, Service, by_name, png, valid, verdicts, wait_until_online

pytestmark = pytest.mark.broker
MODELS = (BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx")


def reasons(listener: Listener) -> str:
    return " ".join(listener.on("/status")[-1].body["reasons"]) if listener.on("/status") else ""


@pytest.mark.parametrize("away", ["own", "wait"])
def test_a_server_that_goes_and_comes_costs_no_image(away: str, tmp_path: Path, broker: Mosquitto) -> None:
    server = V2Server(*MODELS).start()
    settings = {"url": server.url, "away": away, "patience_s": 0.5, "timeout_s": 30.0}
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, models={"backend": "kserve"}, kserve=settings) as service,
    ):
        for number in range(3):
            service.put(f"first-{number}.png", png(number))
        eventually(lambda: len(by_name(dashboard)) == 3, 120, "the first verdicts")
        assert {verdict["model"]["backend"] for verdict in verdicts(dashboard)} == {"kserve"}
        server.stop()
        for number in range(3):
            service.put(f"second-{number}.png", png(10 + number))
        eventually(lambda: "the inference server at" in reasons(dashboard), 60, "the reason")
        if away == "own":
            eventually(lambda: len(by_name(dashboard)) == 6, 120, "verdicts without the server")
            assert by_name(dashboard)["second-2.png"]["model"]["backend"] == table.resolve("auto")
        server.start()
        for number in range(3):
            service.put(f"third-{number}.png", png(20 + number))
        eventually(lambda: len(by_name(dashboard)) == 9, 120, "all verdicts")
        if away == "wait":
            assert {verdict["model"]["backend"] for verdict in verdicts(dashboard)} == {"kserve"}
            eventually(lambda: "the inference server at" not in reasons(dashboard), 60, "the reason is gone")
        assert all(valid(verdict) for verdict in verdicts(dashboard))
        assert [verdict["seq"] for verdict in verdicts(dashboard)] == list(range(1, 10))
        assert service.stop() == 0
    server.stop()


Spoil = Callable[[V2Server, ExitStack], None]


def exchanged(server: V2Server, _: ExitStack) -> None:
    """It is started again with other files under the same names."""
    server.stop()
    server.told = {"sha256": "e" * 64}
    server.start()


def hung(server: V2Server, running: ExitStack) -> None:
    """Something else takes its port: it takes connections and never says a word."""
    server.stop()
    running.enter_context(socket.create_server(("127.0.0.1", server.port)))


def fault(name: str, slow_s: float = 3600.0) -> Spoil:
    def spoil(server: V2Server, _: ExitStack) -> None:
        server.fault, server.slow_s = name, slow_s

    return spoil


WRONG: dict[str, tuple[Spoil, str]] = {
    "another model": (exchanged, "it serves another model (eeeeeeeeeeee…)"),
    "takes connections and never answers": (hung, "no answer within 1 s"),
    "answers what it is asked about, and no image": (fault("slow"), "no answer within 1 s (kserve.timeout_s)"),
    "a little slower than the timeout": (fault("slow", 1.5), "no answer within 1 s (kserve.timeout_s)"),
    "half of the outputs": (fault("no-output"), "its answer has no "),
    "classes that nobody knows": (fault("class"), "its answer's classes go from"),
    "no numbers": (fault("nan"), "are not numbers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_server_with_which_something_is_wrong_costs_no_image(what: str, tmp_path: Path, broker: Mosquitto) -> None:
    spoil, says = WRONG[what]
    slow = "no answer" in says
    settings = {"away": "own", "patience_s": 0.5, "timeout_s": 1.0 if slow else 300.0}
    with (
        V2Server(*MODELS, plain=True) as server,
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, models={"backend": "kserve"}, kserve={"url": server.url, **settings}) as service,
        ExitStack() as running,
    ):
        if not slow:  # else a busy machine is too slow by itself
            wait_until_online(dashboard)
        spoil(server, running)
        for number in range(3):
            service.put(f"{number}.png", png(number))
        eventually(lambda: len(by_name(dashboard)) == 3, 120, "all verdicts")
        assert {verdict["schema"] for verdict in verdicts(dashboard)} == {"edge.inspection/2"}
        assert "kserve" not in {verdict["model"]["backend"] for verdict in verdicts(dashboard)}  # not by the server alone
        eventually(lambda: says in reasons(dashboard), 60, says)
        assert "images are inspected here meanwhile" in reasons(dashboard)
        assert service.stop() == 0


def test_a_server_that_refuses_our_certificate_is_waited_for_and_named(tmp_path: Path, broker: Mosquitto) -> None:
    trustme = pytest.importorskip("trustme")
    ours, foreign = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def box(authority: Any) -> None:
        made = authority.issue_cert("sem-01")
        for part, name in ((made.cert_chain_pems[0], "box.pem"), (made.private_key_pem, "box.key")):
            part.write_to_path(str(tmp_path / f"new-{name}"))
            (tmp_path / f"new-{name}").replace(tmp_path / name)

    box(foreign)
    made = ours.issue_cert("localhost")
    pairs = [(made.private_key_pem.bytes(), b"".join(one.bytes() for one in made.cert_chain_pems))]
    files = {"ca_file": "ca.pem", "cert_file": "box.pem", "key_file": "box.key"}
    paths = {key: str(tmp_path / name) for key, name in files.items()}
    with (
        V2Server(*MODELS, tls=grpc.ssl_server_credentials(pairs, ours.cert_pem.bytes(), True)) as server,
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(
            tmp_path,
            broker.port,
            models={"backend": "kserve"},
            kserve={"url": server.url, "away": "wait", "patience_s": 0.5, "tls": True, **paths},
        ) as service,
    ):
        service.put("waits.png", png(1))
        eventually(lambda: "box.pem" in reasons(dashboard), 60, "which certificate is refused")
        assert not verdicts(dashboard)
        box(ours)  # renewed: no restart is needed
        eventually(lambda: by_name(dashboard), 120, "the verdict")
        assert verdicts(dashboard)[0]["model"]["backend"] == "kserve"
        assert service.stop() == 0


def test_a_service_that_waits_for_an_answer_can_be_stopped(tmp_path: Path, broker: Mosquitto) -> None:
    settings = {"away": "wait", "timeout_s": 600.0}
    with (
        V2Server(*MODELS) as server,
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, models={"backend": "kserve"}, kserve={"url": server.url, **settings}) as service,
    ):
        wait_until_online(dashboard)
        server.asked.clear()
        server.fault = "slow"
        service.put("waits.png", png(1))
        eventually(lambda: server.asked, 60, "the question")
        assert service.stop() == 0
        assert not verdicts(dashboard)


def test_a_service_that_waits_for_its_server_can_be_stopped(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(
            tmp_path,
            broker.port,
            models={"backend": "kserve"},
            kserve={"url": "localhost:1", "away": "wait", "patience_s": 0.5},
        ) as service,
    ):
        service.put("waits.png", png(1))
        eventually(lambda: "the inference server at" in reasons(dashboard), 60, "the reason")
        assert service.stop() == 0
        assert not verdicts(dashboard)
