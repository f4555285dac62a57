"""kill -9 of the daemon, of a process of its own, or of the broker: a trial in, what a subscriber missed out.

Beside what the judge sees, nothing may be decided twice or given up: each image here is whole and written once, so it has
one verdict, which is no failure, one picture, and all have numbers of one epoch.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from edge.journal import requests
from tests import ROOT
from tests.fakes.brokers import eventually
from tests.faults.bench import SETTLE_S, Bench
from tests.faults.breaking import paused
from tests.faults.points import BY_NAME, POINTS
from tests.faults.row import Outcome, Row, Trial
from tests.service.running_daemon import PREFIX, child_of, ended

FORGETFUL: Final = ("autosave_on_changes false", "autosave_interval 1800")
"""mosquitto as Debian ships it: what came since the last save, up to half an hour ago, is gone after a kill."""


def daemon_killed(trial: Trial) -> Outcome:
    """Images arrive, and at any moment, also while it starts, the daemon is killed and started again, once or twice."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command) as bench:
        for _ in range(chance.choice((1, 1, 2))):
            bench.arrive(chance.randint(0, 3))
            if chance.random() < 0.3:
                bench.work(chance.uniform(0.0, 2.5), images_s=3)
            else:
                bench.wait_until_online()
                bench.arrive(chance.randint(1, 6))
                bench.work(chance.uniform(0.0, 1.5), images_s=6)
            bench.kill()
        bench.arrive(chance.randint(0, 3))
        return outcome(bench)


def daemon_stopped(trial: Trial) -> Outcome:
    """Images arrive, and the daemon is stopped for a while (SIGSTOP) or asked to end and started again, twice."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command) as bench:
        for kind in chance.sample(("stopped", "asked to end"), 2):
            if chance.random() < 0.8:
                bench.wait_until_online()
            bench.arrive(chance.randint(0, 6))
            bench.work(chance.uniform(0.0, 1.5), images_s=6)
            assert bench.service.process is not None
            if kind == "stopped":
                paused(bench.service.process, chance.uniform(0.2, 2.0))
            else:
                status = bench.service.stop()
                bench.odd_ends += [f"ended: asked to end, it did with status {status}"] if status else []
                bench.start()
        bench.arrive(chance.randint(0, 3))
        return outcome(bench)


def killed_there(trial: Trial) -> Outcome:
    """The daemon is killed at one point of its code, at a call drawn by chance; the next life goes on."""
    chance, point = trial.chance, BY_NAME[trial.case]
    armed = trial.folder / "armed"
    with Bench(trial.folder, chance.getrandbits(32), command=_command(trial, armed), starts=False) as bench:
        also = SCENES.get(point.name, _images_come)(bench, chance, lambda: _arm(armed, point.name, chance))
        problems = []
        if not bench.wait_for_death(images_s=0 if point.name in SCENES else 4):
            bench.service.kill()
        if not Path(f"{armed}.reached").exists():
            problems.append(f"bench: the point was not reached: {point.name}")
        bench.do(f"killed: {point.words}")
        bench.arrive(chance.randint(0, 2))
        bench.start()
        found = outcome(bench, also=also)
    found.problems += problems
    return found


def child_killed(trial: Trial) -> Outcome:
    """What was begun when the daemon died is tried in a process of its own, and that one is killed too, once."""
    chance, armed = trial.chance, trial.folder / "armed"
    with Bench(trial.folder, chance.getrandbits(32), command=_command(trial, armed), starts=False) as bench:
        _images_come(bench, chance, lambda: _arm(armed, "decoded", chance))
        bench.wait_for_death(images_s=4)
        bench.start()
        child = eventually(lambda: child_of(bench.service), SETTLE_S, "a suspect is tried")
        bench.work(chance.uniform(0.0, 1.5), images_s=1)
        alive = not ended(child)
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end just now
            child.kill()
        found = outcome(bench)
    found.counts["children killed"] = int(alive)
    return found


def broker_killed(trial: Trial) -> Outcome:
    """Images arrive, the broker is killed and started again, once or twice; it saves every change."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command) as bench:
        bench.wait_until_online()
        for _ in range(chance.choice((1, 1, 2))):
            bench.arrive(chance.randint(1, 6))
            bench.work(chance.uniform(0.0, 1.5), images_s=6)
            bench.broker.kill()
            bench.work(chance.uniform(0.0, 1.0), images_s=4)
            bench.broker.start()
        bench.arrive(chance.randint(0, 3))
        return outcome(bench, pictures=False)


