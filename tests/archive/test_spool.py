"""What is finished is found again, whatever a kill left of the last line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.archive import spool as spools
from edge.archive.spool import Spool, spool_of
from edge.errors import ConfigError


def test_finished_files_are_kept_and_the_last_begun_is_a_death(tmp_path: Path) -> None:
    path = spool_of(tmp_path, "part")
    with Spool(path) as spool:
        spool.begin("a.png")
        spool.end("a.png", [b'{"page":0}', b'{"page":1}'])
        spool.begin("b.png")
    with Spool(path) as spool:
        assert spool.done == {"a.png": [b'{"page":0}', b'{"page":1}']}
        assert spool.deaths == {"b.png": 1}
        spool.begin("b.png")
    with Spool(path) as spool:
        assert spool.deaths == {"b.png": 2}
        spool.begin("b.png")
        spool.end("b.png", [b"{}"])
        spool.remove()
    assert list(spools.spools(tmp_path)) == []


def test_after_any_cut_only_whole_verdicts_count(tmp_path: Path) -> None:
    path = spool_of(tmp_path, "part")
    with Spool(path) as spool:
        for name in ("a", "b\nc", "\udcff"):
            spool.begin(name)
            spool.end(name, [b'{"name":1}', b'{"name":2}'])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Spool(path) as spool:
            assert all(documents == [b'{"name":1}', b'{"name":2}'] for documents in spool.done.values())
            assert len(spool.done) == whole[:length].count(b"end\n")
            spool.begin("d")
            spool.end("d", [b"{}"])
        with Spool(path) as spool:
            assert spool.done["d"] == [b"{}"]


def test_a_spool_that_another_worker_holds_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "PATIENCE_S", 0.0)
    path = spool_of(tmp_path, "part")
    with Spool(path), pytest.raises(ConfigError, match="still writes"):
        Spool(path)
    assert list(path.parent.iterdir()) == [path]
