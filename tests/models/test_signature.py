"""Signatures over model files: what the key's owner signed is taken, anything else is refused with its reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.models.signature import PublicKey, require_signed, verify

pytest.importorskip("cryptography")

# Made by minisign 0.11; "ED" is what it writes, "Ed" what it wrote before 0.10 and writes with -l.
KEY = "RWTilbA9I/VygqDQE/dfcFgeZJT1dj2M/xf0BYRUyVIGsjtH9c2FtxXj"
ANOTHER_KEY = "RWSTkzPorJFg6KmV0vaWxpyDu2NxmMivnlO2HXTbIEt/0llTGTIBEXNp"
CONTENT = b"a file that was signed\n"
SIGNATURES = {
    "ED": b"""untrusted comment: signature from minisign secret key
RUTilbA9I/VygjEIbidsB96omSPhFSqOPd72LM57PNUVfUOS8ZSiBeKy+oVKBbVmDHREr2Vy7aQ9BMdCcoIj3NjJncBUKwaxkgY=
trusted comment: trusted, and one line
D32lZ0s9+Lm06qtTrqp1haT44eSWkTMSrFSbk/KijhE50irSF01dYOjfaR/aMu0xItW+UwZEEVFzXupximL/Dg==
""",
    "Ed": b"""untrusted comment: signature from minisign secret key
RWTilbA9I/VygkyD56XDEotokIrikL9Hno6IAgzl+nQG17emWhCVXwWxPUgRtwQ1hMi00qCJTRmPbmLB3TzdqI8C0H+XJAk4swU=
trusted comment: trusted, and one line
FSljsFTcfTUpfPD+mGa9kFWb5GjLo4KlP0Bb/Rpcf7FsuunpxR4HHxgCA1dyDpTUNRvrK8HWUqFCuqsGpa4RCA==
""",
}


class Signer:
    """What minisign does with a secret key, on cryptography."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._line(b"Ed" + b"keyident" + self._key.public_key().public_bytes_raw())

    def sign(self, path: Path, comment: bytes = b"timestamp:0") -> None:
        signed = self._key.sign(hashlib.blake2b(path.read_bytes(), digest_size=64).digest())
        lines = (b"untrusted comment: x", self._line(b"ED" + b"keyident" + signed).encode(), b"trusted comment: " + comment)
        path.with_name(f"{path.name}.minisig").write_bytes(
            b"\n".join((*lines, self._line(self._key.sign(signed + comment)).encode(), b""))
        )

    def sign_folder(self, folder: Path) -> None:
        names = sorted(path for path in folder.iterdir() if "SHA256SUMS" not in path.name)
        listed = folder / "SHA256SUMS"
        listed.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in names))
        self.sign(listed)

    @staticmethod
    def _line(data: bytes) -> str:
        import base64

        return base64.b64encode(data).decode()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The shipped models in a folder of the plant's own."""
    folder = tmp_path / "models"
    shutil.copytree(BUILTIN_FOLDER, folder)
    return folder


@pytest.fixture
def signer() -> Signer:
    return Signer()


def change_a_bit_and_rewrite_the_card(model: Path) -> None:
    """What passed when only hashes were compared."""
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    card = json.loads(model.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(data).hexdigest()
    model.with_suffix(".json").write_text(json.dumps(card))


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGNATURES)
def test_what_minisign_signed_is_taken(kind: str) -> None:
    verify(CONTENT, SIGNATURES[kind], PublicKey.parse(KEY), Path("file"))


@pytest.mark.parametrize("kind", SIGNATURES)
@pytest.mark.parametrize("part", range(len(CONTENT)))
def test_a_changed_byte_is_refused(kind: str, part: int) -> None:
    changed = bytearray(CONTENT)
    changed[part] ^= 1
    with pytest.raises(ModelError, match="not what was signed"):
        verify(bytes(changed), SIGNATURES[kind], PublicKey.parse(KEY), Path("file"))


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_changed_trusted_comment_is_refused(kind: str) -> None:
    with pytest.raises(ModelError, match="not what was signed"):
        verify(CONTENT, SIGNATURES[kind].replace(b"one line", b"ONE line"), PublicKey.parse(KEY), Path("file"))


def test_another_key_is_named() -> None:
    with pytest.raises(ModelError, match=r"8272F5233DB095E2: \[models\] public_key is E86091ACE8339393"):
        verify(CONTENT, SIGNATURES["ED"], PublicKey.parse(ANOTHER_KEY), Path("file"))


@pytest.mark.parametrize(
    "text", [b"", b"\n\n\n\n", b"a\nb\nc\nd", SIGNATURES["ED"][:-60], SIGNATURES["ED"].replace(b"trusted", b"x"), b"\xff" * 500]
)
def test_what_is_no_signature_is_refused_with_words(text: bytes) -> None:
    with pytest.raises(ModelError, match=r"file\.minisig"):
        verify(CONTENT, text, PublicKey.parse(KEY), Path("file"))