def broker_forgot(trial: Trial) -> Outcome:
    """The subscriber is away and the broker, which saves seldom, is killed with what it acknowledged; a replay brings it."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command, broker=FORGETFUL) as bench:
        bench.wait_until_online()
        bench.arrive(chance.randint(1, 4))
        bench.work(chance.uniform(0.0, 1.0), images_s=3)
        if chance.random() < 0.8:
            bench.listener.close()
            bench.arrive(chance.randint(1, 4))
            bench.work(chance.uniform(0.5, 2.5), images_s=3)
            _end_broker(bench, chance)
            bench.listener.come_back()
        else:
            _end_broker(bench, chance)
        bench.arrive(chance.randint(0, 3))
        return outcome(bench, pictures=False, replay_after_s=3.0)


def _end_broker(bench: Bench, chance: random.Random) -> None:
    bench.broker.kill()
    bench.work(chance.uniform(0.0, 1.0), images_s=2)
    bench.broker.start()


# What happens around a point. Each returns what must have come true at the end, beside the verdicts

Also = Callable[[], bool]
Arm = Callable[[], None]


def _nothing_else() -> bool:
    return True


def _images_come(bench: Bench, chance: random.Random, arm: Arm) -> Also:
    arm()
    bench.arrive(chance.randint(0, 3))
    bench.start()
    return _nothing_else


def _judged(bench: Bench, chance: random.Random, least: int) -> None:
    """Some images, and their verdicts and pictures with the subscriber."""
    bench.arrive(chance.randint(least, least + 3))
    bench.until(lambda: bench.judged().settled and not _without_picture(bench), "all verdicts and pictures")


def _replay(bench: Bench, chance: random.Random, arm: Arm) -> Also:
    arm()
    bench.start()
    _judged(bench, chance, 3)
    (epoch, last), *_ = bench.judged().highest.items()
    before = bench.judged().repeats
    bench.listener.say(f"{PREFIX}/command/replay", json.dumps({"epoch": epoch, "first": 1, "last": last}))
    return lambda: bench.judged().repeats >= before + last


def _retention(bench: Bench, chance: random.Random, arm: Arm) -> Also:
    """A life with room for everything, then one with room for next to nothing, in which it dies; then room again."""
    config, text = bench.service.config, bench.service.config.read_text()
    bench.start()
    _judged(bench, chance, 3)
    bench.service.stop()
    arm()
    config.write_text(text.replace("[state]\n", "[state]\nmax_gib = 0.00001\n"))
    bench.start()
    bench.wait_for_death()
    config.write_text(text)
    return _nothing_else


def _review(bench: Bench, chance: random.Random, arm: Arm) -> Also:
    arm()
    bench.start()
    _judged(bench, chance, 1)
    verdict = json.loads(chance.choice(bench.payloads()))
    requests.leave_review(bench.service.state, json.dumps(_a_review(verdict)).encode())
    image = verdict["image"]
    kept = bench.service.state / "reviewed" / image["sha256"] / image["name"]

    def stored_once() -> bool:
        heard = {one.payload for one in bench.listener.on("/review")}
        return len(heard) == 1 and json.loads(heard.pop())["review_seq"] == 1 and kept.exists()

    return stored_once


def _a_review(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Of a person who looked at the whole image, and has nothing to say against it."""
    image = {key: verdict["image"][key] for key in ("name", "path", "sha256", "page", "revision")}
    told: dict[str, Any] = {"schema": "edge.review/1", "review_id": "r1", "ts": verdict["ts"], "ts_ms": verdict["ts_ms"]}
    told |= {"device": None, "reviewer": "anna", "inspection_id": verdict["inspection_id"], "image": image, "model": None}
    told |= {"regions": [], "missed": [], "brushed": [], "complete": True, "severity": None}
    return told | {"supersedes": None, "withdrawn": False, "note": ""}


def _end(bench: Bench, chance: random.Random, arm: Arm) -> Also:
    arm()
    bench.start()
    bench.wait_until_online()
    bench.arrive(chance.randint(1, 6))
    bench.work(chance.uniform(0.0, 1.5), images_s=6)
    assert bench.service.process is not None
    bench.service.process.terminate()
    return _nothing_else


SCENES: Final[Mapping[str, Callable[[Bench, random.Random, Arm], Also]]] = {
    "replayed": _replay,
    "forgotten": _retention,
    "reviewed": _review,
    "ending": _end,
}
"""Points that images alone do not lead to."""


def _command(trial: Trial, armed: Path) -> list[str]:
    real = ["--real"] if trial.real else []
    return [sys.executable, str(ROOT / "tests" / "faults" / "killed_at.py"), str(armed), *real]


