"""A release is tried in a process of its own: what kills it, hangs, or cannot be loaded is told in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.config import Settings
from edge.fleet.release import release_in
from edge.service import trial
from tests.fleet.making import make_release
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")


def made(tmp_path: Path, *, heavy: bool) -> tuple[Any, Settings]:
    signer = Signer()
    make_release(tmp_path / "made", signer, heavy=heavy)
    sections = {"models": {"public_key": signer.public_key, "backend": "onnxruntime"}, "inspect": {"stages": "segment"}}
    return release_in(tmp_path / "made"), config.parse({"watch": {"folder": str(tmp_path)}, **sections}, {})


def test_models_that_load_and_inspect_are_not_refused(tmp_path: Path) -> None:
    assert trial.refusal(*made(tmp_path, heavy=True)) is None


def test_a_network_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    why = trial.refusal(*made(tmp_path, heavy=False))
    assert why is not None
    assert "segmenter.onnx" in why


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    release, settings = made(tmp_path, heavy=True)
    release.models["segmenter"].write_bytes(b"other")
    why = trial.refusal(release, settings)
    assert why is not None
    assert "hashes differ" in why


def test_models_that_give_no_answer_are_ended(tmp_path: Path) -> None:
    why = trial.refusal(*made(tmp_path, heavy=True), longest_s=0.01)
    assert why == "its models gave no answer on a shipped image within 0.01 s"


def test_a_stop_is_no_refusal(tmp_path: Path) -> None:
    assert trial.refusal(*made(tmp_path, heavy=True), given_up=lambda: True) is None


def test_a_death_in_the_trial_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_work", dies)
    why = trial.refusal(*made(tmp_path, heavy=False))
    assert why == "its models killed the process in which they were tried on a shipped image (exit status -9)"


def dies(*_: object) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
