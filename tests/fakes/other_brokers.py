"""A folder in; brokers other than mosquitto out, each real, on a port of its own, with the rights of docs/use/mosquitto.acl.

The daemon's user `s1`, a dashboard that only reads, an operator that sends commands, and a witness who may do all. Where a
broker has no rights to give (`guards` is False), it asks for the password alone, or for nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests import ROOT
from tests.fakes.brokers import Mosquitto, eventually, free_port
from tests.fakes.node import NODE, package

AREA: Final = "plant/lab"
SECRET: Final = "secret"
DEVICES: Final = ("s1", "s2")
SAID: Final = ("status", "inspection", "failure", "summary", "overlay/+", "health", "review")
WITNESS: Final = "witness"
PLUGIN: Final = "amqtt.plugins.topic_checking.TopicAccessControlListPlugin"


def _under(device: str, *topics: str) -> tuple[str, ...]:
    return tuple(f"{AREA}/sem/{device}/{topic}" for topic in topics)


WRITE: Final[Mapping[str, Sequence[str]]] = {
    **{device: _under(device, *SAID, "command/+/response") for device in DEVICES},
    "operator": _under("+", "command/+"),
    "dashboard": (),
}
READ: Final[Mapping[str, Sequence[str]]] = {
    **{device: _under(device, "command/+", "status", "summary") for device in DEVICES},
    "operator": _under("+", "command/+/response", "status"),
    "dashboard": _under("+", *SAID),
}
"""What docs/use/mosquitto.acl means, for the site and area of these tests."""
USERS: Final = (*WRITE, WITNESS)


class Broker(ABC):
    """One that can be started, killed and started again, as `Mosquitto` can.

    protocol: the newest that it speaks, 5 or 311.  guards: whether it has rights by topic.  keeps: whether sessions and
    retained messages outlive a kill.  absent: the words of a skip, None where it is there.
    """

    name: ClassVar[str]
    protocol: ClassVar[int]
    guards: ClassVar[bool] = True
    keeps: ClassVar[bool] = True
    slow_s: ClassVar[float] = 60.0

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        folder.mkdir(parents=True, exist_ok=True)
        self.configure()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""

    @abstractmethod
    def configure(self) -> None:
        """Write what it reads."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it in the foreground."""

    def environment(self) -> Mapping[str, str]:
        """Beside ours."""
        return {}

    def start(self) -> Broker:
        """Start and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env={**os.environ, **self.environment()}, start_new_session=True
            )
        eventually(self._listens, self.slow_s, f"{self.name} on port {self.port}")
        return self

    def kill(self) -> None:
        """As a power cut would end it, with all that it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()

    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "log").read_text(errors="replace") if (self.folder / "log").exists() else ""

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: {self.log()[-3000:]}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            return True
        return False


class GuardedMosquitto(Mosquitto):
    """The one of the system, with the example of rights as it stands but for site and area."""

    name, protocol, guards, keeps = "mosquitto", 5, True, True

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        users, rights = folder / "users", folder / "rights"
        for number, user in enumerate(USERS):
            options = ["-b", *(["-c"] if number == 0 else [])]
            subprocess.run(["mosquitto_passwd", *options, str(users), user, SECRET], check=True, capture_output=True)
        users.chmod(0o644)
        example = (ROOT / "docs" / "use" / "mosquitto.acl").read_text(encoding="utf-8").replace("plant-1/lab", AREA)
        rights.write_text(f"{example}\nuser {WITNESS}\ntopic readwrite #\n")
        lines = ("allow_anonymous false", f"password_file {users}", f"acl_file {rights}", "max_queued_messages 0")
        super().__init__(folder, *lines)

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        return None if shutil.which("mosquitto_passwd") else "mosquitto is not installed (apt-get install mosquitto)"


