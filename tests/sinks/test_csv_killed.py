"""A process that is killed at each step of writing a row: afterwards every row stands in the table once."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Settings
from edge.journal import Journal
from edge.sinks.csv_folder import CsvFolder
from edge.sinks.delivery import Delivery
from tests import ROOT
from tests.fakes.brokers import eventually
from tests.sinks.making import conclude

STEPS = ("os.fsync", "os.replace", "after os.replace", "Outbox.acknowledge", "after Outbox.acknowledge")

CHILD = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from edge import config
from edge.journal import Journal, Outbox
from edge.sinks.csv_folder import CsvFolder
from edge.sinks.delivery import Delivery

folder, state, step, number = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
after, name = step.startswith("after "), step.rpartition(" ")[2]
owner, attribute = (os, name[3:]) if name.startswith("os.") else (Outbox, "acknowledge")
real, calls = getattr(owner, attribute), []

def dying(*arguments, **more):
    calls.append(1)
    if len(calls) == number and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(*arguments, **more)
    if len(calls) == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

with Journal.open(state) as journal:
    sink = CsvFolder(config.parse({"watch": {"folder": str(folder / "export")}, "csv": {"folder": str(folder)}}, {}))
    sink.at_once = 2
    setattr(owner, attribute, dying)
    Delivery(sink, journal.outbox).start()
    time.sleep(120)
"""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_at_this_step_neither_loses_nor_repeats_a_row(
    configured: Callable[..., Settings], tmp_path: Path, step: str, number: int
) -> None:
    folder = tmp_path / "historian"
    folder.mkdir()
    sink = CsvFolder(configured(csv={"folder": str(folder)}))
    with Journal.open(tmp_path / "state") as journal:
        made = [conclude(journal, sink, f"{index}.tif") for index in range(5)]
    arguments = [str(ROOT), str(folder), str(tmp_path / "state"), step, str(number)]
    assert subprocess.run([sys.executable, "-c", CHILD, *arguments], check=False).returncode == -9
    with Journal.open(tmp_path / "state") as journal:
        delivery = Delivery(sink, journal.outbox)
        delivery.start()
        eventually(lambda: journal.outbox.waiting_in("csv")[0] == 0, 60)
        assert delivery.stop(20)
    (path,) = folder.glob("*.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        assert [row["inspection_id"] for row in csv.DictReader(stream, strict=True)] == made
    assert [one.name for one in folder.iterdir()] == [path.name]