def _arm(armed: Path, point: str, chance: random.Random) -> None:
    armed.write_text(json.dumps({"point": point, "call": chance.randint(1, BY_NAME[point].calls)}))


# Judging


def outcome(
    bench: Bench,
    *,
    pictures: bool = True,
    also: Also = _nothing_else,
    replay_after_s: float = 15.0,
    undrawable: Collection[str] = (),
) -> Outcome:
    """Wait until all that is to come has come, stop, and judge.

    pictures: each inspection must have one; a broker that is killed may lose it.
    undrawable: paths whose picture a new life cannot draw, because the image was deleted before the last one had.
    """
    bench.wait_until_online()

    def complete() -> bool:
        return also() and not (pictures and _without_picture(bench, undrawable))

    found = bench.settle(replay_after_s=replay_after_s, also=complete)
    problems = [*found.all_problems(), *_of_verdicts(bench), *_of_state(bench.state_to_read())]
    if pictures:
        problems += [f"picture: none came for {name}" for name in _without_picture(bench, undrawable)]
    if not also():
        problems.append("undone: what was asked for did not come true")
    counts = {"images": found.images, "verdicts": found.verdicts, "repeats": found.repeats, "replays": bench.replays}
    return Outcome(problems, counts)


def _verdicts(bench: Bench) -> list[dict[str, Any]]:
    """Each once."""
    told = (json.loads(payload) for payload in bench.payloads())
    return list({one.get("inspection_id") or one.get("failure_id"): one for one in told}.values())


def _without_picture(bench: Bench, undrawable: Collection[str] = ()) -> list[str]:
    """Ids of inspections whose picture was not heard, but for those of some paths."""
    heard = {one.topic.rpartition("/")[2] for one in list(bench.listener.heard) if "/overlay/" in one.topic and one.payload}
    drawn = [one for one in _verdicts(bench) if "inspection_id" in one and one["image"]["path"] not in undrawable]
    return [one["inspection_id"] for one in drawn if one["inspection_id"] not in heard]


def _of_verdicts(bench: Bench) -> list[str]:
    """What is wrong with them, where each image is whole and written once."""
    verdicts = _verdicts(bench)
    problems = [f"blamed: {one['image']['path']}: {one['error']['code']}" for one in verdicts if "failure_id" in one]
    by_path = Counter(one["image"]["path"] for one in verdicts if "image" in one)
    problems += [f"twice: {path} has {count} verdicts" for path, count in by_path.items() if count > 1]
    epochs = {one["epoch"] for one in verdicts}
    return problems + ([f"epochs: {len(epochs)} of them, though no state was restored"] if len(epochs) > 1 else [])


def _of_state(state: Path) -> list[str]:
    """What is wrong in the state folder after a clean end: damage, an image that waits, a file that nobody knows."""
    with sqlite3.connect(f"file:{state / 'journal.sqlite3'}?mode=ro", uri=True) as database:
        (sound,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        (waiting,) = database.execute("SELECT COUNT(*) FROM image WHERE state IN ('waiting', 'running')").fetchone()
        named = {name for (name,) in database.execute("SELECT picture FROM outbox WHERE picture IS NOT NULL")}
    database.close()
    problems = [] if sound == "ok" else [f"damaged: {sound}"]
    problems += [f"waiting: {waiting} images"] if waiting else []
    return problems + [f"orphan: {one.name}" for one in (state / "pictures").iterdir() if one.name not in named]


ROWS: Final = (
    Row("daemon-kills", "kill -9 of the daemon at a random moment", 300, daemon_killed, seconds=5),
    Row("daemon-stops", "SIGSTOP for a while, and SIGTERM, of the daemon at a random moment", 50, daemon_stopped, seconds=5),
    Row(
        "point-kills",
        f"kill -9 of the daemon at each of {len(POINTS)} named points of its code",
        20,
        killed_there,
        cases=tuple(point.name for point in POINTS),
        in_ci=4,
        seconds=6,
    ),
    Row(
        "child-kills",
        "kill -9 of the process that tries what was begun when the daemon was killed",
        20,
        child_killed,
        seconds=7,
    ),
    Row("broker-kills", "kill -9 of mosquitto with `autosave_on_changes true`", 100, broker_killed, seconds=6),
    Row(
        "broker-forgets",
        "kill -9 of mosquitto as Debian ships it, which forgets; a replay is asked for",
        30,
        broker_forgot,
        seconds=8,
    ),
)
