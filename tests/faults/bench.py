"""A folder and a seed in; a daemon, a chaos proxy, a broker and a subscriber that run, and at the end a judgement, out."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from edge.service.daemon import BROKEN
from tests.fakes.brokers import Listener, Mosquitto
from tests.faults.book import FORMATS, Book
from tests.faults.breaking import Clock, SmallDisk
from tests.faults.chaos import Chaos
from tests.faults.judge import Judgement, judge
from tests.faults.nursery import NURSERY, can_start
from tests.service.running_daemon import COMMAND, PREFIX, Service

SETTLE_S: Final = 240.0
"""How long everything may take to arrive once nothing is broken any more; idle machines need seconds."""
REPLAY_AFTER_S: Final = 15.0
"""A gap that stays so long is asked for, as a dashboard would."""
VERDICT_TOPICS: Final = (f"{PREFIX}/inspection", f"{PREFIX}/failure")


class Bench:
    """Everything that runs, for one scenario.

    faults: how often each was done.  restarts: of the daemon after it ended by itself, as systemd would.
    replays: gaps that had to be asked for.  asked: their numbers by epoch.  figures: what a scenario measured.
    """

    def __init__(
        self,
        base: Path,
        seed: int,
        *,
        state_mib: int = 0,
        folder_mib: int = 0,
        clock: bool = False,
        command: list[str] | None = None,
        broker: Sequence[str] = (),
        starts: bool = True,
        **sections: dict[str, Any],
    ) -> None:
        """state_mib, folder_mib: size of a small disk there, 0 for none.  clock: it can be set; a `command` takes `--clock`.
        command: what starts the daemon, else the product's own.  broker: further lines of its configuration.
        starts: the daemon starts with the bench.  sections: of its configuration.

        Raises Unavailable.
        """
        self.chance = random.Random(seed)
        self._arrivals = random.Random(seed + 1)  # of its own: how many arrive depends on the machine, the faults do not
        self.book = Book()
        self.faults: Counter[str] = Counter()
        self.restarts = self.replays = 0
        self.asked: dict[str, set[int]] = {}
        self.figures: dict[str, float] = {}
        self.odd_ends: list[str] = []
        self._log_began, self._starts = 0, starts
        self.usual_ends = frozenset({BROKEN, 1})
        self.base = base
        base.mkdir(parents=True, exist_ok=True)
        self.disk = (
            SmallDisk(base / ("state" if state_mib else "export"), state_mib or folder_mib) if state_mib or folder_mib else None
        )
        self.clock = Clock(base) if clock else None
        self.broker = Mosquitto(base / "broker", "max_queued_messages 0", *broker)
        self.chaos = Chaos(self.broker.port)
        merged: dict[str, dict[str, Any]] = {"inspect": {"stages": "segment"}, "watch": {"incomplete_s": 8.0}}
        for name, values in sections.items():
            merged[name] = {**merged.get(name, {}), **values}
        before = self.disk.enter if self.disk else []
        if self.clock:
            command = [*command, "--clock", str(self.clock.file)] if command else self.clock.command
        started = [*before, *(command or COMMAND)]
        popen = NURSERY.start if can_start(started) else None
        self.service = Service(base, self.chaos.port, command=started, popen=popen, **merged)
        self.folder = self.disk.inside if self.disk and folder_mib else self.service.folder
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        if self.disk:
            self._open.callback(self.disk.close)
        self._open.enter_context(self.broker)
        self._open.enter_context(self.chaos)
        self.listener = self._open.enter_context(self.listening())
        if self._starts:
            self.start()
        self._open.callback(self._end)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def listening(self) -> Listener:
        """The subscriber."""
        return Listener(self.broker.port, f"{PREFIX}/#")

    def command(self, name: str, body: str) -> None:
        """Send the daemon a command."""
        self.listener.say(f"{PREFIX}/command/{name}", body)

    def _end(self) -> None:
        process = self.service.process
        if process is not None and process.poll() is None:
            self.service.kill()

    def start(self) -> None:
        """Start the daemon."""
        self._log_began = len(self.service.log_text())
        self.service.start()

    def kill(self) -> None:
        """kill -9, and a new start."""
        self.service.kill()
        self.start()

    @property
    def pid(self) -> int:
        """Of the daemon."""
        assert self.service.process is not None
        return self.service.process.pid

    def state_to_read(self) -> Path:
        """The state folder; a copy of it where it lies on a small disk, because SQLite cannot open it from outside."""
        if self.disk is None or self.disk.folder != self.service.state:
            return self.service.state
        return Path(shutil.copytree(self.disk.inside, self.base / "state-copied"))

    def wait_until_online(self) -> None:
        """Until the models of this life of the daemon are loaded and the broker knows."""
        restarts = self.restarts
        while "over: the models are being loaded" not in self._log_of_this_life():
            self.supervise()
            if self.restarts > restarts + 5:
                raise AssertionError(f"the daemon does not come up:\n{self.service.log_text()[-4000:]}")
            time.sleep(0.05)
        self.until(lambda: any(one.body["state"] == "online" for one in self.listener.on("/status")), "the daemon is online")

    def _log_of_this_life(self) -> str:
        return self.service.log_text()[self._log_began :]

    def wait_for_death(self, images_s: float = 0.0) -> bool:
        """Until the daemon, which is not restarted, has ended; false where that takes longer than all else may."""
        assert self.service.process is not None
        deadline = time.monotonic() + SETTLE_S
        while self.service.process.poll() is None:
            if time.monotonic() > deadline:
                return False
            if images_s:
                self.arrive()
            time.sleep(1 / images_s if images_s else 0.05)
        return True

    def do(self, fault: str) -> None:
        """Count a fault, and say so in the log beside the daemon's own lines."""
        self.faults[fault] += 1
        with self.service.log.open("a") as log:
            log.write(f"--- bench: {fault}\n")

    def supervise(self) -> None:
        """What systemd does: a daemon that ended is started again."""
        process = self.service.process
        status = None if process is None else process.poll()
        if status is None:
            return
        if status not in self.usual_ends:
            self.odd_ends.append(f"ended: the daemon ended by itself with status {status}")
        self.restarts += 1
        time.sleep(0.2)
        self.start()

    def arrive(self, number: int = 1) -> list[str]:
        """So many images, each written and closed; their paths."""
        paths = []
        for _ in range(number):
            name, data = self.book.new_image(self._arrivals.choice(FORMATS))
            self.book.whole(name, data)
            (self.folder / name).write_bytes(data)
            paths.append(name)
        return paths

    def verdicts(self) -> list[dict[str, Any]]:
        """All that was received on the topics of verdicts, repeats too."""
        return [one.body for one in list(self.listener.heard) if one.topic in VERDICT_TOPICS and one.payload]

    def heard_of(self, path: str) -> bool:
        """Whether a verdict on `path` has been received."""
        return any(f'"{path}"'.encode() in one.payload for one in list(self.listener.heard) if one.topic in VERDICT_TOPICS)

    def work(self, seconds: float, images_s: float = 3.0) -> None:
        """Let time pass, images arrive at random and systemd watch."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.supervise()
            if images_s:
                self.arrive()
            time.sleep(min(left, self._arrivals.expovariate(images_s) if images_s else 0.1))

    def judged(self) -> Judgement:
        """Everything that was received so far, compared with everything that was written."""
        found = judge(self.book.pages(), self.payloads(), self.last_seqs(), self.asked)
        found.problems += self.odd_ends
        return found

    def payloads(self) -> list[bytes]:
        """Of all messages on the topics of verdicts, in order of arrival."""
        return [one.payload for one in list(self.listener.heard) if one.topic in VERDICT_TOPICS and one.payload]

    def last_seqs(self) -> dict[str, int]:
        """The highest number that the status or the summary told, by epoch."""
        told: Counter[str] = Counter()
        for summary in (one.body for one in self.listener.on("/summary") if one.payload):
            told[summary["epoch"]] = max(told[summary["epoch"]], summary["seq"])
        for status in (one.body for one in self.listener.on("/status") if one.payload):
            told[status["epoch"]] = max(told[status["epoch"]], status["last_seq"] or 0)
        return dict(told)

    def settle(
        self, within_s: float = SETTLE_S, *, replay_after_s: float = REPLAY_AFTER_S, also: Callable[[], bool] = lambda: True
    ) -> Judgement:
        """Wait until everything has arrived that is to come, asking for what is missing; then stop the daemon, and judge.

        replay_after_s: so long nothing new came while a number was missing.  also: what must be true too.
        """
        ask_at, known = time.monotonic() + replay_after_s, 0
        deadline = time.monotonic() + within_s
        while not ((found := self.judged()).settled and also()) and time.monotonic() < deadline:
            self.supervise()
            if found.verdicts != known or not found.missing:  # what waits still comes by itself
                known, ask_at = found.verdicts, time.monotonic() + replay_after_s
            elif time.monotonic() > ask_at:
                self._ask_for(found.missing)
                ask_at = time.monotonic() + replay_after_s
            time.sleep(0.1)
        if self.service.stop() != 0:
            self.odd_ends.append("ended: a stop that was asked for did not end with status 0")
        goodbye = time.monotonic() + 10
        while self.listener.on("/status")[-1].body["state"] != "offline" and time.monotonic() < goodbye:
            time.sleep(0.05)
        return self.judged()

    def _ask_for(self, missing: dict[str, list[int]]) -> None:
        for epoch, seqs in missing.items():
            self.replays += 1
            self.asked.setdefault(epoch, set()).update(range(seqs[0], seqs[-1] + 1))
            body = f'{{"epoch": "{epoch}", "first": {seqs[0]}, "last": {seqs[-1]}}}'
            self.command("replay", body)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not condition():
            self.supervise()
            if time.monotonic() > deadline:
                raise AssertionError(f"did not happen within {SETTLE_S:.0f} s: {what}\n{self.service.log_text()[-4000:]}")
            time.sleep(0.05)
