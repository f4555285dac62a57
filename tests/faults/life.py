"""A state folder and a broker in; a process with the product's journal and publisher, which takes orders, out.

It is a daemon without scanner and networks: what it concludes is told by its orders. It starts in a tenth of a second, so
that matrices of many lives can be counted. It is killed like any other process.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.journal import Journal, Verdict

SITE, AREA = "plant", "lab"
DRAINED_S: Final = 120.0
"""Far longer than any broker on this machine takes; who waits for it has a problem to tell."""


@dataclass(frozen=True)
class Way:
    """How to live. blind: the witness beside the database believes whatever it is shown, as after a snapshot of a disk.

    clock: a file with seconds that the clock is off.  kernel: a folder with `boot_id` and `uptime` in place of the kernel's.
    """

    state: Path
    port: int
    protocol: int = 5
    device: str = "s1"
    blind: bool = False
    clock: Path | None = None
    kernel: Path | None = None


def digest(path: str) -> str:
    """Of the content that `path` has by agreement."""
    return hashlib.sha256(path.encode()).hexdigest()


class Life:
    """One life of the process; `end` says goodbye, `kill` does not."""

    def __init__(self, way: Way) -> None:
        """Start it, and wait until the journal is open."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["edge.journal", "edge.mqtt.publisher", "edge.wire.encode"])
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_live, args=(there, way), daemon=True)
        self._process.start()
        there.close()
        self.epoch = self._answer()

    def ask(self, order: str, *arguments: Any) -> Any:
        """One order of `_Orders`, and its answer."""
        self._pipe.send((order, arguments))
        return self._answer()

    def end(self) -> None:
        """As a service manager would."""
        self.ask("end")
        self._process.join()
        self._pipe.close()

    def kill(self) -> None:
        """As the kernel would."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _answer(self) -> Any:
        try:
            worked, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise AssertionError(f"the life ended by itself with status {self._process.exitcode}") from None
        if not worked:
            raise AssertionError(f"an order failed: {answer}")
        return answer


def _live(pipe: Connection, way: Way) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if way.clock is not None:
        from tests.faults.clocked import shift

        shift(way.clock)
    from edge.journal import Journal, boot, witness

    if way.kernel is not None:
        boot._BOOT_ID, boot._UPTIME = way.kernel / "boot_id", way.kernel / "uptime"  # type: ignore[misc]
    if way.blind:
        witness.Witness.agrees = lambda *_: True  # type: ignore[method-assign]
    with Journal.open(way.state, clock=lambda: time.time()) as journal:  # the default was bound before the clock was shifted
        orders = _Orders(journal, way)
        pipe.send((True, journal.epoch))
        order = ""
        while order != "end":
            order, arguments = pipe.recv()
            try:
                pipe.send((True, getattr(orders, order)(*arguments)))
            except Exception as error:
                pipe.send((False, f"{order}: {type(error).__name__}: {error}"))


class _Orders:
    """What a life can be asked for."""

    def __init__(self, journal: Journal, way: Way) -> None:
        from edge.config import DeviceSettings, MqttSettings
        from edge.mqtt.publisher import Publisher, StatusText

        self.journal = journal
        self.publisher = Publisher(
            MqttSettings(host="127.0.0.1", port=way.port, protocol=5 if way.protocol == 5 else 311),
            f"{SITE}/{AREA}/sem/{way.device}",
            journal,
            device=DeviceSettings(site=SITE, area=AREA, id=way.device),
            status=lambda: StatusText("online", (), journal.info()["last_seq"], 0),
            health=lambda: b"{}",
            on_command=lambda name, body: None,
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        self._connected = False

    def connect(self) -> None:
        """Begin to send."""
        self.publisher.start()
        self._connected = True

    def conclude(self, *paths: str) -> list[int]:
        """A verdict on each, as the pipeline would store it; their numbers."""
        from edge.records import Fingerprint

        numbers = []
        for path in paths:
            self.journal.ledger.admit(path, Fingerprint(1, 1))
            self.journal.ledger.begin(path)
            numbers += self.journal.ledger.conclude(path, lambda seq, path=path: [self._verdict(path, seq)])
            if self._connected:
                self.publisher.wake()
        return numbers

    def drained(self) -> bool:
        """Wait until everything is sent; whether it was."""
        deadline = time.monotonic() + DRAINED_S
        while not self._is_drained():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def epoch(self) -> str:
        """In which numbers are given now."""
        return self.journal.epoch

    def forget(self, keep_days: float, synced: bool | None) -> tuple[bool, int]:
        """What upkeep does: whether the clock is believed, and how many messages were forgotten."""
        judgement = self.journal.clock.judge(synced)
        report = self.journal.prune(keep_days, 1 << 40, judgement.now)
        return judgement.now is not None, report.messages

    def kept(self) -> list[int]:
        """The numbers of this epoch whose verdicts can still be replayed."""
        last = self.journal.info()["last_seq"]
        found = {seq: self.journal.outbox.verdict(seq) for seq in range(1, last + 1)}
        return [seq for seq, one in found.items() if one is not None and one[1] is not None]

    def end(self) -> None:
        """Say goodbye."""
        if self._connected:
            self.publisher.stop(5.0)

    def _is_drained(self) -> bool:
        newest = self.journal.outbox.summary()
        return self.journal.outbox.unsent_count() == 0 and (newest is None or newest.sent)

    def _verdict(self, path: str, seq: int) -> Verdict:
        from edge.journal import Message, Verdict
        from edge.wire.encode import verdict_id

        epoch = self.journal.epoch
        name = verdict_id(epoch, path, 1, 1)
        common = {"inspection_id": name, "epoch": epoch, "seq": seq, "ts_ms": round(1000 * time.time())}
        image = {"path": path, "sha256": digest(path), "revision": 1, "run": 1}
        whole = {"schema": "edge.inspection/2", **common, "image": image, "quality": {"warnings": []}, "severity": None}
        summary = {"schema": "edge.summary/2", **common, "image_name": path}
        messages = (
            Message("verdict", "inspection", json.dumps(whole).encode()),
            Message("summary", "summary", json.dumps(summary).encode()),
        )
        return Verdict(name, "inspection", messages)
