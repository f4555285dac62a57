"""What is typed after an option is read, or refused with a word on how to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import cli


@pytest.mark.parametrize("run", ["manual", "=folder", "a/b=folder"])
def test_a_run_has_a_name(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--data", str(tmp_path), "--segmenter", run, "--out", str(tmp_path)])
    assert "write it like" in capsys.readouterr().err
