"""What a candidate beside the present models costs the real verdict: `python -m tests.service.shadow_cost`.

Each round sends two images to one running service. The first comes while the candidate's process is idle. The second comes as
soon as the first has its verdict, while the candidate is at work on the first. So both see the same machine at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from edge.journal.shadowed import Shadowed
from edge.journal.shadowed import kept as kept_releases
from tests.conftest import pitted
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.sem.making import encoded
from tests.service.candidates import models, on_shelf
from tests.service.running_daemon import by_name
from tests.service.test_shadow_run import box, shadow_of

PATIENCE_S = 600.0


def measured(base: Path, rounds: int, width: int, height: int) -> dict[str, Any]:
    """Milliseconds of both kinds of images, by the verdict's own `total` and from the file to the subscriber."""
    times: dict[str, list[float]] = {name: [] for name in ("idle", "busy", "idle_heard", "busy_heard")}
    with Mosquitto(base / "broker") as broker:
        service = box(base, broker)
        service.state.mkdir(mode=0o700)
        release = on_shelf(service.state, models(base / "candidate", severe=1.0))

        def compared() -> int:
            if release.id not in kept_releases(service.state):
                return 0
            with Shadowed.view(service.state, release.id) as rows:
                return rows.summary().compared

        with Listener(broker.port, "#") as dashboard, service:
            eventually(lambda: shadow_of(dashboard).get("state") == "running", PATIENCE_S)
            for number in range(rounds + 2):
                for kind in ("idle", "busy"):
                    name, data = f"{number}-{kind}.png", encoded(pitted(width, height, 2 * number + (kind == "busy")), ".png")
                    began = time.perf_counter()
                    service.put(name, data)
                    verdict = eventually(lambda: by_name(dashboard).get(name), PATIENCE_S)  # noqa: B023 - called at once
                    assert verdict is not None
                    if number >= 2:  # the first ones warm up
                        times[kind].append(verdict["timing_ms"]["total"])
                        times[f"{kind}_heard"].append((time.perf_counter() - began) * 1e3)
                eventually(lambda: compared() == 2 * (number + 1), PATIENCE_S)  # noqa: B023 - called at once
    told: dict[str, Any] = {f"{kind}_ms": round(statistics.median(values), 1) for kind, values in times.items()}
    for kind in ("", "_heard"):
        pairs = [busy / idle for idle, busy in zip(times[f"idle{kind}"], times[f"busy{kind}"], strict=True)]
        told[f"ratio{kind}"] = round(statistics.median(pairs), 3)
        told[f"ratio{kind}_quartiles"] = [round(one, 3) for one in statistics.quantiles(pairs, n=4)[::2]]
    return told


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description="What a candidate beside the present models costs the real verdict.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 960), metavar=("W", "H"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-shadow-") as base:
        found = measured(Path(base), arguments.rounds, *arguments.size)
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"rounds": arguments.rounds, "size_px": arguments.size, "cores": cores, **found}))


if __name__ == "__main__":
    main()
