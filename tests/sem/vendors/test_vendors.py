"""The table of families: who is asked first, and what lies beside an image."""

from __future__ import annotations

from edge.sem import sidecar_names


def test_sidecar_names_stand_in_the_same_folder() -> None:
    assert set(sidecar_names("S-1.x.tif")) == {"S-1.x.txt", "S-1.x.hdr", "S-1.x-tif.hdr"}
    assert "image.txt" in sidecar_names("image")
