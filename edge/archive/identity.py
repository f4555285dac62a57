"""The name of an archive, models and settings in; the epoch of its ids out, which no device shares.

The same image inspected again by the same models with the same settings has the same id, on whatever machine.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import edge
from edge.config import CommandSettings
from edge.errors import ConfigError
from edge.inspection.limits import require_known_classes
from edge.inspection.pipeline import region_judge
from edge.inspection.taught_shelf import adaptation_of, cards_of
from edge.whole_file import opened_whole

_NAMESPACE: Final = uuid.UUID("0d1f0c4e-8c0b-5f0a-9b6e-6d2a1c7e53aa")
FILE: Final = "archive.json"
SCHEMA: Final = "edge.archive/1"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a folder of results is of. name: of the archive.  models: hashes by stage, None for a stage that was not run."""

    name: str
    epoch: str
    models: dict[str, str | None]
    settings_sha256: str
    source: str
    version: str


def identity_of(name: str, source: Path, settings: CommandSettings) -> Identity:
    """Of what these settings make of the files below `source`; no network is loaded for it. Raises ModelError, ConfigError."""
    models = _hashes(settings)
    settings_sha256 = settings.inspection_sha256()
    key = json.dumps([name, models, settings_sha256], sort_keys=True)
    return Identity(name, str(uuid.uuid5(_NAMESPACE, key)), models, settings_sha256, str(source), edge.__version__)


def _hashes(settings: CommandSettings) -> dict[str, str | None]:
    """By the cards, which are checked against their files."""
    segmenter, classifier = cards_of(settings)
    if segmenter:
        require_known_classes(settings.severity, segmenter)
    taught, _why = adaptation_of(settings, segmenter, classifier)
    judge = region_judge(settings)
    return {
        "segmenter": segmenter.sha256 if segmenter else None,
        "classifier": classifier.sha256 if classifier else None,
        "regions": judge.identity.sha256 if judge else None,
        "taught": taught.sha256 if taught else None,
    }


def read(folder: Path) -> Identity | None:
    """What a folder says it is of; None where it says nothing. Raises ConfigError for a file that is none of ours."""
    try:
        said = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if said.pop("schema") != SCHEMA:
            raise ValueError
        return Identity(**said)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{folder / FILE} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder / FILE} is no description of an archive: name another folder") from error


def claim(folder: Path, wanted: Identity) -> bool:
    """Make `folder` the one for these results; whether it held some already.

    Raises ConfigError where it holds results of another archive, other models or other settings, or something else.
    """
    there = read(folder)
    if there is None:
        if folder.exists() and (not folder.is_dir() or any(FILE not in other.name for other in folder.iterdir())):
            raise ConfigError(f"--out {folder} holds something else: name a new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with opened_whole(folder / FILE, mode=None) as file:
                file.write(json.dumps({"schema": SCHEMA, **asdict(wanted)}, indent=1).encode() + b"\n")
        except OSError as error:
            raise ConfigError(f"--out {folder} cannot be written: {error.strerror or error}") from error
        return False
    if there.epoch != wanted.epoch:
        what = "models" if there.models != wanted.models else "settings"
        what = what if there.name == wanted.name else f"archive ({there.name})"
        raise ConfigError(f"--out {folder} holds results of another {what.removesuffix('s')}: name a new folder")
    return True
