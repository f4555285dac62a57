"""A server for many boxes: what it gives is what the box itself would have given, or it counts as away."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends import kserve, table
from edge.backends.kserve import KserveNetwork, served_name
from edge.backends.server import Remote, ServerSettings
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER
from tests.conftest import pitted
from tests.fakes.v2_server import GARBLED, V2Server, grpc

SEGMENTER, CLASSIFIER = BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx"
IMAGE = pitted(160, 128, 1, 3)[None, None]
CROPS = np.stack([pitted(224, 224, seed, 3) for seed in range(6)])[:, None]
Image = NDArray[np.uint8]


class Heard:
    """What is told of the server. waits: whether to wait on."""

    def __init__(self) -> None:
        self.words: list[str | None] = []
        self.waits = True

    def __call__(self, why: str | None) -> bool:
        self.words.append(why)
        return self.waits


@pytest.fixture(scope="module")
def running() -> Iterator[V2Server]:
    with V2Server(SEGMENTER, CLASSIFIER) as server:
        yield server


@pytest.fixture
def server(running: V2Server) -> Iterator[V2Server]:
    yield running
    running.fault, running.poison, running.told, running.extension, running.versions = "", None, None, True, ["1"]
    running.asked.clear()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    monkeypatch.setattr(kserve, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(kserve, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(kserve, "TIMES_ITS_COST", 0)
    return Heard()


Open = Callable[..., KserveNetwork]


@pytest.fixture
def opened(heard: Heard) -> Iterator[Open]:
    networks: list[KserveNetwork] = []

    def open_one(url: str, model: Path = SEGMENTER, **settings: Any) -> KserveNetwork:
        wanted = ServerSettings(**{"url": url, "patience_s": 0.2, "timeout_s": 60.0, **settings})
        networks.append(KserveNetwork(model, remote=Remote(wanted, heard)))
        return networks[-1]

    yield open_one
    for network in networks:
        network.close()


def by_ourselves(model: Path, image: Image) -> dict[str, Any]:
    with table.open_network("onnxruntime", model) as network:
        return dict(network.run(image))


@pytest.mark.parametrize(("model", "image"), [(SEGMENTER, IMAGE), (CLASSIFIER, CROPS)])
def test_it_gives_what_the_box_itself_would_give(model: Path, image: Image, server: V2Server, opened: Open) -> None:
    network = opened(server.url, model)
    there, here = network.run(image), by_ourselves(model, image)
    assert there.keys() == here.keys()
    assert all(np.allclose(there[name], here[name], atol=1e-4) for name in here)
    assert (network.name, network.precision, network.engine_sha256) == ("kserve", "float32", None)


def test_a_request_is_no_larger_than_the_server_takes(server: V2Server, opened: Open) -> None:
    assert len(opened(server.url, CLASSIFIER).run(CROPS)["logits"]) == len(CROPS)
    assert server.largest <= server.most


@pytest.mark.parametrize("fault", ["short", "internal", "busy", *sorted(set(GARBLED) - {"width"})])
def test_what_cannot_be_believed_is_made_here_and_told(fault: str, server: V2Server, opened: Open, heard: Heard) -> None:
    network = opened(server.url)
    server.fault = fault
    outputs = network.run(IMAGE)
    assert np.allclose(outputs["scores"], by_ourselves(SEGMENTER, IMAGE)["scores"], atol=1e-3)
    assert network.name == table.resolve("auto")
    assert "images are inspected here meanwhile" in str(heard.words[-1])
    tries = len(server.asked)
    network.run(IMAGE)
    assert len(server.asked) == tries, "it is left in peace for a while"


def test_it_is_used_again_once_it_answers(
    server: V2Server, opened: Open, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = opened(server.url)
    server.fault = "busy"
    monkeypatch.setattr(kserve, "AGAIN_S", 0.0)
    network.run(IMAGE)
    server.fault = ""
    network.run(IMAGE)
    assert network.name == "kserve"
    assert heard.words[-1] is None


def test_a_short_crowd_is_waited_for(server: V2Server, opened: Open, heard: Heard) -> None:
    network = opened(server.url, patience_s=60.0)
    server.fault = "busy"
    threading.Timer(0.3, lambda: setattr(server, "fault", "")).start()
    network.run(IMAGE)
    assert network.name == "kserve"
    assert heard.words == []


def test_one_that_never_answers_is_given_up(server: V2Server, opened: Open, heard: Heard) -> None:
    server.fault, server.slow_s = "slow", 5.0
    network = opened(server.url, timeout_s=0.2)
    network.run(IMAGE)
    assert network.name != "kserve"
    assert "no answer within 0.2 s (kserve.timeout_s)" in str(heard.words[-1])


def test_one_that_is_slow_and_answers_in_time_is_used(server: V2Server, opened: Open, heard: Heard) -> None:
    server.fault, server.slow_s = "slow", 0.5
    network = opened(server.url)
    network.run(IMAGE)
    assert network.name == "kserve"
    assert heard.words == []


def test_what_it_costs_to_try_it_is_a_small_part_of_the_time(
    server: V2Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve, "AGAIN_S", 0.0)
    monkeypatch.setattr(kserve, "TIMES_ITS_COST", 1e6)
    server.fault = "busy"
    network = opened(server.url)
    network.run(IMAGE)
    server.fault = ""
    network.run(IMAGE)
    assert network.name != "kserve"


def test_who_is_to_stop_waits_for_no_answer(server: V2Server) -> None:
    server.fault, server.slow_s = "slow", 3600.0
    remote = Remote(ServerSettings(url=server.url, timeout_s=600.0), wait_on=lambda: not server.asked)
    with KserveNetwork(SEGMENTER, remote=remote) as network, pytest.raises(BackendError, match="nobody waits"):
        network.run(IMAGE)


def test_what_is_too_large_for_it_is_sent_in_parts(opened: Open, heard: Heard) -> None:
    with V2Server(CLASSIFIER, most=8, largest_bytes=4 * CROPS[0].size) as server:
        network = opened(server.url, CLASSIFIER)
        assert len(network.run(CROPS)["logits"]) == len(CROPS)
        assert (network.name, server.largest) == ("kserve", 3)
    with V2Server(CLASSIFIER, largest_bytes=1000) as server:
        opened(server.url, CLASSIFIER).run(CROPS)
        assert "larger than max" in str(heard.words[-1])


def test_an_embedding_of_another_width_is_not_believed(server: V2Server, opened: Open, heard: Heard) -> None:
    server.fault = "width"
    opened(server.url, CLASSIFIER).run(CROPS)
    assert "its answer's embedding have the shape" in str(heard.words[-1])


@pytest.mark.parametrize(
    ("told", "says"),
    [({"sha256": "f" * 64}, "another model (ffffffffffff…)"), ({"sha256": "", "precision": "int8"}, "runs in 'int8'")],
)
def test_another_model_is_not_believed(told: dict[str, str], says: str, server: V2Server, opened: Open, heard: Heard) -> None:
    server.told = told
    opened(server.url).run(IMAGE)
    assert says in str(heard.words[-1])
    assert server.asked == []


def test_a_model_that_nobody_serves_is_named(opened: Open, heard: Heard) -> None:
    with V2Server(CLASSIFIER) as other:
        opened(other.url).run(IMAGE)
    assert "it serves no segmenter-" in str(heard.words[-1])


@pytest.mark.parametrize("how", ["parameter", "version"])
def test_a_plain_name_has_to_prove_what_it_serves(how: str, opened: Open, heard: Heard) -> None:
    proof: dict[str, Any] = {}
    if how == "version":
        proof = {"versions": [kserve.hashlib.sha256(SEGMENTER.read_bytes()).hexdigest()], "extension": False}
    with V2Server(SEGMENTER, name="segmenter", **proof) as proving:
        network = opened(proving.url)
        network.run(IMAGE)
        assert network.name == "kserve"
    with V2Server(SEGMENTER, name="segmenter", extension=False) as silent:
        opened(silent.url).run(IMAGE)
        assert "without saying its hash" in str(heard.words[-1])


def test_a_model_that_is_exchanged_is_noticed(server: V2Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    network = opened(server.url)
    network.run(IMAGE)
    monkeypatch.setattr(kserve, "CHECK_S", 0.0)
    server.told = {"sha256": "e" * 64}
    network.run(IMAGE)
    assert network.name != "kserve"


def test_a_plain_name_is_asked_again_after_its_answer(opened: Open, heard: Heard) -> None:
    with V2Server(SEGMENTER, name="segmenter") as server:
        network = opened(server.url)
        network.run(IMAGE)
        assert network.name == "kserve"
        server.told = {"sha256": "e" * 64}  # well within CHECK_S
        network.run(IMAGE)
        assert network.name != "kserve"
        assert "as segmenter it serves another model (eeeeeeeeeeee…)" in str(heard.words[-1])


def test_another_version_in_an_answer_is_noticed(server: V2Server, opened: Open, heard: Heard) -> None:
    network = opened(server.url)
    network.run(IMAGE)
    network._infer, infer = lambda *a: _of_version(infer(*a), "2"), network._infer  # type: ignore[method-assign]
    network.run(IMAGE)
    assert "another version of the model" in str(heard.words[-1])


def _of_version(answer: Any, version: str) -> Any:
    answer.get_response().model_version = version
    return answer


def test_its_precision_and_engine_stand_in_the_verdict(server: V2Server, opened: Open) -> None:
    network = opened(server.url)
    sha256 = kserve.hashlib.sha256(SEGMENTER.read_bytes()).hexdigest()
    server.told = {"sha256": sha256, "precision": "float16", "engine_sha256": "a" * 64}
    network.run(IMAGE)
    assert (network.precision, network.engine_sha256) == ("float16", "a" * 64)


def test_who_is_told_to_wait_waits_until_it_is_there(opened: Open, heard: Heard) -> None:
    server = V2Server(SEGMENTER).start()
    server.stop()
    network, outputs = opened(server.url, away="wait"), list[Any]()
    waiting = threading.Thread(target=lambda: outputs.append(network.run(IMAGE)))
    waiting.start()
    while not heard.words:
        time.sleep(0.01)
    assert not outputs
    with server:
        waiting.join(60)
        assert outputs
    assert heard.words[-1] is None


def test_waiting_ends_when_nobody_wants_to(server: V2Server, opened: Open, heard: Heard) -> None:
    server.fault, heard.waits = "busy", False
    with pytest.raises(BackendError, match="cannot be used: unavailable"):
        opened(server.url, away="wait").run(IMAGE)


def test_a_command_waits_as_long_as_its_patience(server: V2Server, caplog: pytest.LogCaptureFixture) -> None:
    server.fault = "busy"
    remote = Remote(ServerSettings(url=server.url, away="wait", patience_s=0.2))
    with KserveNetwork(SEGMENTER, remote=remote) as network, pytest.raises(BackendError, match="cannot be used"):
        network.run(IMAGE)
    assert caplog.text.count("cannot be used") == 1


def test_an_image_that_it_alone_refuses_is_to_blame(server: V2Server, opened: Open, heard: Heard) -> None:
    server.poison = 77
    network = opened(server.url, away="wait")
    with pytest.raises(BackendError, match="refuses this image: internal: the model failed"):
        network.run(np.full((1, 1, 64, 64), 77, np.uint8))
    network.run(IMAGE)
    assert heard.words[-1] is None


def test_a_server_that_refuses_all_images_blames_none(server: V2Server, opened: Open, heard: Heard) -> None:
    server.fault = "internal"
    network, outputs = opened(server.url, away="wait"), list[Any]()
    waiting = threading.Thread(target=lambda: outputs.append(network.run(IMAGE)))
    waiting.start()
    while len(heard.words) < kserve.CLEAR_REFUSALS + 2:
        time.sleep(0.01)
    assert not outputs
    server.fault = ""
    waiting.join(60)
    assert outputs


def test_it_needs_an_address_and_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"kserve\.url"):
        table.open_network("kserve", SEGMENTER)
    monkeypatch.setitem(__import__("sys").modules, "tritonclient", None)
    with pytest.raises(BackendError, match=r"sem-corrosion-edge\[kserve\]"):
        KserveNetwork(SEGMENTER, remote=Remote(ServerSettings(url="localhost:1")))


def test_a_name_tells_two_versions_apart(tmp_path: Path) -> None:
    shutil.copy(SEGMENTER, tmp_path / "mine.onnx")
    assert served_name("mine", "0123456789abcdef00") == "mine-0123456789abcdef"
    with V2Server(tmp_path / "mine.onnx") as server:
        remote = Remote(ServerSettings(url=server.url))
        with KserveNetwork(tmp_path / "mine.onnx", remote=remote) as network:
            network.run(IMAGE)
            assert network.name == "kserve"


# ---------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def authority() -> Any:
    return pytest.importorskip("trustme").CA()


def tls_server(authority: Any, *names: str, clients: Any = None) -> V2Server:
    made = authority.issue_cert(*names)
    chain = b"".join(one.bytes() for one in made.cert_chain_pems)
    trusted = clients.cert_pem.bytes() if clients else None
    wanted = grpc.ssl_server_credentials([(made.private_key_pem.bytes(), chain)], trusted, clients is not None)
    return V2Server(SEGMENTER, tls=wanted)


def test_it_is_encrypted_and_both_sides_are_known(authority: Any, tmp_path: Path, opened: Open, heard: Heard) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours = authority.issue_cert("box-1")
    ours.private_key_pem.write_to_path(str(tmp_path / "box.key"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "box.pem"))
    files = {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(tmp_path / "box.pem"), "key_file": str(tmp_path / "box.key")}
    with tls_server(authority, "localhost", clients=authority) as server:
        network = opened(server.url, tls=True, **files)
        network.run(IMAGE)
        assert network.name == "kserve"
        nameless = opened(server.url, tls=True, ca_file=files["ca_file"])
        nameless.run(IMAGE)
        assert nameless.name != "kserve"
        assert "does it want a certificate of ours? see kserve.cert_file" in str(heard.words[-1])


def test_a_renewed_certificate_is_taken_without_a_restart(
    authority: Any, tmp_path: Path, opened: Open, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve, "CHECK_S", 0.0)
    monkeypatch.setattr(kserve, "AGAIN_S", 0.0)
    pytest.importorskip("trustme").CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls_server(authority, "localhost") as server:
        network = opened(server.url, tls=True, ca_file=str(tmp_path / "ca.pem"))
        network.run(IMAGE)
        assert network.name != "kserve"
        authority.cert_pem.write_to_path(str(tmp_path / "new.pem"))
        (tmp_path / "new.pem").replace(tmp_path / "ca.pem")
        network.run(IMAGE)
        assert network.name == "kserve"


WRONG = {"authority": "is not trusted", "name": "is for another name", "plain": "it speaks TLS: see kserve.tls"}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_is_not_the_one_is_not_used(
    wrong: str, authority: Any, tmp_path: Path, opened: Open, heard: Heard
) -> None:
    trustme = pytest.importorskip("trustme")
    (trustme.CA() if wrong == "authority" else authority).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls_server(authority, "gpu-box" if wrong == "name" else "localhost") as server:
        settings = {} if wrong == "plain" else {"tls": True, "ca_file": str(tmp_path / "ca.pem")}
        network = opened(server.url, **settings, patience_s=3600.0)  # it is not waited for
        network.run(IMAGE)
        assert network.name != "kserve"
        assert WRONG[wrong] in str(heard.words[-1])


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_none_is_named(content: str | None, tmp_path: Path, opened: Open) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(BackendError, match=r"ca\.pem (cannot be read|holds no certificate)"):
        opened("localhost:1", tls=True, ca_file=str(tmp_path / "ca.pem"))
