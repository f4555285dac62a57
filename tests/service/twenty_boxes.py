"""Many daemons, one broker and one server for their models in; what became of each image while server and boxes die out.

`python -m tests.service.twenty_boxes --boxes 20 --images 5 --server mlserver --python PYTHON` with a real server
(`tests.backends.real_servers`), else with the one of `tests.fakes.v2_server`. Each box is an `edge-daemon` of its own. The same
images go into all boxes under the same names, so that nothing but the epochs tells their ids apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psutil

from edge.models.card import BUILTIN_FOLDER
from edge.wire.encode import verdict_id
from tests.backends.real_servers import PROGRAMS, RealServer
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.v2_server import V2Server
from tests.service.running_daemon import Service, png

WITHIN_S = 900.0
"""For what many boxes do on a small machine."""
AREA = "plant/lab/sem"


class Server(Protocol):
    """What serves the models: Triton, MLServer, or the one of the tests."""

    url: str

    def start(self) -> Any:
        """Serve, on the port of earlier lives."""

    def stop(self) -> None:
        """End as a crash would."""


class Fleet:
    """The boxes, and what a dashboard hears of them.

    spans: seconds of each part.  memory_mib: of a box at the end of each part, see `_memory_mib`.
    """

    def __init__(self, folder: Path, boxes: int, broker: Mosquitto, url: str, dashboard: Listener) -> None:
        self.dashboard = dashboard
        self.spans: dict[str, float] = {}
        self.boxes = {
            name: Service(
                folder / name,
                broker.port,
                device={"id": name},
                models={"backend": "kserve"},
                kserve={"url": url, "away": "own", "patience_s": 2.0},
                watch={"rescan_s": 5.0},
            )
            for name in (f"sem-{number:02d}" for number in range(1, boxes + 1))
        }
        self._verdicts: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in self.boxes}
        self._read = 0
        self._written: Counter[str] = Counter()
        self.memory_mib: dict[str, dict[str, int]] = {}
        self._started = time.monotonic()

    def put(self, names: Sequence[str], images: int) -> None:
        """Let so many further images arrive in each of these boxes, in turn: the n-th image of all boxes is the same."""
        for _ in range(images):
            for name in names:
                number = self._written[name]
                self._written[name] += 1
                self.boxes[name].put(f"image-{number:03d}.png", png(number))

    def verdicts(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Of each box, verdicts by id, repeats dropped."""
        new = self.dashboard.heard[self._read :]
        self._read += len(new)
        for message in new:
            box, kind = message.topic.split("/")[3:5]
            if kind in ("inspection", "failure"):
                body = message.body
                self._verdicts[box].setdefault(body.get("inspection_id") or body["failure_id"], body)
        return self._verdicts

    def wait_for_all(self, part: str) -> None:
        """Until each image that was written has its verdict."""
        wanted = dict(self._written)
        eventually(lambda: {box: len(some) for box, some in self.verdicts().items()} == wanted, WITHIN_S, part)
        now = time.monotonic()
        self.spans[part] = round(self.spans.get(part, 0.0) + now - self._started, 1)
        self.memory_mib[part] = self._memory_mib()
        print(f"{part}: {sum(wanted.values())} images, {now - self._started:.0f} s", file=sys.stderr)
        self._started = now

    def newest_backends(self) -> set[str]:
        """What made the newest verdict of each box."""
        return {max(some.values(), key=lambda one: int(one["seq"]))["model"]["backend"] for some in self.verdicts().values()}

    def until_the_server_is_used(self) -> None:
        """Let an image arrive in each box whenever all have told their health, until the server made each newest verdict."""
        while self.newest_backends() != {"kserve"}:
            before = self._healths()
            eventually(lambda before=before: self._healths().keys() == (self._healths() - before).keys(), WITHIN_S, "health")
            self.put(list(self.boxes), 1)
            self.wait_for_all("until the server is used")

    def _healths(self) -> Counter[str]:
        """How many messages each box sent of its health."""
        return Counter(message.topic.split("/")[3] for message in self.dashboard.on("/health"))

    def _memory_mib(self) -> dict[str, int]:
        """Of a box, by who made its newest verdict: what it alone takes, and its part of what processes share; the most."""
        most: dict[str, int] = {}
        for name, some in self.verdicts().items():
            process = self.boxes[name].process
            by = max(some.values(), key=lambda one: int(one["seq"]))["model"]["backend"]
            taken = psutil.Process(process.pid).memory_full_info().pss >> 20 if process else 0
            most[by] = max(most.get(by, 0), taken)
        return most


