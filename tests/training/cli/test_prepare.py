"""`edge-train prepare` offers every kind of label that can be read."""

from __future__ import annotations

import pytest

from training import cli
from training.labels.formats import FORMATS


def test_every_kind_of_label_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["prepare", "--help"])
    assert f"{{auto,{','.join(FORMATS)}}}" in "".join(capsys.readouterr().out.split())
