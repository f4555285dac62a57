"""A state folder in, the adaptations that it keeps and the one that was chosen out: what `taught = "state"` means.

`taught/SHA256.json` is an adaptation, and none is ever removed. `taught/chosen.json` says which one is used, and which one
was used before.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.config import CommandSettings, InspectionSettings
from edge.errors import ConfigError, ModelError
from edge.inspection.taught_file import Sha256, Taught, load_taught
from edge.inspection.taught_severity import require_same_measures
from edge.models.card import ModelCard, load_card
from edge.models.card import resolve as resolve_model
from edge.whole_file import own_folder, write_whole

STATE: Final = "state"
"""What `models.taught` says where the state folder's choice counts."""
_MOST_BYTES: Final = 4096


class Choice(BaseModel):
    """Which adaptation is used and which one was before; None: as without one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["edge.chosen/1"] = Field("edge.chosen/1", alias="schema")
    sha256: Sha256 | None
    before: Sha256 | None


def path_of(state: Path, sha256: str) -> Path:
    """Where the adaptation with this hash is kept. Raises ValueError for what is no hash."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return state / "taught" / f"{sha256}.json"


def kept(state: Path) -> tuple[str, ...]:
    """The hashes of all that are kept, by name."""
    try:
        return tuple(sorted(path.stem for path in (state / "taught").iterdir() if re.fullmatch("[0-9a-f]{64}", path.stem)))
    except OSError:
        return ()


def chosen(state: Path) -> Choice:
    """The choice; nothing where none was made. Raises ModelError where it cannot be read."""
    path = state / "taught" / "chosen.json"
    try:
        return Choice.model_validate_json(path.read_bytes()[:_MOST_BYTES])
    except FileNotFoundError:
        return Choice(schema="edge.chosen/1", sha256=None, before=None)
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise ModelError(f"which adaptation was chosen cannot be read from {path}: {reason}; choose one again") from error


def choose(state: Path, sha256: str | None) -> Choice:
    """Remember the choice, whole or not at all; it counts from the next opening of the models. Raises OSError.

    The same choice again, as when a command is delivered twice, leaves the one before it as it was.
    """
    try:
        now = chosen(state)
        before = now.before if now.sha256 == sha256 else now.sha256
    except ModelError:
        before = None
    choice = Choice(schema="edge.chosen/1", sha256=sha256, before=before)
    _write(state / "taught" / "chosen.json", (choice.model_dump_json(by_alias=True) + "\n").encode())
    return choice


def keep(state: Path, file: Path, settings: InspectionSettings) -> Taught:
    """Copy an adaptation into the state folder, under its hash. Raises ModelError where it does not fit the models, OSError."""
    taught = _loaded(file, settings, *cards_of(settings))
    target = path_of(state, taught.sha256)
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != taught.sha256:
        raise ModelError(f"{file} changed while it was read: try again")
    if settings.models.public_key:
        signature = file.with_name(f"{file.name}.minisig")
        if not signature.is_file():
            raise ModelError(f"{file} is signed among others: sign it by itself (minisign -S -m {file.name}), for it is copied")
        _write(target.with_name(f"{target.name}.minisig"), signature.read_bytes())
    _write(target, data)
    return taught


def usable(settings: CommandSettings, sha256: str) -> Taught:
    """An adaptation that is kept, checked against the models of the settings. Raises ModelError, ValueError."""
    path = path_of(settings.state.folder, sha256)
    if not path.is_file():
        raise ModelError(f"no adaptation {sha256[:12]}… is kept here: edge-teach install FILE puts one there")
    return _loaded(path, settings, *cards_of(settings), sha256=sha256)


def adaptation_of(
    settings: InspectionSettings, segmenter: ModelCard | None, classifier: ModelCard | None
) -> tuple[Taught | None, str | None]:
    """What the settings want used, None for nothing; and why a chosen one is not used. segmenter, classifier: see `cards_of`.

    One that was chosen and cannot be read must not stop the service, and nobody may take the untaught answer for the taught
    one. Raises ModelError for a file that the settings name; ConfigError where no state folder is known.
    """
    name = settings.models.taught
    if not name:
        return None, None
    if name != STATE:
        return _loaded(Path(name), settings, segmenter, classifier), None
    if not isinstance(settings, CommandSettings):
        raise ConfigError('models.taught = "state" needs the state folder: give the configuration file')
    state = settings.state.folder
    try:
        sha256 = chosen(state).sha256
        if sha256 is None:
            return None, None
        return _loaded(path_of(state, sha256), settings, segmenter, classifier, sha256=sha256), None
    except ModelError as error:
        return None, str(error)


def cards_of(settings: InspectionSettings) -> tuple[ModelCard | None, ModelCard | None]:
    """The cards of both stages, None for one that is not run. Raises ModelError."""
    stages, models = settings.inspect.stages, settings.models
    key = models.public_key
    return (
        load_card(resolve_model(models.segmenter, "segment"), "segment", key) if stages != "classify" else None,
        load_card(resolve_model(models.classifier, "classify"), "classify", key) if stages != "segment" else None,
    )


def _loaded(
    path: Path, settings: InspectionSettings, segmenter: ModelCard | None, classifier: ModelCard | None, *, sha256: str = ""
) -> Taught:
    """For these models and settings. Raises ModelError."""
    taught = load_taught(path, segmenter, classifier, settings.models.public_key, sha256)
    if taught.file.severity is not None and classifier is not None:
        require_same_measures(taught.file.severity, settings)
    return taught


def _write(path: Path, data: bytes) -> None:
    """What root writes is given to whom the state folder belongs, and no link is followed. Raises OSError."""
    state = path.parent.parent
    own_folder(path.parent, state)
    write_whole(path, data, owner_of=state)
