"""Minutes and a seed in; the same scenarios as in the tests, again and again with other seeds, and their counts out.

    python -m tests.faults --minutes 60 --seed 7 --json counts.json
    python -m tests.faults --only kills --only broker --seconds 120 --minutes 30

Exit status 0: no problem was seen; 1: one was; 2: wrong usage. Every round prints its seed: with `--only`, `--rounds 1` and
the same `--seconds` it is done again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.breaking import Unavailable
from tests.faults.scenarios import BY_NAME, SCENARIOS, run

COUNTS = ("images", "verdicts", "inspections", "failures", "repeats", "doubted", "restarts", "replays", "connections")


def main(arguments: list[str]) -> int:
    """Run rounds until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first round; each further one is greater by one")
    parser.add_argument("--seconds", type=float, help="of faults in each round; else as in the tests")
    parser.add_argument("--only", action="append", choices=list(BY_NAME), help="a scenario; may be repeated")
    parser.add_argument("--rounds", type=int, default=1 << 30)
    parser.add_argument("--json", type=Path, help="where all counts go, after each round")
    asked = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(3), "big") if asked.seed is None else asked.seed
    chosen = [BY_NAME[name] for name in asked.only] if asked.only else list(SCENARIOS)
    until = time.monotonic() + 60 * asked.minutes
    done: list[dict[str, Any]] = []
    while len(done) < asked.rounds and time.monotonic() < until:
        scenario = chosen[len(done) % len(chosen)]
        with tempfile.TemporaryDirectory(prefix="edge-faults-") as folder:
            try:
                done.append(run(scenario, Path(folder), seed + len(done), asked.seconds))
            except Unavailable as absent:
                print(f"fault bench: {scenario.name}: cannot run here: {absent}", file=sys.stderr)
                done.append({"scenario": scenario.name, "seed": seed + len(done), "unavailable": str(absent), "problems": []})
        print(json.dumps({key: value for key, value in done[-1].items() if key != "log"}), flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(summary(done), indent=1))
    return int(any(one["problems"] for one in done))


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over all rounds, and each round."""
    faults: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one in rounds:
        faults.update(one.get("faults", {}))
        kinds.update(one.get("kinds", {}))
    sums = {name: sum(one.get(name, 0) for one in rounds) for name in COUNTS}
    return {"schema": "edge.faults/1", **sums, "faults": dict(faults), "problems": dict(kinds), "rounds": rounds}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