def test_without_the_library_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ModelError, match=r"sem-corrosion-edge\[signed\]"):
        verify(CONTENT, SIGNATURES["ED"], PublicKey.parse(KEY), Path("file"))


# --- model folders ---------------------------------------------------------------------------------------------------


def load(model: Path, signer: Signer) -> Any:
    return load_card(model, "classify" if model.stem == "classifier" else "segment", signer.public_key)


@pytest.mark.parametrize("name", ["segmenter.onnx", "classifier.onnx"])
def test_a_signed_folder_is_taken(name: str, models: Path, signer: Signer) -> None:
    signer.sign_folder(models)
    assert load(models / name, signer).classes


def test_signatures_file_by_file_are_taken_too(models: Path, signer: Signer) -> None:
    for path in sorted(models.iterdir()):
        signer.sign(path)
    assert load(models / "classifier.onnx", signer).classes


def test_a_changed_bit_with_a_rewritten_card_is_refused(models: Path, signer: Signer) -> None:
    signer.sign_folder(models)
    change_a_bit_and_rewrite_the_card(models / "segmenter.onnx")
    assert load_card(models / "segmenter.onnx", "segment")  # the hashes agree
    with pytest.raises(ModelError, match=r"segmenter\.json was changed since .* was signed"):
        load(models / "segmenter.onnx", signer)


def test_a_changed_model_is_refused_by_its_signed_card_even_with_its_old_time(models: Path, signer: Signer) -> None:
    import os

    signer.sign_folder(models)
    model = models / "segmenter.onnx"
    load(model, signer)
    before = model.stat()
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelError, match="hashes differ"):
        load(model, signer)


def test_a_rewritten_manifest_is_refused(models: Path, signer: Signer) -> None:
    signer.sign_folder(models)
    signature = (models / "SHA256SUMS.minisig").read_bytes()
    change_a_bit_and_rewrite_the_card(models / "segmenter.onnx")
    signer.sign_folder(models)
    (models / "SHA256SUMS.minisig").write_bytes(signature)
    with pytest.raises(ModelError, match="SHA256SUMS is not what was signed"):
        load(models / "segmenter.onnx", signer)


def test_the_signature_of_another_key_is_refused(models: Path, signer: Signer) -> None:
    Signer().sign_folder(models)
    with pytest.raises(ModelError):
        load(models / "segmenter.onnx", signer)


def test_a_folder_without_signatures_is_refused_with_the_cure(models: Path, signer: Signer) -> None:
    with pytest.raises(ModelError, match=r"segmenter\.json is not signed: .* minisign -S -m SHA256SUMS"):
        load(models / "segmenter.onnx", signer)


@pytest.mark.parametrize("name", ["classifier-0123456789ab.engine.json", "kernels-0123456789ab.fatbin"])
def test_what_would_run_beside_a_model_must_be_signed_too(name: str, models: Path, signer: Signer) -> None:
    signer.sign_folder(models)
    (models / name).write_bytes(b"put there later")
    with pytest.raises(ModelError, match=name):
        load(models / "classifier.onnx", signer)


def test_a_name_in_a_manifest_covers_that_file_alone(tmp_path: Path, signer: Signer) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    signer.sign_folder(tmp_path)
    require_signed(tmp_path / "a", b"a", signer.public_key)
    with pytest.raises(ModelError, match="was changed"):
        require_signed(tmp_path / "a", b"b", signer.public_key)
    with pytest.raises(ModelError, match="does not stand in"):
        require_signed(tmp_path / "c", b"a", signer.public_key)


def test_minisign_itself_signs_a_folder_as_the_page_says(models: Path, tmp_path: Path) -> None:
    if shutil.which("minisign") is None or shutil.which("sha256sum") is None:
        pytest.skip("minisign is not installed (apt-get install minisign)")

    def run(*command: str, cwd: Path = tmp_path) -> None:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True)

    run("minisign", "-G", "-W", "-p", "minisign.pub", "-s", "minisign.key")
    run("sh", "-c", "sha256sum * > SHA256SUMS", cwd=models)
    run("minisign", "-S", "-s", str(tmp_path / "minisign.key"), "-m", "SHA256SUMS", cwd=models)
    key = (tmp_path / "minisign.pub").read_text().splitlines()[1]
    assert load_card(models / "classifier.onnx", "classify", key).classes
    change_a_bit_and_rewrite_the_card(models / "classifier.onnx")
    with pytest.raises(ModelError, match="was changed"):
        load_card(models / "classifier.onnx", "classify", key)