class Erlang(Broker):
    """What runs on Erlang: it needs a register of nodes beside it, whose port is ours."""

    slow_s = 500.0

    def __init__(self, folder: Path) -> None:
        self.register, self.inner = free_port(), free_port()
        super().__init__(folder)

    def environment(self) -> Mapping[str, str]:
        """Nothing of it outside of the folder."""
        return {"HOME": str(self.folder), "ERL_EPMD_PORT": str(self.register), "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def with_register(self, *command: str) -> list[str]:
        """A shell that runs the register beside the broker, in its process group: it ends with it."""
        words = " ".join(f"'{word}'" for word in command)
        return ["sh", "-c", f"epmd -address 127.0.0.1 -port {self.register} & exec {words}"]


class RabbitMQ(Erlang):
    """With its MQTT plugin; rights are regular expressions of topics in AMQP's spelling."""

    name, protocol = "RabbitMQ", 311
    SERVER: ClassVar[Path] = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        return None if cls.SERVER.exists() else "RabbitMQ, another broker, is not installed (apt-get install rabbitmq-server)"

    def configure(self) -> None:
        """Users, permissions and topic permissions as definitions."""
        (self.folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.inner}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "mqtt.allow_anonymous = false\nmqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets\n"
            f"mqtt.subscription_ttl = 3600000\nload_definitions = {self.folder}/definitions.json\n"
        )
        queues = {"vhost": "/", "configure": "^mqtt-", "write": "^(mqtt-|amq\\.topic$)", "read": "^(mqtt-|amq\\.topic$)"}
        topics = [
            {"user": user, "vhost": "/", "exchange": "amq.topic", "write": _amqp(WRITE[user]), "read": _amqp(READ[user])}
            for user in WRITE
        ]
        definitions = {
            "vhosts": [{"name": "/"}],
            "users": [
                {"name": user, "password_hash": _salted(SECRET), "tags": "",
                 "hashing_algorithm": "rabbit_password_hashing_sha256"} for user in USERS
            ],
            "permissions": [{"user": user, **queues} for user in USERS],
            "topic_permissions": topics,
        }  # fmt: skip
        (self.folder / "definitions.json").write_text(json.dumps(definitions))

    def environment(self) -> Mapping[str, str]:
        """All its folders."""
        own = {
            "NODENAME": f"edge{self.port}@localhost", "DIST_PORT": str(free_port()), "MNESIA_BASE": str(self.folder / "data"),
            "LOG_BASE": str(self.folder / "logs"), "CONFIG_FILE": str(self.folder / "rabbitmq"), "LOGS": "-",
            "ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"), "PID_FILE": str(self.folder / "pid"),
        }  # fmt: skip
        return {**super().environment(), **{f"RABBITMQ_{name}": value for name, value in own.items()}}

    def command(self) -> Sequence[str]:
        """The script below the one that changes the user."""
        return self.with_register(str(self.SERVER))


class Ejabberd(Erlang):
    """With mod_mqtt, which speaks MQTT 5."""

    name, protocol = "ejabberd", 5

    @classmethod
    def _code(cls) -> Path | None:
        found = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/mod_mqtt.beam"))
        return found[0].parent if found else None

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        return None if cls._code() else "ejabberd, another broker, is not installed (apt-get install ejabberd)"

    def configure(self) -> None:
        """Rights by user and topic filter."""
        rules = {f"rule_{user}": [{"allow": user}, {"allow": WITNESS}] for user in WRITE}
        may = {
            kind: {
                **{topic: f"rule_{user}" for user, topics in table.items() for topic in topics},
                "#": "witness_alone",
            }
            for kind, table in (("access_publish", WRITE), ("access_subscribe", READ))
        }
        config = {
            "loglevel": "warning",
            "hosts": ["localhost"],
            "listen": [{"port": self.port, "ip": "127.0.0.1", "module": "mod_mqtt"}],
            "acl": {user: {"user": f"{user}@localhost"} for user in USERS},
            "access_rules": {**rules, "witness_alone": [{"allow": WITNESS}]},
            "modules": {"mod_mqtt": {"session_expiry": "1 hour", "max_queue": 100000, **may}},
        }
        (self.folder / "ejabberd.yml").write_text(json.dumps(config))

    def environment(self) -> Mapping[str, str]:
        """Its configuration and its log."""
        config, log = self.folder / "ejabberd.yml", self.folder / "ejabberd.log"
        return {**super().environment(), "EJABBERD_CONFIG_PATH": str(config), "EJABBERD_LOG_PATH": str(log)}

    def command(self) -> Sequence[str]:
        """Erlang itself, which makes the users once all runs."""
        users = ", ".join(f'<<"{user}">>' for user in USERS)
        made = f'[ejabberd_auth:try_register(U, <<"localhost">>, <<"{SECRET}">>) || U <- [{users}]].'
        node = ["-sname", f"edge{self.port}@localhost", "-mnesia", "dir", f'"{self.folder / "data"}"']
        return self.with_register("erl", "-noinput", *node, "-pa", str(self._code()), "-s", "ejabberd", "-eval", made)


class Aedes(Broker):
    """In memory; rights are a function of the program that embeds it."""

    name, protocol, keeps = "aedes", 311, False

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        return None if package("aedes") else "aedes, another broker, is not installed (npm install aedes)"

    def configure(self) -> None:
        """The program."""
        module = package("aedes")
        assert module is not None
        rights = json.dumps({"write": WRITE, "read": READ, "users": USERS, "witness": WITNESS, "secret": SECRET})
        (self.folder / "broker.mjs").write_text(
            f"import {{ Aedes }} from '{module / 'aedes.js'}'\nimport net from 'node:net'\nconst may = {rights}\n" + _AEDES
        )

    def command(self) -> Sequence[str]:
        """Node."""
        assert NODE is not None
        return [NODE, str(self.folder / "broker.mjs"), str(self.port)]


