"""Who changed what stays readable, whatever happened to the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal import audit


def add(folder: Path, who: str | None, command: str = "pause") -> None:
    audit.append(folder, at=1.0, who=who, command=command, fields={"a": [1]}, told={"error": None, "result": {}})


def test_lines_are_read_in_order_and_by_command(tmp_path: Path) -> None:
    assert audit.read(tmp_path) == []
    add(tmp_path, "ann")
    add(tmp_path, None, "taught")
    assert [entry["who"] for entry in audit.read(tmp_path)] == ["ann", None]
    (entry,) = audit.read(tmp_path, "taught")
    assert (entry["fields"], entry["error"]) == ({"a": [1]}, None)
    assert (tmp_path / audit.FILE).stat().st_mode & 0o077 == 0


def test_a_damaged_line_costs_itself_alone(tmp_path: Path) -> None:
    add(tmp_path, "ann")
    with (tmp_path / audit.FILE).open("ab") as stream:
        stream.write(b'{"schema":"edge.au\n[1]\n\xff\xfe\n' + b"[" * 50_000 + b"\n")
    add(tmp_path, "bea")
    assert [entry["who"] for entry in audit.read(tmp_path)] == ["ann", "bea"]


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LARGEST_BYTES", 300)
    for number in range(20):
        add(tmp_path, f"{number}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.1.jsonl", "audit.jsonl"]
    assert audit.read(tmp_path)[-1]["who"] == "19"
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1500


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    (tmp_path / audit.FILE).symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"\w"):
        add(tmp_path, "ann")
    assert (tmp_path / "other").read_text() == ""