def told(fleet: Fleet) -> dict[str, Any]:
    """What was counted, and each thing that is wrong."""
    wrong = [line for box, some in fleet.verdicts().items() for line in _wrong_of(box, fleet.boxes[box], some)]
    every = [one for some in fleet.verdicts().values() for one in some.values()]
    written = sum(len(list(box.folder.glob("*.png"))) for box in fleet.boxes.values())
    return {
        "boxes": len(fleet.boxes),
        "images": written,
        "verdicts": len(every),
        "lost": written - len({(one["device"]["id"], one["image"]["path"]) for one in every}),
        "ids": len({one.get("inspection_id") or one["failure_id"] for one in every}),
        "epochs": len({one["epoch"] for one in every}),
        "failures": sum("failure_id" in one for one in every),
        "backends": dict(Counter(one["model"]["backend"] for one in every if "model" in one)),
        "seconds": fleet.spans,
        "memory_mib": fleet.memory_mib,
        "wrong": wrong,
    }


def _wrong_of(box: str, service: Service, some: dict[str, dict[str, Any]]) -> Iterator[str]:
    epochs = {one["epoch"] for one in some.values()}
    if len(epochs) != 1:
        yield f"{box}: epochs {epochs}"
    if (seqs := sorted(one["seq"] for one in some.values())) != list(range(1, len(seqs) + 1)):
        yield f"{box}: seq {seqs}"
    files = {path.name for path in service.folder.iterdir()}
    if (paths := {one["image"]["path"] for one in some.values()}) != files:
        yield f"{box}: {sorted(files ^ paths)} have a file or a verdict, and not the other"
    for known, one in some.items():
        image, kind = one["image"], "failure" if "failure_id" in one else "inspection"
        if known != verdict_id(one["epoch"], image["path"], image["revision"], image["run"], kind=kind):
            yield f"{box}: {known} is not the id of {image['path']}"
        if one["device"]["id"] != box:
            yield f"{box}: a verdict of {one['device']['id']}"


def run(folder: Path, boxes: int, images: int, server: Server) -> Fleet:
    """Feed the boxes while the server goes and comes, and every fourth box is killed and started again.

    images: of each box, in each of the three parts.
    """
    with ExitStack() as running:
        broker = running.enter_context(Mosquitto(folder / "broker"))
        dashboard = running.enter_context(Listener(broker.port, f"{AREA}/+/#"))
        print(f"edge-dashboard --broker mqtt://localhost:{broker.port} shows the boxes", file=sys.stderr)
        server.start()
        running.callback(server.stop)
        fleet = Fleet(folder, boxes, broker, server.url, dashboard)
        for box in fleet.boxes.values():
            running.enter_context(box)
        names = list(fleet.boxes)
        fleet.put(names, images)
        fleet.wait_for_all("with the server")
        fleet.until_the_server_is_used()  # on a small machine, so many starts at once may have been too much for it
        server.stop()
        fleet.put(names, images)
        fleet.wait_for_all("without the server")
        assert "kserve" not in fleet.newest_backends()
        fleet.put(names, images)
        for name in names[::4]:
            fleet.boxes[name].kill()
        server.start()
        for name in names[::4]:
            fleet.boxes[name].start()
        fleet.wait_for_all("after the deaths")
        fleet.until_the_server_is_used()
        for box in fleet.boxes.values():
            assert box.stop() == 0
    return fleet


def main() -> int:
    """Run it, print what was counted, end with 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=20)
    parser.add_argument("--images", type=int, default=5, help="of each box, in each of the three parts")
    parser.add_argument("--server", choices=[*PROGRAMS, "fake"], default="fake")
    parser.add_argument("--python", default=sys.executable, help="what runs the server")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        server: Server = (
            V2Server(*sorted(BUILTIN_FOLDER.glob("*.onnx")))
            if asked.server == "fake"
            else RealServer(asked.server, asked.python, Path(folder))
        )
        counted = told(run(Path(folder), asked.boxes, asked.images, server))
    print(json.dumps(counted, indent=1))
    return 1 if counted["wrong"] or counted["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