_AEDES: Final = """
const fits = (topic, filter) => {
  const [t, f] = [topic.split('/'), filter.split('/')]
  return t.length === f.length && f.every((level, at) => level === '+' || level === t[at])
}
const allowed = (kind, client, topic) =>
  client.user === may.witness || (may[kind][client.user] ?? []).some(filter => filter === topic || fits(topic, filter))
const aedes = await Aedes.createBroker()
aedes.authenticate = (client, user, password, done) => {
  client.user = user
  done(null, may.users.includes(user) && String(password) === may.secret)
}
aedes.authorizePublish = (client, packet, done) =>
  done(client && !allowed('write', client, packet.topic) ? new Error('denied') : null)
aedes.authorizeSubscribe = (client, wanted, done) => done(null, allowed('read', client, wanted.topic) ? wanted : null)
net.createServer(aedes.handle).listen(Number(process.argv[2]), '127.0.0.1')
"""


class Amqtt(Broker):
    """In memory, in Python: the one of `edge-demo`."""

    name, protocol, keeps = "amqtt", 311, False

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        return None if importlib.util.find_spec("amqtt") else "amqtt, another broker, is not installed (pip install amqtt)"

    def configure(self) -> None:
        """Its own plugins."""
        from pwdlib import PasswordHash

        hashed = PasswordHash.recommended().hash(SECRET)
        (self.folder / "users").write_text("".join(f"{user}:{hashed}\n" for user in USERS))
        everything = {WITNESS: ["#"]}
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": {
                "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(self.folder / "users")},
                PLUGIN: {"publish_acl": {**_lists(WRITE), **everything}, "acl": {**_lists(READ), **everything}},
            },
        }
        (self.folder / "broker.py").write_text(
            "import asyncio\nfrom amqtt.broker import Broker\n\n"
            f"async def serve():\n    await Broker({config!r}).start()\n    await asyncio.Event().wait()\n\n"
            "asyncio.run(serve())\n"
        )

    def command(self) -> Sequence[str]:
        """Python."""
        return [sys.executable, str(self.folder / "broker.py")]


class Rumqttd(Broker):
    """In memory, as the package iotcore brings it; it has passwords and no rights by topic."""

    name, protocol, guards, keeps = "rumqttd", 5, False, False

    @classmethod
    def _python(cls) -> str:
        return os.environ.get("EDGE_IOTCORE_PYTHON", sys.executable)

    @classmethod
    def absent(cls) -> str | None:
        """Why it cannot run here."""
        there = subprocess.run([cls._python(), "-c", "import iotcore"], capture_output=True).returncode == 0
        return None if there else "rumqttd, another broker, is not installed (pip install iotcore; EDGE_IOTCORE_PYTHON)"

    def configure(self) -> None:
        """One listener of MQTT 5."""
        users = "\n".join(f'{user} = "{SECRET}"' for user in USERS)
        (self.folder / "rumqttd.toml").write_text(
            "id = 0\n[router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 2000\nmax_segment_size = 104857600\n"
            f'max_segment_count = 10\n[v5.1]\nname = "v5"\nlisten = "127.0.0.1:{self.port}"\nnext_connection_delay_ms = 1\n'
            "[v5.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 10485760\nmax_inflight_count = 100\n"
            f"dynamic_filters = true\n[v5.1.connections.auth]\n{users}\n"
        )

    def command(self) -> Sequence[str]:
        """Python."""
        program = f"from iotcore import Broker; Broker(config_path={str(self.folder / 'rumqttd.toml')!r}).run_forever()"
        return [self._python(), "-c", program]


BROKERS: Final = (GuardedMosquitto, RabbitMQ, Ejabberd, Aedes, Amqtt, Rumqttd)
BY_NAME: Final = {one.name: one for one in BROKERS}


def _lists(table: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {user: list(topics) for user, topics in table.items()}


def _amqp(filters: Sequence[str]) -> str:
    """As a regular expression of routing keys; a subscription with + is asked for as *."""
    if not filters:
        return "^$"
    return "^(" + "|".join(re.escape(one).replace("/", r"\.").replace(r"\+", "[^.]+") for one in filters) + ")$"


def _salted(secret: str) -> str:
    """As RabbitMQ stores passwords."""
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + secret.encode()).digest()).decode()
