"""One worker: a row for every file, also for one that is none and for one that kills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.archive import tables
from edge.archive.spool import FOLDER, Spool, spool_of
from edge.archive.turn import Turn
from edge.archive.work import PICTURES, Inspecting, Job, part_name, recover
from edge.errors import ConfigError
from tests.archive.making import claimed, images, inspect, inspected, settings

COLUMNS = ("path", "inspection_id", "severity_state", "error_code")


def test_every_file_has_a_row_with_the_same_ids_in_each_run(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    for out in ("one", "two"):
        inspected(tmp_path / "in", tmp_path / out, paths, pictures=True)
    one, two = (sorted(tables.rows(tmp_path / out, COLUMNS), key=lambda row: row["path"]) for out in ("one", "two"))
    assert one == two
    assert [row["path"] for row in one] == paths
    assert one[-1]["error_code"] == "not_an_image"
    assert len({row["inspection_id"] for row in one}) == len(paths)
    assert len(list((tmp_path / "one" / PICTURES).iterdir())) == 3
    assert not list((tmp_path / "one" / FOLDER).iterdir())


def died_in(out: Path, paths: list[str], path: str) -> None:
    """A worker took up the batch and ended in this file."""
    with Spool(spool_of(out, part_name(paths))) as spool:
        spool.begin(path)


def test_a_file_that_workers_died_of_is_a_failure(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    claimed(tmp_path / "in", tmp_path / "out")
    for _ in range(2):
        died_in(tmp_path / "out", paths, paths[1])
    told = inspect(tmp_path / "in", tmp_path / "out", paths)
    found = {row["path"]: row for row in tables.rows(tmp_path / "out", COLUMNS)}
    assert (told["verdicts"], told["failed"]) == (4, 2)
    assert found[paths[1]]["error_code"] == "crashed"
    assert found[paths[0]]["error_code"] is None


def test_one_death_is_no_reason(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    claimed(tmp_path / "in", tmp_path / "out")
    died_in(tmp_path / "out", paths, paths[0])
    assert inspect(tmp_path / "in", tmp_path / "out", paths)["failed"] == 1, "the one that is no image"


def test_the_end_of_a_whole_run_is_no_death_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    inspected(tmp_path / "in", tmp_path / "other", paths)
    rows = tables.rows(tmp_path / "other", ("path", tables.DOCUMENT))
    documents = {row["path"]: row[tables.DOCUMENT].encode() for row in rows}
    claimed(tmp_path / "in", tmp_path / "out")
    for _ in range(3):
        with Spool(spool_of(tmp_path / "out", part_name(paths))) as spool:
            spool.begin(paths[0])
            spool.end(paths[0], [documents[paths[0]]])
            spool.begin(paths[1])
        recover(tmp_path / "out")
    assert list(tables.done(tmp_path / "out")) == [paths[0]]
    assert not list((tmp_path / "out" / FOLDER).iterdir())


def test_a_batch_that_is_written_is_counted_and_not_inspected_again(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    first = inspect(tmp_path / "in", tmp_path / "out", paths)
    (tmp_path / "in" / paths[0]).unlink()
    assert inspect(tmp_path / "in", tmp_path / "out", paths) == first == {"files": 2, "verdicts": 2, "failed": 1}


def test_a_part_that_cannot_be_written_ends_the_worker_and_its_verdicts_are_kept(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    claimed(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / tables.REGIONS).write_text("in the way")
    with pytest.raises(OSError):
        inspect(tmp_path / "in", tmp_path / "out", paths)
    assert not tables.done(tmp_path / "out")
    (tmp_path / "out" / tables.REGIONS).unlink()
    recover(tmp_path / "out")
    assert sorted(tables.done(tmp_path / "out")) == paths


def test_a_worker_of_a_run_that_was_followed_by_another_writes_nothing_more(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    own = claimed(tmp_path / "in", tmp_path / "out")
    with Turn(tmp_path / "out") as turn:
        former = Inspecting(Job(settings(), own.epoch, tmp_path / "in", tmp_path / "out", turn.word))
    with Turn(tmp_path / "out"), pytest.raises(ConfigError, match="another run has taken"):
        former({"paths": [os.fsencode(path) for path in paths]})
    assert not tables.parts(tmp_path / "out")


def test_a_name_that_is_no_utf_8_or_has_a_line_feed_has_its_row(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    odd = [os.fsdecode(b"below/a\xff.png"), "below/two\nlines.png"]
    for path in odd:
        (tmp_path / "in" / path).write_bytes((tmp_path / "in" / paths[0]).read_bytes())
    inspected(tmp_path / "in", tmp_path / "out", odd)
    assert sorted(tables.done(tmp_path / "out")) == ["below/a\\xff.png", "below/two\nlines.png"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or not mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)):
        pytest.skip("a small disk can only be mounted as root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


def test_a_full_disk_ends_the_worker_and_with_room_no_image_is_missing_or_twice(small_disk: Path, tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 20)
    out = small_disk / "out"
    with pytest.raises(OSError, match="No space left"):
        inspect(tmp_path / "in", out, paths, pictures=True)
    assert not tables.parts(out)
    assert mounted("-o", "remount,size=4m", str(small_disk))
    recover(out)
    kept = set(tables.done(out))
    inspect(tmp_path / "in", out, [path for path in paths if path not in kept], pictures=True)
    rows = list(tables.rows(out, ("path", "inspection_id")))
    assert sorted(row["path"] for row in rows) == sorted(paths)
    assert len({row["inspection_id"] for row in rows}) == len(paths)
    assert kept
    assert not [file for file in out.rglob(".*") if file.is_file()]
