"""A newer version takes the service over, dies on the way, and is given up again: no image and no verdict is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge.journal import Journal, former, schema
from edge.models.card import BUILTIN_FOLDER
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.journal import next_version
from tests.service.running_daemon import Service, by_name, png, valid, verdicts

pytestmark = [pytest.mark.broker, needs_mosquitto]

FORMER = f"journal.sqlite3.v{schema.SCHEMA_VERSION}"


def stored(service: Service) -> int:
    """How many verdicts wait for the broker."""
    try:
        with Journal.view(service.state) as journal:
            return sum(row.role == "verdict" for row in journal.outbox.unsent(limit=1000))
    except Exception:  # the journal of the other version
        return -1


def let_arrive(service: Service, names: list[str], waiting: int) -> None:
    for number, name in enumerate(names):
        service.put(name, png(hash(name) % 97 + number))
    eventually(lambda: stored(service) == waiting, 120, f"{waiting} verdicts: {service.log_text()[-2000:]}")


def all_heard_in_order(listener: Listener, names: list[str]) -> None:
    eventually(lambda: set(names) <= set(by_name(listener)), 120, f"{names}: {sorted(by_name(listener))}")
    for epoch in {verdict["epoch"] for verdict in verdicts(listener)}:
        numbers = [verdict["seq"] for verdict in verdicts(listener) if verdict["epoch"] == epoch]
        assert numbers == sorted(numbers)
        assert len(numbers) == len(set(numbers))
    assert all(map(valid, verdicts(listener)))


@pytest.mark.parametrize("where", ["copy", "rename", "migration"])
def test_a_kill_while_a_backlog_is_taken_over_costs_nothing(tmp_path: Path, where: str) -> None:
    broker = Mosquitto(tmp_path / "broker")
    service, names = Service(tmp_path, broker.port), ["1.png", "2.png"]
    with service:
        let_arrive(service, names, 2)
        service.kill()
    newer = Service(tmp_path, broker.port, command=next_version.COMMAND)
    newer.start({next_version.KILLED_IN: where})
    assert newer.process is not None
    assert newer.process.wait(120) == -9, newer.log_text()
    with broker, Listener(broker.port) as listener, newer:
        newer.put("3.png", png(3))
        all_heard_in_order(listener, [*names, "3.png"])
        assert len({verdict["epoch"] for verdict in verdicts(listener)}) == 1
        assert len(verdicts(listener)) == 3
    assert [path.name for path in former.copies(service.state)] == [FORMER]


def test_the_older_version_refuses_what_is_newer_and_goes_on_after_the_line_that_it_names(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    service = Service(tmp_path, broker.port)
    with service:
        let_arrive(service, ["1.png", "2.png"], 2)
        assert service.stop() == 0
    newer = Service(tmp_path, broker.port, command=next_version.COMMAND)
    with newer:
        eventually((service.state / FORMER).exists, 60, newer.log_text())
        newer.put("3.png", png(3))
        newer.put("4.png", png(4))
        eventually(lambda: "4.png" in newer.log_text(), 120, "the newer version inspects")
        newer.kill()  # with all four unsent
    with service:
        assert service.process is not None
        assert service.process.wait(60) != 0
        said = service.log_text().splitlines()[-1]
    assert f"is of version {next_version.NEXT}" in said
    line = said.split("replaced: ")[1].split(";")[0]
    subprocess.run(line, shell=True, check=True)
    with broker, Listener(broker.port) as listener, service:
        all_heard_in_order(listener, [f"{number}.png" for number in range(1, 5)])
    assert "restored from a copy" in service.log_text()


def test_models_are_switched_and_back_while_a_backlog_waits(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    other = tmp_path / "models"
    other.mkdir()
    for name in ("segmenter", "classifier"):
        for ending in (".onnx", ".json"):
            (other / f"{name}{ending}").write_bytes((BUILTIN_FOLDER / f"{name}{ending}").read_bytes())
            card = other / f"{name}.json"
    for name in ("segmenter", "classifier"):
        card = other / f"{name}.json"
        card.write_text(card.read_text().replace('"version": "0.6.1"', '"version": "0.7.0"'))
    switched = {"segmenter": str(other / "segmenter.onnx"), "classifier": str(other / "classifier.onnx")}
    for number, models in enumerate([{}, switched, {}], 1):
        with Service(tmp_path, broker.port, models={"backend": "onnxruntime", **models}) as service:
            let_arrive(service, [f"{number}.png"], number)
            assert service.stop() == 0
    with broker, Listener(broker.port) as listener, service:
        all_heard_in_order(listener, ["1.png", "2.png", "3.png"])
    versions = [verdict["model"]["segmenter"]["version"] for verdict in verdicts(listener)]
    assert versions == ["0.6.1", "0.7.0", "0.6.1"]
    assert len({verdict["epoch"] for verdict in verdicts(listener)}) == 1
