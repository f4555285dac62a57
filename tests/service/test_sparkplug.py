"""A Sparkplug node in the real daemon: births and data through a killed broker, a killed daemon and a host that goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.wire.channel import Publication
from edge.wire.sparkplug_b_pb2 import Payload
from tests.fakes.brokers import Listener, Mosquitto, Proxy, eventually
from tests.service.running_daemon import Service, png
from tests.wire.sparkplug_session import Said

NODE, DEVICE = "spBv1.0/plant/{}/lab:s1", "spBv1.0/plant/{}/lab:s1/s1"
STATE = "spBv1.0/STATE/scada"


class Host(Listener):
    """A host application as far as a node can tell: it listens to all, commands, and says its state."""

    def __init__(self, port: int, client_id: str = "host") -> None:
        super().__init__(port, "spBv1.0/#", client_id)

    def __enter__(self) -> Host:
        return self

    def said(self, *kinds: str, node: str = "lab:s1") -> list[Said]:
        heard = [Said(Publication(one.topic, one.payload)) for one in list(self.heard) if "/STATE/" not in one.topic]
        return [one for one in heard if one.publication.topic.split("/")[3] == node and (not kinds or one.kind in kinds)]

    def kinds(self, node: str = "lab:s1") -> list[str]:
        return [one.kind for one in self.said(node=node) if one.kind != "NCMD"]

    def seqs(self, node: str = "lab:s1") -> list[int]:
        """Of all verdicts that it was told of, in births or data, each once."""
        told = [one.values.get("seq") for one in self.said("DBIRTH", "DDATA", node=node)]
        return sorted({seq for seq in told if seq is not None})

    def data(self, node: str = "lab:s1") -> set[int]:
        """Of verdicts that came as data."""
        return {one.values["seq"] for one in self.said("DDATA", node=node)}

    def state(self, online: bool, timestamp: int) -> None:
        self.say(STATE, json.dumps({"online": online, "timestamp": timestamp}), retain=True)

    def wait(self, kind: str, count: int, node: str = "lab:s1") -> list[Said]:
        eventually(lambda: len(self.said(kind, node=node)) >= count, 120, f"{count} {kind}: {self.kinds(node)}")
        return self.said(kind, node=node)


def rebirth() -> bytes:
    payload = Payload(timestamp=1)
    payload.metrics.add(name="Node Control/Rebirth", timestamp=1, boolean_value=True)
    data: bytes = payload.SerializeToString()
    return data


def service(base: Path, port: int, **mqtt: Any) -> Service:
    return Service(base, port, mqtt={"sparkplug": True, **mqtt})


def numbered_without_a_gap(said: list[Said]) -> bool:
    """From each birth of the node on, as a host checks it."""
    before = None
    for one in said:
        if one.kind in ("NDEATH", "NCMD"):
            continue
        if one.kind == "NBIRTH":
            before = -1
        assert before is None or one.payload.seq == (before + 1) % 256, one.kind
        before = one.payload.seq
    return True


def test_a_node_lives_through_what_kills_a_broker_and_a_daemon(tmp_path: Path, broker: Mosquitto) -> None:
    with Host(broker.port) as host, Proxy(broker.port) as proxy, service(tmp_path, proxy.port) as daemon:
        daemon.put("a.png", png(1))
        (first,) = host.wait("DDATA", 1)
        assert host.kinds() == ["NBIRTH", "DBIRTH", "DDATA"]
        assert first.values["image_name"] == "a.png"
        assert not first.historical
        host.say(NODE.format("NCMD"), rebirth())
        again = host.wait("DBIRTH", 2)[1]
        assert again.values["image_name"] == "a.png"

        proxy.refuse = True  # Sparkplug is QoS 0: a host that is back later than the node misses its births
        broker.kill()
        daemon.put("b.png", png(2))
        eventually(lambda: "(seq 2)" in daemon.log_text(), 120, "a verdict while the broker is away")
        broker.start()
        host.wait_until_subscribed()
        proxy.refuse = False
        assert host.wait("DBIRTH", 3)[2].values["image_name"] == "b.png"
        assert host.wait("DDATA", 2)[1].historical

        daemon.kill()
        assert host.wait("NDEATH", 1)[-1].values["bdSeq"] == host.said("NBIRTH")[-1].values["bdSeq"]
        daemon.put("c.png", png(3))
        births = len(host.said("NBIRTH"))
        daemon.start()
        assert host.wait("NBIRTH", births + 1)[-1].values["bdSeq"] == host.said("NDEATH")[-1].values["bdSeq"] + 1
        assert host.said("DBIRTH")[-1].values["image_name"] == "b.png"
        eventually(lambda: host.data() == {1, 2, 3}, 120, "all verdicts")
        deaths = len(host.said("NDEATH"))
        assert daemon.stop() == 0
        host.wait("NDEATH", deaths + 1)
        assert host.said("NDEATH")[-1].values["bdSeq"] == host.said("NBIRTH")[-1].values["bdSeq"]
        assert numbered_without_a_gap(host.said())


def test_what_waited_for_the_broker_in_an_earlier_life_is_history(tmp_path: Path, broker: Mosquitto) -> None:
    broker.stop()
    with service(tmp_path, broker.port) as daemon:
        daemon.put("a.png", png(1))
        eventually(lambda: "(seq 1)" in daemon.log_text(), 120, "a verdict in the journal")
        daemon.kill()
        broker.start()
        with Host(broker.port) as host:
            daemon.start()
            (data,) = host.wait("DDATA", 1)
            assert host.kinds() == ["NBIRTH", "DBIRTH", "DDATA"]
            assert host.said("DBIRTH")[0].values["image_name"] == "a.png"
            assert data.historical
            assert daemon.stop() == 0


def test_a_primary_host_comes_goes_and_misses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with Host(broker.port) as host, service(tmp_path, broker.port, sparkplug_host="scada") as daemon:
        daemon.put("a.png", png(1))
        eventually(lambda: "(seq 1)" in daemon.log_text(), 120, "a verdict in the journal")
        assert host.said() == []
        with Listener(broker.port, "plant/#", client_id="operator") as operator:
            waits = "waits for the primary host scada"
            eventually(lambda: waits in str(operator.on("/status")[-1:]), 120, "the reason in the status")
            host.state(True, 1000)
            assert host.wait("DDATA", 1)[0].historical
            eventually(lambda: waits not in str(operator.on("/status")[-1].payload), 120, "all is well")
        daemon.put("b.png", png(2))
        assert not host.wait("DDATA", 2)[1].historical
        host.state(False, 1000)
        host.wait("NDEATH", 1)
        told = len(host.said())
        daemon.put("c.png", png(3))
        eventually(lambda: "(seq 3)" in daemon.log_text(), 120, "a verdict while the host is away")
        assert {one.kind for one in host.said()[told:]} <= {"NDEATH"}  # the broker says it too, under MQTT 5
        host.state(True, 2000)
        eventually(lambda: host.data() == {1, 2, 3}, 120, "all verdicts")
        assert host.said("NBIRTH")[-1].values["bdSeq"] == host.said("NBIRTH")[0].values["bdSeq"] + 1
        assert numbered_without_a_gap(host.said())
        assert daemon.stop() == 0


def test_two_nodes_of_one_group_know_nothing_of_each_other(tmp_path: Path, broker: Mosquitto) -> None:
    other: dict[str, Any] = {"device": {"site": "plant", "area": "lab", "id": "s2"}, "mqtt": {"sparkplug": True}}
    with (
        Host(broker.port) as host,
        service(tmp_path / "1", broker.port) as one,
        Service(tmp_path / "2", broker.port, **other) as two,
    ):
        one.put("a.png", png(1))
        two.put("b.png", png(2))
        assert host.wait("DDATA", 1)[0].values["image_name"] == "a.png"
        assert host.wait("DDATA", 1, node="lab:s2")[0].values["image_name"] == "b.png"
        host.say(NODE.format("NCMD"), rebirth())
        host.wait("NBIRTH", 2)
        assert one.stop() == 0
        host.wait("NDEATH", 1)
        assert host.kinds("lab:s2") == ["NBIRTH", "DBIRTH", "DDATA"]
        assert two.stop() == 0
        assert numbered_without_a_gap(host.said())
        assert numbered_without_a_gap(host.said(node="lab:s2"))


def test_without_its_folder_the_microscope_is_dead(tmp_path: Path, broker: Mosquitto) -> None:
    with Host(broker.port) as host, service(tmp_path, broker.port) as daemon:
        host.wait("DBIRTH", 1)
        daemon.folder.rename(tmp_path / "away")
        host.wait("DDEATH", 1)
        (tmp_path / "away").rename(daemon.folder)
        host.wait("DBIRTH", 2)
        daemon.put("a.png", png(1))
        host.wait("DDATA", 1)
        assert host.kinds() == ["NBIRTH", "DBIRTH", "DDEATH", "DBIRTH", "DDATA"]
        assert daemon.stop() == 0
