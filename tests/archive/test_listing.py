"""What is left to do, and what is said of a folder that changed between two runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.archive import listing
from edge.archive.listing import Left
from edge.errors import ConfigError
from tests.archive.making import claimed, images, inspected, settings


def left(source: Path, out: Path) -> Left:
    return listing.left_of(listing.listed(source, settings()), out, claimed(source, out).epoch)


def test_what_has_a_verdict_is_not_left(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    assert left(tmp_path / "in", tmp_path / "out") == Left(paths)
    inspected(tmp_path / "in", tmp_path / "out", paths[:2])
    assert left(tmp_path / "in", tmp_path / "out") == Left(paths[2:])


def test_files_that_changed_and_files_that_are_gone_are_counted(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    inspected(tmp_path / "in", tmp_path / "out", paths)
    later = (tmp_path / "out").stat().st_mtime_ns + 10**12
    os.utime(tmp_path / "in" / paths[0], ns=(later, later))
    (tmp_path / "in" / paths[1]).unlink()
    (tmp_path / "in" / "new.png").write_bytes((tmp_path / "in" / paths[2]).read_bytes())
    assert left(tmp_path / "in", tmp_path / "out") == Left(["new.png"], changed=1, gone=1)


def test_names_that_are_shown_alike_are_told_apart(tmp_path: Path) -> None:
    (path, *_) = images(tmp_path / "in", 1)
    alike = [os.fsdecode(b"a\xff.png"), r"a\xff.png"]
    for name in alike:
        (tmp_path / "in" / name).write_bytes((tmp_path / "in" / path).read_bytes())
    inspected(tmp_path / "in", tmp_path / "out", [alike[1], path])
    assert left(tmp_path / "in", tmp_path / "out").paths == [alike[0], "broken.png"]


def test_a_folder_without_images_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("none")
    with pytest.raises(ConfigError, match=r"no image below .*\*\.tif"):
        listing.listed(tmp_path / "in", settings())
    with pytest.raises(ConfigError, match="is no folder"):
        listing.listed(tmp_path / "in" / "notes.txt", settings())


def test_links_in_a_circle_are_passed_over(tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    (tmp_path / "in" / "below" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    assert [path for path, _ in listing.listed(tmp_path / "in", settings()).files] == ["below/AN_90_1h.png", "broken.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_counted(tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    (tmp_path / "in" / "below").chmod(0)
    try:
        found = listing.listed(tmp_path / "in", settings())
    finally:
        (tmp_path / "in" / "below").chmod(0o755)
    assert list(found.denied) == ["below"]


@pytest.mark.parametrize("out", ["in/results", "in", "."])
def test_results_among_the_images_are_refused(out: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError, match="one in the other"):
        listing.require_apart(tmp_path / "in", tmp_path / out)
    listing.require_apart(tmp_path / "in", tmp_path / "in2")
