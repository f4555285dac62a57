"""Pictures of a page are small, and a file that is none gives none."""

from __future__ import annotations

from pathlib import Path

from edge.report.pictures import embedded
from tests.report.documents import inspection, picture


def test_an_overlay_and_its_heat_map_are_embedded(tmp_path: Path) -> None:
    drawn = embedded(picture(tmp_path), inspection(), 100)
    assert drawn is not None
    assert all(address is not None and address.startswith("data:image/webp;base64,") for address in drawn)


def test_no_picture_and_no_heat_map(tmp_path: Path) -> None:
    said = inspection()
    said["severity"]["cam"] = []
    assert embedded(picture(tmp_path), said, 100)[1] is None  # type: ignore[index]
    (tmp_path / "garbage").write_bytes(b"garbage")
    assert embedded(tmp_path / "garbage", said, 100) is None
    (tmp_path / "garbage").write_bytes(b"")
    assert embedded(tmp_path / "garbage", said, 100) is None
