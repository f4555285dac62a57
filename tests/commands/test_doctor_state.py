"""What ails a service is told from its state folder alone, each with its cure, also while a daemon holds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge import config
from edge.commands import doctor_state
from edge.commands.doctor_state import age, look_at_state
from edge.commands.finding import Finding
from edge.config import Settings
from edge.journal import Journal, Message, Verdict, problems, requests
from edge.records import Fingerprint
from edge.service import health
from tests import ROOT
from tests.journal.examples import failure, inspected

DAY_S = 86400.0


def settings_for(folder: Path, **watch: Any) -> Settings:
    return config.parse({"watch": {"folder": "/nowhere", **watch}, "state": {"folder": str(folder)}}, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def found(folder: Path, area: str, **watch: Any) -> list[Finding]:
    return [finding for finding in look_at_state(settings_for(folder, **watch)) if finding.area == area]


def told(folder: Path, area: str, words: str, **watch: Any) -> Finding:
    (one,) = [finding for finding in found(folder, area, **watch) if words in finding.text]
    return one


def failed(code: str, message: str) -> Callable[[int], Sequence[Verdict]]:
    return lambda seq: [Verdict(f"{code}-{seq}", "failure", (Message("verdict", "failure", b"{}"),), code, message)]


def test_a_state_without_trouble_has_none(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
        problems.write(folder, {})
        assert [finding.text for finding in look_at_state(settings_for(folder)) if finding.level == "problem"] == []
    assert told(folder, "service", "runs").level == "ok"
    assert "1 inspections, 0 failures; last image at 20" in told(folder, "images", "today").text


def test_a_state_that_is_still_to_be_made_is_no_problem(folder: Path) -> None:
    (finding,) = look_at_state(settings_for(folder))
    assert finding.level == "ok"
    assert not folder.exists()


def test_dead_letters_are_counted_and_the_newest_told_with_topic_reason_and_cure(folder: Path) -> None:
    with Journal.open(folder) as journal:
        for number in range(7):
            inspected(journal, f"{number}.tif")
            journal.outbox.bury(journal.outbox.unsent()[-1].id, f"too large {number}", None)
    letters = found(folder, "letters")
    assert len(letters) == doctor_state.LETTERS
    assert letters[0].level == "problem"
    assert letters[0].text.startswith("7 messages given up")
    assert "seq 7 on overlay/v" in letters[0].text
    assert letters[0].text.endswith("too large 6")
    assert '"inspection_id": "v-7"' in letters[0].cure


def test_an_image_that_killed_its_process_is_a_problem_and_a_broken_one_a_note(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif", failed("damaged", "no pixels"))
        note = told(folder, "images", "could not be inspected")
        inspected(journal, "b\n.tif", failed("crashed", "it killed the process 2 times"))
        problem = told(folder, "images", "could not be inspected")
    assert (note.level, problem.level) == ("note", "problem")
    assert "1 image could not be inspected (1 damaged)" in note.text
    assert "2 images could not be inspected (1 crashed, 1 damaged)" in problem.text
    assert problem.text.endswith("b\\n.tif: crashed: it killed the process 2 times")
    assert "edge-review retry" in problem.cure


def test_suspects_and_unsent_messages_are_told_with_their_age(folder: Path) -> None:
    with Journal.open(folder, clock=lambda: time.time() - 7300) as journal:
        inspected(journal, "a.tif", failure("a"))
        journal.ledger.admit("b.tif", Fingerprint(1, 1))
        journal.ledger.begin("b.tif")
        journal.ledger.recover()
    assert "such as b.tif" in told(folder, "images", "1 image begun and not finished").text
    unsent = told(folder, "state", "1 message unsent, the oldest for 2 h")
    assert unsent.cure


@pytest.mark.parametrize(("free", "level"), [(63 << 20, "problem"), (65 << 20, "note"), (2 << 30, None)])
def test_a_disk_that_is_almost_full_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str | None
) -> None:
    Journal.open(folder).close()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert [finding.level for finding in found(folder, "state") if "MiB are free" in finding.text] == ([level] if level else [])


@pytest.mark.parametrize(("synced", "level"), [(True, "ok"), (False, "problem"), (None, "ok")])
def test_a_clock_that_no_service_has_set_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, synced: bool | None, level: str
) -> None:
    Journal.open(folder).close()
    monkeypatch.setattr(health, "clock_synced", lambda: synced)
    (clock,) = found(folder, "clock")
    assert clock.level == level
    assert bool(clock.cure) == (level == "problem")


def test_a_clock_behind_what_is_stored_is_told_even_if_a_service_has_set_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal.open(folder, clock=lambda: time.time() + 91 * DAY_S) as journal:
        inspected(journal)
    monkeypatch.setattr(health, "clock_synced", lambda: True)
    (clock,) = found(folder, "clock")
    assert clock.level == "problem"
    assert "timedatectl" in clock.cure


def test_what_the_service_says_of_itself_is_told_with_its_cures(folder: Path) -> None:
    Journal.open(folder).close()
    assert told(folder, "service", "no service runs").cure.startswith("systemctl start")
    problems.write(folder, {"the disk is full": "Make room.", "paused: by command": "Send resume."})
    told_of = found(folder, "service")
    assert [(finding.level, finding.text, finding.cure) for finding in told_of] == [
        ("problem", "degraded: the disk is full", "Make room."),
        ("note", "degraded: paused: by command", "Send resume."),
    ]


def test_a_service_that_was_killed_is_told(folder: Path) -> None:
    Journal.open(folder).close()
    script = f"from pathlib import Path; from edge.journal import problems; problems.write(Path({str(folder)!r}), {{}})"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    assert "journalctl" in told(folder, "service", "was killed").cure


def test_requests_that_wait_are_told(folder: Path) -> None:
    Journal.open(folder).close()
    requests.leave(folder, ["a"])
    assert told(folder, "service", "1 request of edge-review").level == "note"


def test_a_silent_microscope_is_told_without_a_service_too(folder: Path) -> None:
    with Journal.open(folder, clock=lambda: time.time() - 7300) as journal:
        inspected(journal)
    assert [finding.level for finding in found(folder, "images")] == ["ok"]
    assert told(folder, "images", "no new image for 2 h", expect_every_h=2).cure


def test_a_damaged_journal_is_told_with_its_cure_and_the_rest_still_is(folder: Path) -> None:
    Journal.open(folder).close()
    (folder / "journal.sqlite3").write_bytes(b"nonsense" * 1000)
    assert "put back a backup" in told(folder, "state", "is damaged").cure
    assert found(folder, "service")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_to_become_the_services() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        Journal.open(Path(name, "state")).close()
        script = (
            "from tests.commands.test_doctor_state import look_at_state, settings_for; from pathlib import Path\n"
            "import os; os.setgid(65534); os.setuid(65534)\n"
            f"print(*look_at_state(settings_for(Path({name!r}, 'state'))))"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd="/")
        assert "cannot be read by this user" in done.stdout, done.stderr
        assert "sudo -u" in done.stdout


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400, "24 h"), (172_800, "2 days")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text
