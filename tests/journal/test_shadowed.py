"""What a candidate said beside the present models, kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from edge.errors import StateError, StateFullError
from edge.journal import shadowed
from edge.journal.shadowed import Compared, Seen, Shadowed
from tests import ROOT

RELEASE = "a" * 64
BEFORE, AFTER = Compared({"segmenter": "1" * 64}, "3" * 64), Compared({"segmenter": "2" * 64}, "3" * 64)


def seen(
    number: int, *, area: float | None = 0.0, agrees: bool = True, weight: float = 0.0, picture: bytes | None = None
) -> Seen:
    identity = str(uuid.UUID(int=number))
    return Seen(identity, {"inspection_id": identity, "of": "present"}, {"of": "candidate"}, weight, agrees, area, picture)


def files(opened: Shadowed) -> list[str]:
    return sorted(file.name for file in (opened.folder / "pictures").iterdir())


def test_both_rows_come_back_and_are_counted_once(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        assert not opened.begin(BEFORE, AFTER)
        assert opened.add(seen(1))
        assert not opened.add(seen(1, area=0.9))
        assert opened.add(seen(2, agrees=False))
    with Shadowed.view(tmp_path, RELEASE) as opened:
        assert [before["of"] for before, _ in opened.rows()] == ["present"] * 2
        assert opened.compared() == (BEFORE, AFTER)
        assert opened.summary() == shadowed.Summary(2, 0, 0, 0.5, 0.0)


@pytest.mark.parametrize(("areas", "median"), [([], None), ([0.1, None], 0.1), ([0.1, 0.4], 0.25), ([0.3, -0.2, 0.0], 0.0)])
def test_the_summary_has_the_median_of_the_area_changes(
    tmp_path: Path, areas: list[float | None], median: float | None
) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        for number, area in enumerate(areas):
            opened.add(seen(number, area=area))
        assert opened.summary().area_change == (None if median is None else pytest.approx(median))


def test_what_was_skipped_or_ended_is_counted_across_openings(tmp_path: Path) -> None:
    for _ in range(2):
        with Shadowed.open(tmp_path, RELEASE) as opened:
            opened.count("skipped", 3)
            opened.count("failed")
    with Shadowed.view(tmp_path, RELEASE) as opened:
        assert (opened.summary().skipped, opened.summary().failed) == (6, 2)


def test_what_was_skipped_before_the_first_image_counts(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        opened.count("skipped", 2)
        opened.begin(BEFORE, AFTER)
        opened.add(seen(1))
        assert opened.summary().skipped == 2
        opened.begin(AFTER, BEFORE)
        assert opened.summary().skipped == 0


def test_with_other_models_or_settings_the_rows_begin_anew(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        opened.begin(BEFORE, AFTER)
        opened.add(seen(1, weight=1.0, picture=b"x"))
        assert not opened.begin(BEFORE, AFTER)
        assert opened.begin(AFTER, BEFORE)
        assert opened.rows() == []
        assert files(opened) == []


def test_the_oldest_rows_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowed, "MOST_ROWS", 3)
    with Shadowed.open(tmp_path, RELEASE) as opened:
        for number in range(5):
            opened.add(seen(number, picture=b"x"))
        assert [before["inspection_id"][-1] for before, _ in opened.rows()] == ["2", "3", "4"]
        assert len(files(opened)) == 3


def test_pictures_of_what_changed_most_are_kept_with_the_present_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowed, "MOST_PICTURES", 2)
    (tmp_path / "pictures").mkdir()
    with Shadowed.open(tmp_path, RELEASE) as opened:
        for number, weight in enumerate((0.5, 0.1, 2.0)):
            one = seen(number, weight=weight, picture=b"candidate's")
            present = tmp_path / "pictures" / f"{one.inspection_id}.webp"
            present.write_bytes(b"present's")
            opened.add(one)
            present.unlink()
        assert opened.least_weight() == 0.5
        assert opened.picture(seen(0).inspection_id, "before") == b"present's"
        assert opened.picture(seen(2).inspection_id, "after") == b"candidate's"
        assert opened.picture(seen(1).inspection_id, "after") is None
        assert len(files(opened)) == 4


def test_a_picture_of_no_row_is_removed_at_the_next_opening(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        (opened.folder / "pictures" / "x.after.webp").write_bytes(b"")
    with Shadowed.view(tmp_path, RELEASE) as opened:
        assert files(opened) == ["x.after.webp"]
    with Shadowed.open(tmp_path, RELEASE) as opened:
        assert files(opened) == []


def test_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        opened.add(seen(1))
        file = opened.folder / "rows.sqlite3"
    file.write_bytes(b"no database at all" * 1000)
    with Shadowed.open(tmp_path, RELEASE) as opened:
        assert opened.rows() == []


def test_what_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is not there"):
        Shadowed.view(tmp_path, RELEASE)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="is no release"):
        shadowed.folder_of(tmp_path, "../x")


def test_on_a_full_disk_nothing_of_the_row_is_kept(tmp_path: Path) -> None:
    with Shadowed.open(tmp_path, RELEASE) as opened:
        opened.add(seen(0))
        (pages,) = opened._connection.execute("PRAGMA page_count").fetchone()
        opened._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateFullError, match="is full"):  # noqa: PT012 - how many fit is not known before
            for number in range(1, 500):
                opened.add(seen(number))
        assert opened.summary().compared == len(opened.rows())


def test_older_releases_are_forgotten(tmp_path: Path) -> None:
    for number in range(6):
        with Shadowed.open(tmp_path, str(number)) as opened:
            os.utime(opened.folder / "rows.sqlite3", (number, number))
    shadowed.forget_older(tmp_path)
    assert shadowed.kept(tmp_path) == ("5", "4", "3", "2")


def test_a_kill_in_the_middle_leaves_whole_rows(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.journal.test_shadowed import *\n"
        "opened = Shadowed.open(Path(sys.argv[1]), RELEASE)\n"
        "for number in range(100000):\n"
        "    opened.add(seen(number, weight=float(number), picture=b'x'))\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        told += writer.stdout.readlines()
    number = max(int(line) for line in told if line.endswith(b"\n"))
    with Shadowed.open(tmp_path, RELEASE) as opened:
        rows = opened.rows()
        assert len(rows) in (number + 1, number + 2)
        assert json.dumps(rows)
        assert opened.add(seen(number + 2))
