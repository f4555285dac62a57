"""A cell of the matrix of restored states in; what a subscriber then heard under a number that had a meaning before, out.

What came back, how it was put there, and what the broker keeps meanwhile: all that `edge/journal/witness.py`,
`edge/journal/numbering.py` and `edge/mqtt/restored.py` tell apart.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.faults.book import Page
from tests.faults.judge import Judgement, judge
from tests.faults.life import AREA, SITE, Life, Way, digest
from tests.faults.row import Outcome, Row, Trial

PREFIX: Final = f"{SITE}/{AREA}/sem"
DATABASE, LOGS, WITNESS = "journal.sqlite3", ("journal.sqlite3-wal", "journal.sqlite3-shm"), "witness"
WHAT: Final[Mapping[str, tuple[str, ...]]] = {
    "the whole state": (DATABASE, *LOGS, WITNESS),
    "the journal and its log": (DATABASE, *LOGS),
    "the journal alone": (DATABASE,),
    "the witness alone": (WITNESS,),
    "another device's state": (DATABASE, *LOGS, WITNESS),
    "nothing": (),
}
HOW: Final = ("as new files", "in place")
SNAPSHOT: Final = "the whole state, as a disk's snapshot"
BROKER: Final = ("keeps all", "forgot all", "is restored too", "keeps a stranger's word")
CASES: Final = tuple(
    "; ".join(cell)
    for cell in (
        *itertools.product((one for one in WHAT if one != "nothing"), HOW, BROKER),
        *itertools.product(("nothing",), ("at all",), BROKER),
        *itertools.product((SNAPSHOT,), ("no file shows it",), ("keeps all", "keeps a stranger's word")),
    )
)
"""A snapshot of the disk that comes back together with a broker that forgot, too, leaves nobody who could tell."""
MUST_RENEW: Final = ("the whole state", "the journal and its log", "the journal alone", SNAPSHOT, "another device's state")
STRANGER: Final = "99999999-8888-7777-6666-555555555555"


def restored(trial: Trial) -> Outcome:
    """A life, a copy, another life; the copy comes back, a third life, and a fourth which must not notice it again."""
    chance, (what, how, broker_is) = trial.chance, trial.case.split("; ")
    state, copy = trial.folder / "state", trial.folder / "copy"
    with Mosquitto(trial.folder / "broker", "max_queued_messages 0") as broker:
        way = Way(state, broker.port, chance.choice((5, 311)))
        paths = (f"image_{number:05d}.png" for number in itertools.count(1))
        scene = _Scene(way, broker, Listener(broker.port, f"{PREFIX}/#"))
        with scene.listener:
            first = scene.lived([next(paths) for _ in range(chance.randint(1, 4))], end=False)
            unsent = [next(paths) for _ in range(chance.choice((0, 0, 1, 2)))]
            if taken_running := chance.random() < 0.5:
                shutil.copytree(state, copy)
                first.end()
            else:
                first.end() if chance.random() < 0.5 else first.kill()
                scene.conclude_offline(unsent)
                shutil.copytree(state, copy)
            kept = scene.retained()
            second = scene.lived([next(paths) for _ in range(chance.randint(1, 4))], end=False)
            if killed := chance.random() < 0.5:
                second.kill()
            else:
                second.end()
            if what.startswith("another"):
                shutil.rmtree(copy)
                other = replace(way, state=copy, device="s2")
                scene.lived([next(paths) for _ in range(chance.randint(1, 4))], way=other)
            _put_back(copy, state, what, how)
            scene.let_broker_be(broker_is, kept)
            before = scene.epochs()
            blind = replace(way, blind=what == SNAPSHOT)
            third = scene.lived([next(paths) for _ in range(chance.randint(1, 3))], way=blind, end=False)
            renewed = third.ask("epoch")
            third.end() if chance.random() < 0.5 else third.kill()
            fourth = scene.lived([next(paths)], end=False)
            again = fourth.ask("epoch")
            fourth.end()
            found = scene.judged()
    problems = found.all_problems()
    if what in MUST_RENEW and renewed in before:
        problems.append(f"epoch: numbers go on in {renewed}, of which a later life had given some away")
    if again != renewed:
        problems.append(f"epoch: {renewed} became {again} at a restart, though nothing was restored since")
    moments = {"copies taken from a running journal": int(taken_running), "second lives killed": int(killed)}
    counts = {"verdicts": found.verdicts, "repeats": found.repeats, "epochs": found.epochs, **moments}
    return Outcome(problems, counts)


class _Scene:
    """The device's lives, the broker, and what is known of what was concluded."""

    def __init__(self, way: Way, broker: Mosquitto, listener: Listener) -> None:
        self.way, self.broker, self.listener = way, broker, listener
        self._pages: dict[str, Page] = {}

    def lived(self, paths: list[str], *, way: Way | None = None, end: bool = True) -> Life:
        """A life that concludes `paths`, some of them before it connects, and has them all received."""
        life = Life(way or self.way)
        early = paths[: len(paths) // 2]
        self._told(paths)
        life.ask("conclude", *early)
        life.ask("connect")
        life.ask("conclude", *paths[len(early) :])
        assert life.ask("drained"), f"not sent: {paths}\n{self.broker.log()[-2000:]}"
        eventually(lambda: self._heard() >= set(paths), 60, f"verdicts on {paths}")
        if end:
            life.end()
        return life

    def conclude_offline(self, paths: list[str]) -> None:
        """They wait in the outbox."""
        if paths:
            life = Life(self.way)
            self._told(paths)
            life.ask("conclude", *paths)
            life.kill()

    def retained(self) -> dict[str, bytes]:
        """What the broker keeps of us now."""
        newest = {one.topic: one.payload for one in list(self.listener.heard)}
        return {topic: newest[topic] for topic in newest if topic.endswith(("/s1/status", "/s1/summary"))}

    def let_broker_be(self, how: str, kept: Mapping[str, bytes]) -> None:
        """What it has forgotten or is told."""
        if how == "forgot all":
            self.broker.stop()
            shutil.rmtree(self.broker.folder / "data")
            (self.broker.folder / "data").mkdir()
            self.broker.start()
            eventually(lambda: self._answers(), 60, "the subscriber is back")
        elif how == "is restored too":
            for topic, payload in kept.items():
                self.listener.say(topic, payload, retain=True)
        elif how == "keeps a stranger's word":
            word = {"epoch": STRANGER, "last_seq": 7, "state": "offline", "connected_at": "2026-01-01T00:00:00.000Z"}
            self.listener.say(f"{PREFIX}/s1/status", json.dumps(word), retain=True)

    def epochs(self) -> set[str]:
        """In which anything was heard."""
        return {one.body["epoch"] for one in self.listener.on("/inspection")}

    def judged(self) -> Judgement:
        """All that was heard."""
        payloads = [one.payload for one in self.listener.on("/inspection")]
        told: Counter[str] = Counter()
        for status in (one.body for one in self.listener.on("/status") if one.payload):
            if status["epoch"] != STRANGER:
                told[status["epoch"]] = max(told[status["epoch"]], status["last_seq"] or 0)
        return judge(self._pages, payloads, told)

    def _told(self, paths: list[str]) -> None:
        self._pages.update({path: Page({digest(path)}, digest(path)) for path in paths})

    def _heard(self) -> set[str]:
        return {one.body["image"]["path"] for one in self.listener.on("/inspection")}

    def _answers(self) -> bool:
        """Whether what is published comes back to the subscriber."""
        topic = f"{PREFIX}/echo"
        with contextlib.suppress(RuntimeError):  # not connected yet
            self.listener.say(topic, b"{}")
        return bool(self.listener.on(topic))


def _put_back(copy: Path, state: Path, what: str, how: str) -> None:
    """The named files of `copy` come in place of those in `state`; logs that belong to no restored journal go."""
    files = WHAT["the whole state" if what == SNAPSHOT else what]
    if what == "nothing":
        shutil.rmtree(state)
        return
    if DATABASE in files:
        for name in LOGS:
            (state / name).unlink(missing_ok=True)
    for name in files:
        old, new = state / name, copy / name
        if not new.exists():
            continue
        if how == "in place" and old.exists():
            with old.open("r+b") as stream:
                stream.write(new.read_bytes())
                stream.truncate()
        else:
            old.unlink(missing_ok=True)
            shutil.copy2(new, old)


ROWS: Final = (
    Row(
        "restores",
        "the state or a part of it is restored, in every way, while the broker keeps what it keeps",
        5,
        restored,
        cases=CASES,
        networks=False,
        in_ci=4,
        seconds=2,
    ),
)
