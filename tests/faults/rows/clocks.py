"""A jump of the clock at a moment in; what was forgotten too early, numbered twice or not sent in order, out.

The clock, the kernel's uptime and its name of the boot are driven, as `edge/journal/trusted_clock.py` tells them apart.
Everything is kept for 30 days, and no verdict is older than six when the clock jumps.
"""

from __future__ import annotations

import itertools
import random
import uuid
from pathlib import Path
from typing import Final

from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.faults.breaking import Clock
from tests.faults.life import AREA, SITE, Life, Way
from tests.faults.row import Outcome, Row, Trial

HOUR_S, DAY_S = 3600.0, 86400.0
KEEP_DAYS: Final = 30.0
SIZES: Final = {
    "half an hour": 0.5 * HOUR_S,
    "2 hours": 2 * HOUR_S,
    "6 days": 6 * DAY_S,
    "8 days": 8 * DAY_S,
    "91 days": 91 * DAY_S,
    "14 years": 14 * 365 * DAY_S,
}
WAYS: Final = {"ahead": 1.0, "behind": -1.0}
MOMENTS: Final = ("while it runs", "over a restart", "over a reboot", "wrong from the first start on, then set right")
CASES: Final = tuple("; ".join(cell) for cell in itertools.product(SIZES, WAYS, MOMENTS))


class _Machine:
    """Its clock, its boot and its uptime, as a life sees them."""

    def __init__(self, folder: Path) -> None:
        self.kernel, self.clock = folder / "kernel", Clock(folder)
        self.kernel.mkdir()
        self._uptime_s, self._off_s = 600.0, 0.0
        self.reboot(0.0)

    def run(self, seconds: float) -> None:
        """So much time passes."""
        self._uptime_s += seconds
        self.clock.pass_by(seconds)
        self._tell()

    def jump(self, seconds: float) -> None:
        """The clock is set by so much."""
        self._off_s += seconds
        self.clock.jump(self._off_s)

    def reboot(self, off_s: float) -> None:
        """It was off for so long."""
        (self.kernel / "boot_id").write_text(str(uuid.uuid4()))
        self.clock.pass_by(off_s)
        self._uptime_s = 60.0
        self._tell()

    def _tell(self) -> None:
        (self.kernel / "uptime").write_text(f"{self._uptime_s:.2f} 0.00\n")


def jumped(trial: Trial) -> Outcome:
    """Verdicts over five days, a jump, more verdicts, and upkeep all the while: nothing is forgotten early or out of order."""
    chance, (size, direction, moment) = trial.chance, trial.case.split("; ")
    jump_s, synced = SIZES[size] * WAYS[direction], chance.choice((True, None, False))
    machine = _Machine(trial.folder)
    names = (f"image_{number:05d}.png" for number in itertools.count(1))
    with Mosquitto(trial.folder / "broker", "max_queued_messages 0") as broker:
        way = Way(trial.folder / "state", broker.port, clock=machine.clock.file, kernel=machine.kernel)
        with Listener(broker.port, f"{SITE}/{AREA}/sem/#") as listener:
            wrong = moment.startswith("wrong")
            if wrong:
                machine.jump(-jump_s)
            life = _begun(way)
            numbers = []
            for _ in range(chance.randint(2, 4)):
                numbers += life.ask("conclude", *(next(names) for _ in range(chance.randint(1, 2))))
                life.ask("forget", KEEP_DAYS, synced)
                machine.run(chance.uniform(0.5, 1.5) * DAY_S)
            assert life.ask("drained")
            life = _moment(life, way, machine, moment, jump_s, chance)
            for _ in range(3):
                numbers += life.ask("conclude", next(names))
                assert life.ask("drained")
                believed, _ = life.ask("forget", KEEP_DAYS, synced)
                machine.run(chance.uniform(0.5, 3.0) * HOUR_S)
            kept, epoch = life.ask("kept"), life.ask("epoch")
            life.end()
            eventually(lambda: len(listener.on("/inspection")) >= len(numbers), 60, "all verdicts")
            heard = [(one.body["epoch"], one.body["seq"]) for one in listener.on("/inspection")]
    problems = []
    vouched = moment == "over a reboot" and jump_s > KEEP_DAYS * DAY_S and synced is True  # it was off for so long, then
    if (forgotten := sorted(set(numbers) - set(kept))) and not vouched:
        problems.append(f"forgotten: seq {forgotten}, none older than six days; synchronised: {synced}")
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"numbers: {numbers}")
    firsts = list(dict.fromkeys(heard))
    if firsts != [(epoch, number) for number in numbers]:
        problems.append(f"order: {firsts}")
    counts = {"verdicts": len(numbers), "clocks believed at the end": int(believed), "forgotten as vouched for": len(forgotten)}
    return Outcome(problems, counts)


def _begun(way: Way) -> Life:
    life = Life(way)
    life.ask("connect")
    return life


def _moment(life: Life, way: Way, machine: _Machine, moment: str, jump_s: float, chance: random.Random) -> Life:
    """The clock jumps; the life that goes on."""
    if moment in ("over a restart", "over a reboot"):
        life.end() if chance.random() < 0.5 else life.kill()
        if moment == "over a reboot":
            machine.reboot(chance.uniform(1.0, 30.0) * 60)
        machine.jump(jump_s)
        return _begun(way)
    machine.jump(jump_s)
    return life


ROWS: Final = (
    Row(
        "clocks",
        "the clock jumps: how far, which way, at which moment",
        5,
        jumped,
        cases=CASES,
        networks=False,
        in_ci=2,
        seconds=2,
    ),
)
