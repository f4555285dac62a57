"""Whether a clock is believed: it is compared with the kernel's, with what was stored, and with a time service's word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.journal.boot import UNKNOWN
from edge.journal.database import Database
from edge.journal.trusted_clock import LONGEST_OFF_S, STEADY_S, TOLERANCE_S, TrustedClock
from tests.journal.examples import DAY_S

NOW = 1.8e9


class Machine:
    """A machine that is switched off and on, with a clock that is set."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.database = Database.open(folder, NOW)
        self.wall, self.boot, self.uptime = NOW, "boot-0", 100.0
        self.begin()

    def begin(self) -> None:
        """The daemon starts."""
        self.clock = TrustedClock(self.database, lambda: self.wall, lambda: self.boot, lambda: self.uptime)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    def reboot(self, off_s: float = 60.0) -> None:
        self.wall += off_s
        self.boot, self.uptime = f"{self.boot}+", 5.0
        self.begin()

    def believes(self, synced: bool | None = None) -> bool:
        return self.clock.judge(synced).now == self.wall


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "state")
    yield machine
    machine.database.close()


def restarted(machine: Machine) -> None:
    machine.begin()


def not_restarted(machine: Machine) -> None:
    pass


@pytest.mark.parametrize("synced", [True, None])
def test_a_clock_that_runs_on_is_believed_through_restarts_reboots_and_corrections(
    synced: bool | None, machine: Machine
) -> None:
    for happens in (lambda: None, machine.begin, machine.reboot, lambda: machine.reboot(3 * DAY_S)):
        happens()
        machine.run(2 * DAY_S)
        machine.wall += TOLERANCE_S / 2
        assert machine.believes(synced)


def test_a_clock_that_is_not_synchronised_is_never_believed(machine: Machine) -> None:
    machine.believes()
    for _ in range(30):
        machine.run(DAY_S)
        assert not machine.believes(False)
    assert machine.believes(True)


@pytest.mark.parametrize("synced", [True, None])
@pytest.mark.parametrize("then", [restarted, not_restarted])
def test_a_jump_ahead_within_one_boot_is_doubted_until_it_is_taken_back(
    synced: bool | None, then: Callable[[Machine], None], machine: Machine
) -> None:
    assert machine.believes(synced)
    machine.wall += 91 * DAY_S
    then(machine)
    for _ in range(3):
        machine.run(300)
        assert not machine.believes(synced)
    assert machine.clock.judge(synced).jump_s == pytest.approx(91 * DAY_S)
    machine.wall -= 91 * DAY_S
    assert machine.believes(synced)


def test_a_machine_that_was_off_for_long_is_believed_once_its_clock_is_synchronised(machine: Machine) -> None:
    assert machine.believes()
    machine.reboot(91 * DAY_S)
    assert not machine.believes(None)
    assert not machine.believes(False)
    assert machine.believes(True)
    machine.reboot(LONGEST_OFF_S / 2)
    assert machine.believes(None)


def test_a_machine_without_a_battery_is_believed_when_the_time_service_has_set_its_clock(machine: Machine) -> None:
    assert machine.believes(True)
    machine.reboot(-20 * 365 * DAY_S)
    assert not machine.believes(False)
    machine.wall += 20 * 365 * DAY_S + 30 * DAY_S
    assert machine.believes(True)


def test_a_jump_back_is_doubted_where_nobody_vouches_for_it(machine: Machine) -> None:
    assert machine.believes()
    machine.wall -= 10 * DAY_S
    assert not machine.believes(None)
    assert machine.clock.judge(None).jump_s == pytest.approx(-10 * DAY_S)
    assert machine.believes(True)


def test_a_doubted_clock_that_runs_evenly_for_long_is_believed_again(machine: Machine) -> None:
    assert machine.believes()
    machine.wall += 91 * DAY_S
    days = 0
    while not machine.believes():
        machine.run(DAY_S / 2)
        days += 1
    assert days / 2 == pytest.approx(STEADY_S / DAY_S, abs=1)


def test_an_uneven_clock_is_not_believed_however_long_it_runs(machine: Machine) -> None:
    assert machine.believes()
    machine.wall += 91 * DAY_S
    for _ in range(60):
        machine.run(DAY_S)
        machine.wall += DAY_S
        assert not machine.believes()


def test_what_is_certainly_over_follows_the_kernel_while_the_clock_is_behind(machine: Machine) -> None:
    assert machine.clock.least() == 0.0
    assert machine.believes()
    machine.wall -= 365 * DAY_S
    machine.run(5 * DAY_S)
    assert machine.clock.least() == pytest.approx(NOW + 5 * DAY_S - TOLERANCE_S)
    machine.reboot()
    assert machine.clock.least() == pytest.approx(NOW - TOLERANCE_S)


def test_the_first_moment_of_each_boot_is_stored(machine: Machine) -> None:
    assert machine.believes()
    machine.reboot()
    assert machine.believes()
    machine.wall += 5 * DAY_S
    machine.begin()
    assert not machine.believes(True), "the daemon was restarted within the same boot"


def test_a_kernel_without_a_name_of_the_boot_is_compared_as_across_a_boot(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "unnamed")
    machine.boot = UNKNOWN
    machine.begin()
    assert machine.believes()
    machine.wall += 91 * DAY_S
    assert not machine.believes()
    machine.database.close()
