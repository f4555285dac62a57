"""Small archives, and results of them."""

from __future__ import annotations

import os
from pathlib import Path

from edge.archive import identity, tables
from edge.archive.turn import Turn
from edge.archive.work import Inspecting, Job
from edge.config import CommandSettings, load_for_command
from tests.conftest import pitted
from tests.sem.making import encoded


def images(folder: Path, count: int = 3) -> list[str]:
    """Write so many images and one file that is none; their paths, sorted."""
    (folder / "below").mkdir(parents=True)
    for number in range(count):
        (folder / "below" / f"AN_90_{number + 1}h.png").write_bytes(encoded(pitted(96, 96, number, 2), ".png"))
    (folder / "broken.png").write_bytes(b"no image")
    return [*(f"below/AN_90_{number + 1}h.png" for number in range(count)), "broken.png"]


def settings() -> CommandSettings:
    return load_for_command(None, {"EDGE_MODELS__BACKEND": "onnxruntime"})


def claimed(source: Path, out: Path, name: str = "exports", wanted: CommandSettings | None = None) -> identity.Identity:
    """`out` as a folder for results."""
    found = identity.identity_of(name, source, wanted or settings())
    identity.claim(out, found)
    return found


def inspect(source: Path, out: Path, paths: list[str], *, pictures: bool = False) -> dict[str, int]:
    """What one worker without Ray makes of these files, counted."""
    own = claimed(source, out)
    with Turn(out) as turn:
        job = Job(settings(), own.epoch, source, out, turn.word, pictures)
        return Inspecting(job)({"paths": [os.fsencode(path) for path in paths]})


def inspected(source: Path, out: Path, paths: list[str], *, pictures: bool = False) -> None:
    """Results of these files."""
    inspect(source, out, paths, pictures=pictures)
    assert tables.parts(out)
