"""A folder with a signed SHA256SUMS in; a release out: its id, when it was signed, and which file is which model.

    SHA256SUMS            a line a file, as sha256sum writes it; its own SHA-256 is the release's id
    SHA256SUMS.minisig    the signature of the plant's key over it, with the time of signing in its trusted comment
    NAME.onnx, NAME.json  a model and its card, one for each stage; a file of weights for single regions; engines, if any

A release is never believed because of where it came from: id, signature and hashes say everything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from edge.config import AnySettings, change
from edge.errors import ModelError
from edge.models.signature import MANIFEST, PublicKey, verify

Role = Literal["segmenter", "classifier", "regions"]
ReleaseId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SIGNATURE: Final = f"{MANIFEST}.minisig"
SHORT: Final = 16
"""Digits of an id that people are shown, and may type."""
MOST_FILES: Final = 64
MOST_MANIFEST: Final = 32 << 10
MOST_SIGNATURE: Final = 2 << 10
MOST_CARD: Final = 8 << 20
"""Bytes of a card, or of another JSON file, that are looked at."""
_NEEDED: Final[dict[str, tuple[Role, ...]]] = {
    "both": ("segmenter", "classifier"),
    "segment": ("segmenter",),
    "classify": ("classifier",),
}
"""What a release must have, by `inspect.stages`."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_SIGNED_AT: Final = re.compile(r"^trusted comment: (?:.*\t)?timestamp:(\d{1,12})(?:\t|$)")


@dataclass(frozen=True, slots=True)
class Release:
    """A release in a folder, whose id was checked; its files are checked when they are opened.

    id: 64 digits.  signed_at: seconds since 1970, as the signer's clock had it.  models: file of each model that is there.
    """

    id: str
    folder: Path
    signed_at: int
    models: dict[Role, Path]

    @property
    def short(self) -> str:
        """The id as people are shown it."""
        return self.id[:SHORT]

    def in_place_of(self, settings: AnySettings) -> AnySettings:
        """The settings with these models for those of the configuration. What a release has not stays as it is there.

        Raises ModelError where a stage that the settings want is missing.
        """
        wanted = _NEEDED[settings.inspect.stages]
        if missing := [role for role in wanted if role not in self.models]:
            raise ModelError(f"release {self.short} has no {' and no '.join(missing)}: put the model and its card into it")
        return change(settings, {"models": {role: str(path) for role, path in self.models.items()}})


def release_in(folder: Path, release_id: str = "") -> Release:
    """The release that lies in a folder. release_id: the one that it has to be, empty for any. Raises ModelError."""
    manifest = read_small(folder / MANIFEST, MOST_MANIFEST)
    found = hashlib.sha256(manifest).hexdigest()
    if release_id and found != release_id:
        raise ModelError(f"{folder / MANIFEST} is not that of release {release_id[:SHORT]}: fetch it again")
    signature = read_small(folder / SIGNATURE, MOST_SIGNATURE)
    return Release(found, folder, signed_at(signature), _models(folder, files_of(manifest)))


def files_of(manifest: bytes) -> dict[str, str]:
    """SHA-256 of each file that a SHA256SUMS lists, by its name. Raises ModelError for what no release may have.

    Names are plain: no folders, no hidden files, no spaces; the manifest and its signature cannot be listed.
    """
    found: dict[str, str] = {}
    try:
        lines = manifest.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(f"{MANIFEST} has letters beyond ASCII: give the files plain names and sign again") from error
    for line in lines:
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.*)", line)
        if match is None:
            raise ModelError(f"{MANIFEST} has a line that sha256sum does not write: {line[:80]!r}")
        digest, name = match.groups()
        if not _PLAIN.fullmatch(name) or name in (MANIFEST, SIGNATURE):
            raise ModelError(f"{MANIFEST} lists {name[:80]!r}: a release has files with plain names alone, and no folders")
        if found.setdefault(name, digest.lower()) != digest.lower():
            raise ModelError(f"{MANIFEST} lists {name} twice")
    if not found:
        raise ModelError(f"{MANIFEST} lists no file")
    if len(found) > MOST_FILES:
        raise ModelError(f"{MANIFEST} lists {len(found)} files: a release has at most {MOST_FILES}")
    return found


def require_ours(manifest: bytes, signature: bytes, public_key: str, where: Path) -> int:
    """When the owner of the key signed this manifest, seconds since 1970. Raises ModelError where it was somebody else.

    where: of the manifest, for the message.
    """
    verify(manifest, signature, PublicKey.parse(public_key), where)
    return signed_at(signature)


def signed_at(signature: bytes) -> int:
    """The time that minisign writes into the trusted comment, which is signed too. Raises ModelError where none stands there.

    It tells an announcement that somebody kept and sends again from a new one.
    """
    lines = signature.decode("utf-8", "replace").splitlines()
    match = _SIGNED_AT.match(lines[2]) if len(lines) > 2 else None
    if match is None:
        raise ModelError(f"{SIGNATURE} does not say when it was signed: sign without a trusted comment (-t) of your own")
    return int(match[1])


def read_small(path: Path, most: int) -> bytes:
    """A file that is no link and not longer than `most` bytes. Raises ModelError."""
    try:
        if path.is_symlink():
            raise ModelError(f"{path} is a link: a release has files alone")
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise ModelError(f"{path} has more than {most} bytes: it is none of a release's")
    return data


def _models(folder: Path, names: Iterable[str]) -> dict[Role, Path]:
    """Which file is which model, by what the cards say. Raises ModelError for two of one kind."""
    found: dict[Role, Path] = {}
    for name in sorted(names):
        if not name.endswith(".json") or name.endswith(".engine.json"):
            continue
        card = folder / name
        try:
            told = json.loads(read_small(card, MOST_CARD))
        except ValueError as error:
            raise ModelError(f"{card} is no JSON: {error}") from error
        role = _role(told) if isinstance(told, dict) else None
        if role is None:
            continue
        if role in found:
            raise ModelError(f"the release has two models for {role}: {found[role].name} and {name}; keep one")
        found[role] = card if role == "regions" else card.with_suffix(".onnx")
    return found


def _role(card: dict[str, object]) -> Role | None:
    if card.get("schema") == "edge.regions/1":
        return "regions"
    if card.get("schema") != "edge.model/1":
        return None
    return {"segment": "segmenter", "classify": "classifier"}.get(str(card.get("task")))  # type: ignore[return-value]
