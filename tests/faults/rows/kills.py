"""kill -9 of the daemon at a random moment: a trial in, what a subscriber missed out."""

from __future__ import annotations

from typing import Final

from tests.faults.bench import Bench
from tests.faults.row import Outcome, Row, Trial


def daemon_killed(trial: Trial) -> Outcome:
    """Images arrive, and in the midst of them the daemon is killed and started again."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command) as bench:
        bench.wait_until_online()
        bench.arrive(chance.randint(1, 6))
        bench.work(chance.uniform(0.0, 1.5), images_s=6)
        bench.kill()
        bench.arrive(chance.randint(0, 3))
        return outcome(bench)


def outcome(bench: Bench) -> Outcome:
    """Wait until all that is to come has come, and judge. A stop in the midst of a start is no part of it."""
    bench.wait_until_online()
    found = bench.settle()
    counts = {"images": found.images, "verdicts": found.verdicts, "repeats": found.repeats, "replays": bench.replays}
    return Outcome(found.all_problems(), counts)


ROWS: Final = (Row("daemon-kills", "kill -9 of the daemon at a random moment", 300, daemon_killed, seconds=4),)
