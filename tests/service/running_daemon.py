"""`edge-daemon` in a process of its own, and what a dashboard keeps of what it sends."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import psutil

from edge.journal import Journal
from edge.records import Fingerprint
from tests import ROOT
from tests.conftest import pitted
from tests.fakes.brokers import Listener, eventually
from tests.sem.making import encoded

SCHEMAS = ROOT / "docs" / "schemas"
PREFIX = "plant/lab/sem/s1"
COMMAND = [sys.executable, "-c", "import sys; from edge.commands.cli import daemon; sys.exit(daemon())"]


class Service:
    """`edge-daemon` in a process of its own, with a folder, a state and a configuration."""

    def __init__(
        self, base: Path, port: int, *, command: Sequence[str] = COMMAND, popen: Any = None, **sections: dict[str, Any]
    ) -> None:
        """command: what is started, with `--config` behind it.  popen: what starts it, else `subprocess.Popen`.

        sections: of the configuration, beside the defaults.
        """
        self._command, self._popen = command, popen or subprocess.Popen
        self.folder, self.state, self.log = base / "export", base / "state", base / "daemon.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = base / "config.toml"
        defaults: dict[str, dict[str, Any]] = {
            "device": {"site": "plant", "area": "lab", "id": "s1"},
            "watch": {
                "folder": str(self.folder),
                "settle_s": 0.3,
                "rescan_s": 0.5,
                "incomplete_s": 1.0,
                "sidecar_wait_s": 0.0,
            },
            "models": {"backend": "onnxruntime"},
            "state": {"folder": str(self.state)},
            "mqtt": {"host": "127.0.0.1", "port": port},
        }
        for name, values in sections.items():
            defaults[name].update(values) if name in defaults else defaults.__setitem__(name, values)
        self.config.write_text(
            "\n".join(
                f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
                for name, values in defaults.items()
            )
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: dict[str, str] | None = None) -> Service:
        """Start it; it is not waited for."""
        with self.log.open("ab") as log:
            self.process = self._popen(
                [*self._command, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                cwd=self.folder.parent,
            )
        return self

    def kill(self) -> None:
        """As the kernel would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, within_s: float = 120.0) -> int:
        """As systemd would; the exit status. Raises TimeoutExpired."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(within_s)

    def put(self, name: str | bytes, data: bytes) -> None:
        """Let a file arrive, written in place."""
        with open(os.fsencode(self.folder) + b"/" + os.fsencode(name), "wb") as stream:
            stream.write(data)

    def log_text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        print(self.log_text())


def verdicts(listener: Listener) -> list[dict[str, Any]]:
    """Verdicts as a subscriber keeps them: repeats dropped by id."""
    seen: dict[str, dict[str, Any]] = {}
    for message in list(listener.heard):
        if message.topic in (f"{PREFIX}/inspection", f"{PREFIX}/failure"):
            body = message.body
            seen.setdefault(body.get("inspection_id") or body.get("failure_id") or "", body)
    return list(seen.values())


def by_name(listener: Listener) -> dict[str, dict[str, Any]]:
    return {verdict["image"]["name"]: verdict for verdict in verdicts(listener)}


def valid(verdict: dict[str, Any]) -> bool:
    name = verdict["schema"].removeprefix("edge.").partition("/")[0]
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validate(verdict, schema, jsonschema.Draft202012Validator)
    return True


def statuses(listener: Listener) -> list[str]:
    return [message.body["state"] for message in listener.on("/status")]


def png(seed: int) -> bytes:
    return encoded(pitted(160, 120, seed, 3), ".png")


def wait_until_online(listener: Listener) -> None:
    eventually(lambda: "online" in statuses(listener), 60, "online")


def begun_but_not_finished(service: Service, name: str, times: int = 1) -> None:
    """Leave the trace of kills in the middle of an image."""
    with Journal.open(service.state) as journal:
        journal.ledger.admit_many([])
        status = (service.folder / name).stat()
        journal.ledger.admit(name, Fingerprint(status.st_size, status.st_mtime_ns))
        for _ in range(times):
            journal.ledger.recover()
            journal.ledger.begin(name)


def child_of(service: Service) -> psutil.Process | None:
    """The process in which a suspect is inspected, if there is one now."""
    assert service.process is not None
    for child in psutil.Process(service.process.pid).children():
        with contextlib.suppress(psutil.Error):  # one that was killed may still be a zombie
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None


def ended(process: psutil.Process) -> bool:
    """Whether it is gone, or a zombie that nobody has asked for its status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True


def modes(folder: Path) -> dict[str, int]:
    """Permissions of a folder, as `.`, and of all in it. What a running daemon removes or renames meanwhile is left out."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(folder))] = stat.S_IMODE(path.stat().st_mode)
    return found
