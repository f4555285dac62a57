"""The table of a day: whole rows only, each verdict once, whatever happens to the folder, the file or the process."""

from __future__ import annotations

import csv
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings
from edge.journal import Journal, Outgoing
from edge.sinks import csv_folder
from edge.sinks.csv_folder import CsvFolder, file_name
from edge.sinks.sink import NotNowError
from edge.wire.verdict_row import COLUMNS
from tests.sinks.making import conclude
from tests.wire.examples import abstained, example, failure

DAY = "2024-05-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "historian"
    place.mkdir(mode=0o755)
    return place


@pytest.fixture
def settings(configured: Callable[..., Settings], folder: Path) -> Settings:
    return configured(csv={"folder": str(folder)})


@pytest.fixture
def sink(settings: Settings) -> CsvFolder:
    return CsvFolder(settings)


def waiting(journal: Journal) -> list[Outgoing]:
    return journal.outbox.unsent(limit=1000, channel="csv")


def read(path: Path, separator: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=separator, strict=True))


def test_a_verdict_is_a_row_with_the_keys_of_the_summary(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    identity = conclude(journal, sink, "batch/a.tif")
    sink.deliver(waiting(journal))
    (row,) = read(folder / f"sem-01_{DAY}.csv")
    assert tuple(row) == COLUMNS
    assert row["inspection_id"] == identity
    assert (row["ts"], row["ts_ms"]) == ("2024-05-01T12:00:00.123Z", "1714564800123")
    assert (row["severity"], row["severity_index"], row["abstained"]) == ("moderate", "1", "0")
    assert (row["path"], row["image_name"], row["failure_id"]) == ("batch/a.tif", "a.tif", "")


def test_a_failure_and_an_abstention_are_rows_too(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    conclude(journal, sink, "a.tif", abstained())
    identity = conclude(journal, sink, "b.tif", failure())
    sink.deliver(waiting(journal))
    rows = [row for path in sorted(folder.glob("*.csv")) for row in read(path)]
    assert [row["severity_state"] for row in rows] == ["abstained", "failed"]
    assert (rows[0]["severity_index"], rows[0]["abstained"]) == ("", "1")
    assert (rows[1]["failure_id"], rows[1]["error_code"]) == (identity, failure().code)


def test_what_was_written_before_a_kill_is_not_written_again(
    journal: Journal, settings: Settings, sink: CsvFolder, folder: Path
) -> None:
    ids = [conclude(journal, sink, f"{number}.tif") for number in range(3)]
    sink.deliver(waiting(journal)[:2])
    CsvFolder(settings).deliver(waiting(journal))  # the next life, before the journal knew
    assert [row["inspection_id"] for row in read(folder / f"sem-01_{DAY}.csv")] == ids


def test_a_reader_never_sees_half_a_row(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    path = folder / f"sem-01_{DAY}.csv"
    seen: list[int] = []
    broken: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            rows = list(csv.reader(text.splitlines()))
            seen.append(len(rows))
            if not text.endswith("\n") or any(len(row) != len(COLUMNS) for row in rows):
                broken.append(text[-200:])

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(60):
        conclude(journal, sink, f"{number}.tif")
        rows = waiting(journal)
        sink.deliver(rows)
        journal.outbox.acknowledge([row.id for row in rows])
    done.set()
    reader.join()
    assert broken == []
    assert seen == sorted(seen)
    assert len(read(path)) == 60


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_leaves_the_old_table_and_waits(
    journal: Journal, sink: CsvFolder, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    journal.outbox.acknowledge([row.id for row in waiting(journal)])
    before = (folder / f"sem-01_{DAY}.csv").read_bytes()
    conclude(journal, sink, "b.tif")

    def failing(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(NotNowError, match=os.strerror(number)):
            sink.deliver(waiting(journal))
    assert (folder / f"sem-01_{DAY}.csv").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [f"sem-01_{DAY}.csv"]
    sink.deliver(waiting(journal))
    assert len(read(folder / f"sem-01_{DAY}.csv")) == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.ETXTBSY])
def test_a_file_that_another_program_locks_is_told_and_waited_for(
    journal: Journal, sink: CsvFolder, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    conclude(journal, sink, "a.tif")

    def locked(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", locked)
        with pytest.raises(NotNowError, match="open in another program"):
            sink.deliver(waiting(journal))
    sink.deliver(waiting(journal))
    assert len(read(folder / f"sem-01_{DAY}.csv")) == 1


def test_a_folder_that_is_away_is_not_made(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    conclude(journal, sink, "a.tif")
    folder.rmdir()
    with pytest.raises(NotNowError, match="No such file"):
        sink.deliver(waiting(journal))
    assert not folder.exists()
    folder.mkdir()
    sink.deliver(waiting(journal))
    assert len(read(folder / f"sem-01_{DAY}.csv")) == 1


def test_nothing_is_written_where_the_share_is_not_mounted(
    journal: Journal, configured: Callable[..., Settings], folder: Path
) -> None:
    sink = CsvFolder(configured(csv={"folder": str(folder), "must_be_mount": True}))
    conclude(journal, sink, "a.tif")
    with pytest.raises(NotNowError, match=r"nothing is mounted on it, as csv\.must_be_mount asks"):
        sink.deliver(waiting(journal))
    assert list(folder.iterdir()) == []


def test_what_somebody_did_to_the_table_stays(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    path = folder / f"sem-01_{DAY}.csv"
    first = conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    path.write_text(path.read_text() + "a note without an end")
    second = conclude(journal, sink, "b.tif")
    sink.deliver(waiting(journal))
    lines = path.read_text().splitlines()
    assert [line.split(",")[8] for line in (lines[1], lines[3])] == [first, second]
    assert lines[2] == "a note without an end"


@pytest.mark.parametrize("text", ["", "another,table\n1,2\n", "\ufeffschema;epoch\n", "\x00\x01"])
def test_a_table_that_is_not_ours_is_left_alone(journal: Journal, sink: CsvFolder, folder: Path, text: str) -> None:
    path = folder / f"sem-01_{DAY}.csv"
    path.write_text(text, encoding="utf-8")
    conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    assert path.read_text(encoding="utf-8") == text
    assert len(read(folder / f"sem-01_{DAY}_2.csv")) == 1


def test_two_devices_of_one_name_share_no_file(
    journal: Journal, configured: Callable[..., Settings], folder: Path, tmp_path: Path
) -> None:
    one = CsvFolder(configured(csv={"folder": str(folder)}, device={"site": "north"}))
    other = CsvFolder(configured(csv={"folder": str(folder)}, device={"site": "south"}))
    with Journal.open(tmp_path / "other") as others:
        conclude(journal, one, "a.tif")
        conclude(others, other, "a.tif")
        one.deliver(waiting(journal))
        other.deliver(waiting(others))
    assert [row["site"] for row in read(folder / f"sem-01_{DAY}.csv")] == ["north"]
    assert [row["site"] for row in read(folder / f"sem-01_{DAY}_2.csv")] == ["south"]


def test_a_full_table_goes_on_in_the_next_and_ids_of_both_count(
    journal: Journal, settings: Settings, sink: CsvFolder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_folder, "MOST_ROWS", 2)
    ids = []
    for number in range(5):
        ids.append(conclude(journal, sink, f"{number}.tif"))
        sink.deliver(waiting(journal))
    CsvFolder(settings).deliver(waiting(journal))
    names = [f"sem-01_{DAY}{more}.csv" for more in ("", "_2", "_3")]
    assert [[row["inspection_id"] for row in read(folder / name)] for name in names] == [ids[:2], ids[2:4], ids[4:]]


def test_a_semicolon_brings_a_decimal_comma(journal: Journal, configured: Callable[..., Settings], folder: Path) -> None:
    sink = CsvFolder(configured(csv={"folder": str(folder), "separator": ";"}))
    conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    (row,) = read(folder / f"sem-01_{DAY}.csv", ";")
    assert float(row["area_fraction"].replace(",", ".")) == 0.01025
    assert "," in row["area_fraction"]


def test_another_separator_begins_another_table_and_repeats_nothing(
    journal: Journal, sink: CsvFolder, configured: Callable[..., Settings], folder: Path
) -> None:
    conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    last = conclude(journal, sink, "b.tif")
    CsvFolder(configured(csv={"folder": str(folder), "separator": ";"})).deliver(waiting(journal))
    assert [row["inspection_id"] for row in read(folder / f"sem-01_{DAY}_2.csv", ";")] == [last]


def test_a_name_that_a_spreadsheet_would_compute_is_a_text(journal: Journal, sink: CsvFolder, folder: Path) -> None:
    conclude(journal, sink, '=HYPERLINK("x")\n,"ü.tif')
    sink.deliver(waiting(journal))
    (row,) = read(folder / f"sem-01_{DAY}.csv")
    assert row["path"].startswith("'=HYPERLINK")
    assert len((folder / f"sem-01_{DAY}.csv").read_text().splitlines()) == 2


@pytest.fixture
def _daemons_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_daemons_umask")
@pytest.mark.parametrize(("mode", "expected"), [(0o755, 0o644), (0o770, 0o660), (0o700, 0o600)])
def test_who_may_read_the_folder_may_read_the_table(
    journal: Journal, sink: CsvFolder, folder: Path, mode: int, expected: int
) -> None:
    folder.chmod(mode)
    conclude(journal, sink, "a.tif")
    sink.deliver(waiting(journal))
    assert (folder / f"sem-01_{DAY}.csv").stat().st_mode & 0o777 == expected


def test_a_device_is_named_so_that_windows_takes_it() -> None:
    assert file_name('sem: "north" \\1') == "sem___north___1"
    assert file_name("..") == "_"


def test_the_day_is_that_on_which_the_verdict_was_made(sink: CsvFolder, journal: Journal) -> None:
    conclude(journal, sink, "a.tif", example())
    (row,) = waiting(journal)
    assert row.topic == f"csv/{DAY}"
