"""The adaptations of a state folder: which are kept, which one counts, and what happens when it cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge.config import InspectionSettings, change
from edge.errors import ConfigError, ModelError
from edge.inspection import taught_shelf
from edge.inspection.pipeline import Pipeline
from edge.inspection.taught_file import Taught
from tests.conftest import SOURCE, micrograph, pitted, settings_for
from tests.inspection.test_taught_file import content


def adaptation(folder: Path, **change: object) -> Path:
    path = folder / "plant.json"
    path.write_text(json.dumps(content(**change)))
    return path


def of_state(tmp_path: Path, **models: str) -> taught_shelf.CommandSettings:
    (tmp_path / "state").mkdir(exist_ok=True)
    return settings_for(tmp_path / "export", models={"taught": "state", "backend": "onnxruntime", **models})


def in_use(settings: InspectionSettings) -> tuple[Taught | None, str | None]:
    return taught_shelf.adaptation_of(settings, *taught_shelf.cards_of(settings))


def test_nothing_is_chosen_at_first(tmp_path: Path) -> None:
    assert taught_shelf.chosen(tmp_path).sha256 is None
    assert in_use(of_state(tmp_path)) == (None, None)


def test_every_adaptation_stays_and_the_earlier_one_is_remembered(tmp_path: Path) -> None:
    settings = of_state(tmp_path)
    first, second = (taught_shelf.keep(tmp_path / "state", adaptation(tmp_path, reviews=n), settings).sha256 for n in (1, 2))
    for wanted, before in ((first, None), (second, first), (None, second), (first, None)):
        choice = taught_shelf.choose(tmp_path / "state", wanted)
        assert (choice.sha256, choice.before) == (wanted, before)
        taught, untaught = in_use(settings)
        assert (taught.sha256 if taught else None, untaught) == (wanted, None)
    assert taught_shelf.kept(tmp_path / "state") == tuple(sorted((first, second)))


def test_a_choice_that_arrives_twice_does_not_forget_the_earlier_one(tmp_path: Path) -> None:
    settings, state = of_state(tmp_path), tmp_path / "state"
    first, second = (taught_shelf.keep(state, adaptation(tmp_path, reviews=n), settings).sha256 for n in (1, 2))
    for wanted, before in ((first, None), (first, None), (second, first), (second, first), (None, second), (None, second)):
        assert taught_shelf.choose(state, wanted).before == before
        assert taught_shelf.chosen(state).before == before


def test_an_adaptation_of_other_models_is_not_taken_in(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another segmenter"):
        taught_shelf.keep(tmp_path / "state", adaptation(tmp_path, segmenter="1" * 64), of_state(tmp_path))
    assert taught_shelf.kept(tmp_path / "state") == ()


def test_what_is_not_kept_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="edge-teach install"):
        taught_shelf.usable(of_state(tmp_path), "3" * 64)
    with pytest.raises(ValueError, match="no SHA-256"):
        taught_shelf.usable(of_state(tmp_path), "../journal")


@pytest.mark.parametrize("harm", ["removed", "changed", "record"])
def test_a_chosen_one_that_cannot_be_used_is_said_by_every_inspection(tmp_path: Path, harm: str) -> None:
    settings, state = of_state(tmp_path), tmp_path / "state"
    sha256 = taught_shelf.keep(state, adaptation(tmp_path), settings).sha256
    taught_shelf.choose(state, sha256)
    with Pipeline(settings) as pipeline:
        seen = pipeline.inspect(micrograph(pitted()), SOURCE)
        assert (seen.models.taught_sha256, pipeline.untaught) == (sha256, None)
        assert not any(one.startswith("taught_unsure") for one in seen.quality.warnings)
    if harm == "removed":
        taught_shelf.path_of(state, sha256).unlink()
    elif harm == "changed":
        taught_shelf.path_of(state, sha256).write_text(json.dumps(content(reviews=9)))
    else:
        (state / "taught" / "chosen.json").write_bytes(b'{"schema": "edge.cho')
    with Pipeline(settings) as pipeline:
        seen = pipeline.inspect(micrograph(pitted()), SOURCE)
    assert seen.models.taught_sha256 is None
    assert pipeline.untaught is not None
    assert seen.severity is not None
    assert seen.severity.needs_review
    assert any(one.startswith("taught_unsure: the chosen") or "was chosen" in one for one in seen.severity.reasons)


def test_a_kill_while_the_choice_is_written_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, state = of_state(tmp_path), tmp_path / "state"
    first, second = (taught_shelf.keep(state, adaptation(tmp_path, reviews=n), settings).sha256 for n in (1, 2))
    taught_shelf.choose(state, first)

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        taught_shelf.choose(state, second)
    assert taught_shelf.chosen(state).sha256 == first


def test_without_a_state_folder_there_is_no_choice() -> None:
    with pytest.raises(ConfigError, match="state folder"):
        in_use(change(InspectionSettings(), {"models": {"taught": "state"}}))
