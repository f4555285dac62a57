"""The files that a Jetson tells its release and its power mode in, whole, of other releases, damaged and missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends.tensorrt import jetson

MODES = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
# < POWER_MODEL ID=1 NAME=NOT_THIS >
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER>
< PM_CONFIG DEFAULT=1 >
"""


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any of the files."""
    for name in ("RELEASE", "POWER_MODE", "POWER_MODES"):
        monkeypatch.setattr(jetson, name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "release"),
    [
        (
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n# KERNEL_VARIANT: oot",
            "36.4.3",
        ),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464", "38.2.0"),
        ("# R36 (release), REVISION: 4.4,", "36.4.4"),
        ("\n# R36 (release), REVISION: 4.3", None),
        ("nothing of the kind", None),
        ("", None),
    ],
)
def test_the_release_is_the_first_line(board: Path, text: str, release: str | None) -> None:
    (board / "RELEASE").write_text(text)
    assert jetson.l4t() == release


def test_a_machine_without_the_files_tells_nothing() -> None:
    assert (jetson.l4t(), jetson.power_mode()) == (None, None)


@pytest.mark.parametrize(
    ("status", "modes", "mode"),
    [
        ("pmode:0002\n", MODES, "2 MAXN_SUPER"),
        ("pmode:0000 fmode:quiet", MODES, "0 15W"),
        ("pmode:0007", MODES, "7"),
        ("pmode:0001", "", "1"),
        ("", MODES, "1 25W"),  # never set: the one that the board starts in
        ("damaged", "damaged", None),
    ],
)
def test_the_power_mode_is_the_one_set_last_with_its_name(board: Path, status: str, modes: str, mode: str | None) -> None:
    (board / "POWER_MODE").write_text(status)
    (board / "POWER_MODES").write_text(modes)
    assert jetson.power_mode() == mode


def test_a_file_that_is_no_text_or_no_file_is_no_failure(board: Path) -> None:
    (board / "RELEASE").write_bytes(b"\xff\0R36 (release), REVISION: 4.3")
    (board / "POWER_MODES").mkdir()
    assert (jetson.l4t(), jetson.power_mode()) == ("36.4.3", None)
