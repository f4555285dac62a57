"""A broker with rights in; what a subscriber missed when it was killed, and what somebody could do without the right, out."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.brokers import Listener, eventually
from tests.fakes.other_brokers import AREA, BY_NAME, READ, SECRET, WITNESS, Broker, GuardedMosquitto
from tests.faults.bench import Bench
from tests.faults.breaking import Unavailable
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.kills import outcome
from tests.service.running_daemon import PREFIX

OTHER: Final = f"{AREA}/sem/s2"
TRESPASSES: Final = (
    ("s1", f"{OTHER}/status"),
    ("s1", f"{OTHER}/inspection"),
    ("s1", f"{PREFIX}/command/info"),
    ("s2", f"{PREFIX}/inspection"),
    ("dashboard", f"{PREFIX}/inspection"),
    ("dashboard", f"{PREFIX}/command/pause"),
    ("operator", f"{PREFIX}/status"),
)
"""Who must not write where."""
PEEPS: Final = (("s1", f"{OTHER}/inspection"), ("operator", f"{PREFIX}/inspection"))
"""Who must not read what."""


class GuardedBench(Bench):
    """The daemon logs in as `s1`, the subscriber as the dashboard, and only the operator may ask for a replay."""

    def __init__(self, base: Path, seed: int, kind: type[Broker | GuardedMosquitto], command: list[str]) -> None:
        """kind: of broker, in place of the one without rights."""
        base.mkdir(parents=True, exist_ok=True)
        (base / "secret").write_text(SECRET)
        login = {"username": "s1", "password_file": str(base / "secret")}
        super().__init__(base, seed, command=command, mqtt={"protocol": kind.protocol, **login})
        self.kind = kind
        self.broker = kind(base / "guarded")  # type: ignore[assignment]
        self.chaos.broker_port = self.broker.port

    def listening(self) -> Listener:
        """The dashboard, which subscribes to what it may read."""
        return self.user("dashboard", [topic.replace("+", "s1", 1) for topic in READ["dashboard"]])

    def user(self, name: str, topics: list[str]) -> Listener:
        """Somebody who logged in."""
        wanted = [(topic, 1) for topic in topics]
        return Listener(self.broker.port, wanted, f"{name}-client", protocol=self.kind.protocol, username=name, password=SECRET)

    def command_by_operator(self, name: str, body: str) -> None:
        """Log in, say it, leave."""
        with self.user("operator", [f"{PREFIX}/status"]) as operator:
            operator.say(f"{PREFIX}/command/{name}", body)

    command = command_by_operator


def guarded(trial: Trial) -> Outcome:
    """Images arrive, connections are cut, the broker is killed and started again, the daemon is killed; then the rights."""
    kind, chance = BY_NAME[trial.case], trial.chance
    if (absent := kind.absent()) is not None:
        raise Unavailable(absent)
    with GuardedBench(trial.folder, chance.getrandbits(32), kind, trial.command) as bench:
        bench.wait_until_online()
        bench.arrive(chance.randint(1, 4))
        bench.until(lambda: bench.judged().settled, "verdicts while nothing is broken")
        bench.do("connections cut")
        bench.chaos.cut()
        bench.arrive(chance.randint(1, 3))
        bench.work(chance.uniform(0.0, 1.0), images_s=4)
        bench.do("broker killed")
        bench.broker.kill()
        bench.arrive(chance.randint(1, 3))
        bench.work(chance.uniform(0.0, 1.0), images_s=4)
        bench.broker.start()
        bench.listener.wait_until_subscribed()
        if chance.random() < 0.5:
            bench.do("daemon killed")
            bench.kill()
        bench.arrive(chance.randint(1, 3))
        found = outcome(bench, pictures=False, replay_after_s=5.0)
        found.problems += _without_right(bench)
    return found


def _without_right(bench: GuardedBench) -> list[str]:
    """What somebody could do who must not; nothing is looked at where the broker has passwords alone."""
    port, protocol = bench.broker.port, bench.kind.protocol
    problems = ["rights: a wrong password is let in"] if _said(port, protocol, "s1", "wrong", "nothing") else []
    if not bench.kind.guards:
        return problems
    with bench.user(WITNESS, ["#"]) as witness:
        for user, topic in TRESPASSES:
            _said(port, protocol, user, SECRET, topic)
        witness.say("end", b"end")
        eventually(lambda: witness.on("end"), 60, "the witness hears itself")
        heard = {one.topic for one in list(witness.heard) if one.payload == b"trespass"}
        problems += [f"rights: somebody could write {topic}" for topic in sorted(heard)]
        for user, topic in PEEPS:
            if _peeped(bench, witness, user, topic):
                problems.append(f"rights: {user} could read {topic}")
    return problems


def _client(port: int, protocol: int, user: str, password: str) -> mqtt.Client:
    version = mqtt.MQTTv5 if protocol == 5 else mqtt.MQTTv311
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{user}-once", protocol=version, reconnect_on_failure=False)
    client.username_pw_set(user, password)
    with contextlib.suppress(OSError):
        client.connect("127.0.0.1", port, 30)
        client.loop_start()
    return client


def _said(port: int, protocol: int, user: str, password: str, topic: str) -> bool:
    """Whether somebody was let in; who was, said `trespass`."""
    client = _client(port, protocol, user, password)
    until = time.monotonic() + 3
    while not client.is_connected() and time.monotonic() < until:
        time.sleep(0.02)
    let_in = client.is_connected()
    if let_in:
        told = client.publish(topic, b"trespass", 1)
        with contextlib.suppress(RuntimeError, ValueError):
            told.wait_for_publish(3)
    client.disconnect()
    client.loop_stop()
    return let_in


def _peeped(bench: GuardedBench, witness: Listener, user: str, topic: str) -> bool:
    """Whether what the witness says there comes to somebody who subscribed to it."""
    heard: list[bytes] = []
    answered: list[object] = []
    client = _client(bench.broker.port, bench.kind.protocol, user, SECRET)
    client.on_message = lambda *message: heard.append(message[-1].payload)
    client.on_subscribe = lambda *answer: answered.append(answer)
    client.on_disconnect = lambda *answer: answered.append(answer)
    until = time.monotonic() + 30
    while not client.is_connected() and time.monotonic() < until:
        time.sleep(0.02)
    client.subscribe(topic, 1)
    eventually(lambda: answered, 60, f"an answer to {user}'s subscription")
    witness.say(topic, b"peep")
    eventually(lambda: any(one.payload == b"peep" for one in witness.on(topic)), 60, "the witness hears itself")
    time.sleep(0.2)  # so long after the witness heard it, too
    client.disconnect()
    client.loop_stop()
    return b"peep" in heard


ROWS: Final = (
    Row("brokers", "each broker with rights, cut and killed", 5, guarded, cases=tuple(BY_NAME), in_ci=1, seconds=20),
)
