"""One worker: a row for every file, also for one that is none and for one that kills."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.archive import tables
from edge.archive.work import BEGUN, PICTURES, Inspecting, Job, part_name
from tests.archive.making import claimed, images, inspected, settings

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
    assert not list((tmp_path / "one" / BEGUN).iterdir())


def test_a_file_that_workers_died_of_is_a_failure(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    own = claimed(tmp_path / "in", tmp_path / "out")
    begun = tmp_path / "out" / BEGUN / f"{part_name(paths)}.txt"
    begun.parent.mkdir()
    begun.write_text(f"{paths[0]}\n{paths[1]}\n\0\n{paths[0]}\n{paths[1]}\n")
    told = Inspecting(Job(settings(), own.epoch, tmp_path / "in", tmp_path / "out"))({"paths": paths})
    found = {row["path"]: row for row in tables.rows(tmp_path / "out", COLUMNS)}
    assert (told["verdicts"], told["failed"]) == (4, 2)
    assert found[paths[1]]["error_code"] == "crashed"
    assert found[paths[0]]["error_code"] is None, "it was begun as often, and finished"


def test_one_death_is_no_reason(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    own = claimed(tmp_path / "in", tmp_path / "out")
    begun = tmp_path / "out" / BEGUN / f"{part_name(paths)}.txt"
    begun.parent.mkdir()
    begun.write_text(f"{paths[0]}\n")
    assert Inspecting(Job(settings(), own.epoch, tmp_path / "in", tmp_path / "out"))({"paths": paths})["failed"] == 1


def test_a_part_that_cannot_be_written_ends_the_worker(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    own = claimed(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / tables.REGIONS).write_text("in the way")
    with pytest.raises(OSError):
        Inspecting(Job(settings(), own.epoch, tmp_path / "in", tmp_path / "out"))({"paths": paths})
    assert not tables.done_paths(tmp_path / "out")
