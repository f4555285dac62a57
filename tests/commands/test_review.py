"""`edge-review`: quarantine is shown with its reasons, and what is asked for again waits for the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.commands.cli import review
from edge.journal import Journal, Message, Verdict, problems, requests
from edge.service.isolated import DEATHS
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.journal.examples import A, inspected
from tests.service.running_daemon import PREFIX, Service, begun_but_not_finished, child_of, png, verdicts


def failed(code: str) -> Callable[[int], Sequence[Verdict]]:
    return lambda seq: [Verdict(f"v-{seq}", "failure", (Message("verdict", "failure", b"{}"),), code, f"it is {code}")]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of four images one is fine, two are damaged (one in a folder, with a byte that is no UTF-8), one killed its process."""
    with Journal.open(tmp_path / "state") as journal:
        inspected(journal, "good.tif")
        inspected(journal, "a.tif", failed("damaged"))
        inspected(journal, "x/\udcff.tif", failed("damaged"))
        inspected(journal, "c.tif", failed("crashed"))
        journal.ledger.admit("s.tif", A)
        journal.ledger.begin("s.tif")
        journal.ledger.recover()
    return tmp_path / "state"


def asked(state: Path) -> list[str]:
    return sorted(one for file in requests.waiting(state) for one in requests.read(file))


def test_the_list_tells_what_failed_and_why_and_what_may(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(["list", "--state", str(state)]) == 0
    printed = capsys.readouterr()
    for expected in ("damaged        a.tif", "x/\\\\xff.tif", "crashed        c.tif", "it is crashed", "suspect        s.tif"):
        assert expected in printed.out
    assert "good.tif" not in printed.out
    assert "3 in quarantine, 1 suspect" in printed.err


def test_the_list_is_json_too(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requests.leave(state, ["v-4"])
    assert review(["list", "--json", "--state", str(state)]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["schema"] == "edge.quarantine/1"
    assert {image["path"]: (image["code"], image["asked"]) for image in body["quarantine"]} == {
        "a.tif": ("damaged", False),
        "x/\\xff.tif": ("damaged", False),
        "c.tif": ("crashed", True),
    }
    assert body["suspects"] == [{"path": "s.tif", "attempts": 1, "deaths": 0}]
    assert {"message", "ts", "revision", "run", "attempts", "deaths", "verdict_id"} <= body["quarantine"][0].keys()


def test_a_clock_that_was_wrong_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(tmp_path / "state", clock=lambda: 1e15) as journal:
        inspected(journal, "a.tif", failed("damaged"))
    assert review(["list", "--state", str(tmp_path / "state")]) == 0
    assert review(["list", "--json", "--state", str(tmp_path / "state")]) == 0
    assert "a.tif" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--all"], ["v-2", "v-3", "v-4"]),
        (["--code", "damaged"], ["v-2", "v-3"]),
        (["a.tif", "a.tif"], ["v-2"]),
        (["x/\\xff.tif"], ["v-3"]),
        (["x/\\\\xff.tif"], ["v-3"]),
        (["x/\udcff.tif", "c.tif"], ["v-3", "v-4"]),
    ],
)
def test_images_are_named_as_they_are_shown_by_code_or_all_at_once(state: Path, arguments: list[str], ids: list[str]) -> None:
    assert review(["retry", *arguments, "--state", str(state)]) == 0
    assert asked(state) == ids


def test_an_image_is_named_by_where_it_lies(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text(f"[watch]\nfolder = '{tmp_path}/export'\n[state]\nfolder = '{state}'\n")
    (tmp_path / "export").mkdir()
    monkeypatch.chdir(tmp_path / "export")
    assert review(["retry", str(tmp_path / "export/a.tif"), "./c.tif", "--config", str(tmp_path / "c.toml")]) == 0
    assert asked(state) == ["v-2", "v-4"]


def test_what_is_not_in_quarantine_is_status_1_and_the_rest_is_asked_for(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(["retry", "good.tif", "a.tif", "--state", str(state)]) == 1
    printed = capsys.readouterr()
    assert "good.tif is not in quarantine" in printed.err
    assert printed.out == "a.tif\n"
    assert asked(state) == ["v-2"]


def test_a_code_that_nothing_has_is_refused_with_those_that_something_has(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(["retry", "--code", "broken", "--state", str(state)]) == 2
    assert "crashed, damaged" in capsys.readouterr().err


@pytest.mark.parametrize(("runs", "when"), [(True, "within seconds"), (False, "at its next start")])
def test_it_says_when_the_service_will_take_them(
    state: Path, capsys: pytest.CaptureFixture[str], runs: bool, when: str
) -> None:
    if runs:
        problems.write(state, {})
    review(["retry", "--all", "--state", str(state)])
    assert when in capsys.readouterr().err


def test_the_journal_is_not_written_while_a_daemon_holds_it(state: Path) -> None:
    with Journal.open(state) as journal:
        before = list(journal.ledger.entries().values())
        assert review(["retry", "--all", "--state", str(state)]) == 0
        assert review(["list", "--state", str(state)]) == 0
        assert list(journal.ledger.entries().values()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_who_may(state: Path) -> None:
    state.chmod(0o700)
    script = (
        "from edge.commands.cli import review; from edge.commands import review as _; import os, sys\n"
        f"os.chdir({str(state)!r}); os.setgid(65534); os.setuid(65534); sys.exit(review(['list', '--state', '.']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 1, done.stderr
    assert "the service's user must be able" in done.stderr


def test_without_a_journal_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(["list", "--state", str(tmp_path)]) == 1
    assert "no journal" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@needs_mosquitto
def test_what_killed_its_process_is_told_and_tried_again_in_one_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker.port, f"{PREFIX}/#") as dashboard:
        service = Service(tmp_path, broker.port)
        service.put("a.png", png(1))
        begun_but_not_finished(service, "a.png")
        with service:
            for _ in range(DEATHS):
                child = eventually(lambda: child_of(service), 90, "a child that inspects")
                child.kill()
                eventually(lambda child=child: not child.is_running(), 90)
            eventually(lambda: [verdict["error"]["code"] for verdict in verdicts(dashboard)] == ["crashed"], 90)
            review(["list", "--config", str(service.config)])
            assert "crashed        a.png" in capsys.readouterr().out
            assert review(["retry", str(service.folder / "a.png"), "--config", str(service.config)]) == 0
            eventually(lambda: child_of(service), 90, "a child that inspects")
            again = eventually(lambda: verdicts(dashboard)[1:], 90)
            assert (again[0]["schema"].partition("/")[0], again[0]["image"]["run"]) == ("edge.inspection", 2)
            review(["list", "--config", str(service.config)])
            assert "0 in quarantine, 0 suspects" in capsys.readouterr().err
