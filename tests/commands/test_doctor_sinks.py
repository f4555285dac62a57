"""What is wrong with a folder for tables or a server for verdicts is found without writing or posting anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge import config
from edge.commands.doctor import check
from edge.commands.doctor_sinks import look_at_sinks
from edge.config import Settings
from edge.journal import Journal
from edge.sinks.csv_folder import CsvFolder
from edge.sinks.webhook import Webhook
from tests.fakes.http_server import HttpServer
from tests.sinks.making import conclude


def settings_of(tmp_path: Path, **sections: dict[str, Any]) -> Settings:
    raw = {"watch": {"folder": str(tmp_path / "export")}, "state": {"folder": str(tmp_path / "state")}, **sections}
    return config.parse(raw, {})


def findings(tmp_path: Path, **sections: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one.area, one.level, one.text) for one in look_at_sinks(settings_of(tmp_path, **sections))]


def test_where_none_is_wanted_nothing_is_said(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_a_folder_that_can_be_written_is_fine_and_stays_empty(tmp_path: Path) -> None:
    folder = tmp_path / "historian"
    folder.mkdir()
    assert findings(tmp_path, csv={"folder": str(folder)}) == [
        ("csv", "ok", f"each verdict is a row of {folder}/sem-01_<day>.csv")
    ]
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_away_or_not_mounted_is_a_problem(tmp_path: Path) -> None:
    ((_, level, text),) = findings(tmp_path, csv={"folder": str(tmp_path / "away")})
    assert (level, text) == ("problem", f"csv.folder {tmp_path / 'away'}: No such file or directory")
    ((_, level, text),) = findings(tmp_path, csv={"folder": str(tmp_path), "must_be_mount": True})
    assert (level, text.rpartition(": ")[2]) == ("problem", "nothing is mounted on it, as csv.must_be_mount asks")
    (tmp_path / "file").write_text("")
    ((_, level, text),) = findings(tmp_path, csv={"folder": str(tmp_path / "file")})
    assert (level, text.rpartition(": ")[2]) == ("problem", "Not a directory")


def test_a_server_that_listens_is_fine_and_gets_no_request(tmp_path: Path) -> None:
    with HttpServer() as server:
        url = f"http://127.0.0.1:{server.port}/hook"
        ((area, level, text),) = findings(tmp_path, webhook={"url": url, "proxy": "none"})
        assert (area, level) == ("webhook", "ok")
        assert text.startswith(f"127.0.0.1:{server.port} took a connection")
        assert server.asked == []
    ((_, level, text),) = findings(tmp_path, webhook={"url": url, "proxy": "none"})
    assert (level, text) == ("problem", f"webhook.url 127.0.0.1:{server.port}: Connection refused")


def test_a_secret_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    webhook = {"url": "http://127.0.0.1:9/", "secret_file": str(tmp_path / "missing"), "proxy": "none"}
    ((_, level, text),) = findings(tmp_path, webhook=webhook)
    assert level == "problem"
    assert "webhook.secret_file" in text


def test_what_waits_is_counted_for_each(tmp_path: Path) -> None:
    sections: dict[str, dict[str, Any]] = {
        "csv": {"folder": str(tmp_path / "away")},
        "webhook": {"url": "http://127.0.0.1:9/", "proxy": "none"},
    }
    settings = settings_of(tmp_path, **sections)
    with Journal.open(tmp_path / "state") as journal:
        conclude(journal, CsvFolder(settings), "a.tif")
        conclude(journal, Webhook(settings), "b.tif")
        conclude(journal, Webhook(settings), "c.tif")
    found = findings(tmp_path, **sections)
    waits = {area: re.sub(r"\d+ s$", "a moment", text) for area, level, text in found if level == "note"}
    assert waits == {
        "csv": "1 verdict waiting for it, the oldest for a moment",
        "webhook": "2 verdicts waiting for it, the oldest for a moment",
    }


def test_check_says_that_there_is_no_broker_and_where_verdicts_go(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "historian"
    for place in (folder, tmp_path / "export"):
        place.mkdir()
    assert check(settings_of(tmp_path, mqtt={"host": ""}, csv={"folder": str(folder)})) == 0
    said = capsys.readouterr().out
    assert "there is no broker; verdicts go to csv" in said
    assert check(settings_of(tmp_path, mqtt={"host": ""}, csv={"folder": str(tmp_path / "away")})) == 1
