"""Releases that a plant made: the shipped models, renamed and signed by a key, in a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from edge.models.card import BUILTIN_FOLDER
from tests.models.test_signature import Signer

MODELS = ("segmenter", "classifier")


def make_release(folder: Path, signer: Signer, *, version: str = "9.0.0", at: int = 1_700_000_000, heavy: bool = True) -> str:
    """Write a release with cards of this version, signed at this time; its id. heavy: with the networks themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        card = json.loads((BUILTIN_FOLDER / f"{name}.json").read_text()) | {"version": version}
        if heavy:
            shutil.copy(BUILTIN_FOLDER / f"{name}.onnx", folder)
        else:
            (folder / f"{name}.onnx").write_bytes(b"no network " + version.encode())
            card["sha256"] = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
        (folder / f"{name}.json").write_text(json.dumps(card))
    shutil.copy(BUILTIN_FOLDER / "regions.json", folder)
    return sign(folder, signer, at)


def sign(folder: Path, signer: Signer, at: int = 1_700_000_000) -> str:
    """List and sign what lies in a folder; the id."""
    names = sorted(path for path in folder.iterdir() if "SHA256SUMS" not in path.name)
    listed = folder / "SHA256SUMS"
    listed.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in names))
    signer.sign(listed, f"timestamp:{at}\tfile:SHA256SUMS\thashed".encode())
    return hashlib.sha256(listed.read_bytes()).hexdigest()
