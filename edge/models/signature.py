"""A file beside its signature and the plant's public key in; nothing out where the key's owner signed that very file.

Signatures are minisign's (https://jedisct1.github.io/minisign/): Ed25519 over the file ("Ed") or over its BLAKE2b hash ("ED"),
and a second one over the first and the trusted comment. Either `FILE.minisig` lies beside the file, or the file's hash
stands in `SHA256SUMS`, which `SHA256SUMS.minisig` vouches for: one signature for a whole folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import ModelError

MANIFEST: Final = "SHA256SUMS"
COMPANIONS: Final = ("{stem}-*.engine.json", "kernels-*.fatbin")
"""What may run beside a model: passports, which hold their files' hashes, and kernels."""
HOW_TO_SIGN: Final = "sha256sum * > SHA256SUMS && minisign -S -m SHA256SUMS in its folder signs all"
_CHANGED: Final = "it or {} was changed; sign it again if you know why"
_LARGEST: Final = 64 << 10
"""Bytes of a signature file, or of a manifest, that are read."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """key_id: 8 bytes that tell keys apart.  point: the 32 bytes of Ed25519's public key."""

    key_id: bytes
    point: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key from the last line of a minisign.pub, which begins with RW. Raises ModelError."""
        data = _decoded(text, 42, "[models] public_key")
        if data[:2] != b"Ed":
            raise ModelError("[models] public_key is no key of minisign's: give the second line of minisign.pub")
        return cls(data[2:10], data[10:])

    @property
    def name(self) -> str:
        """As minisign shows it: 16 hexadecimal digits."""
        return _name_of(self.key_id)


def require_signed(path: Path, content: bytes, public_key: str) -> None:
    """Raise ModelError unless the owner of `public_key` signed `content` as the file at `path`.

    content: what was read from it, so that nothing else can be taken instead.
    """
    key = PublicKey.parse(public_key)
    beside, manifest = _signature_of(path), path.with_name(MANIFEST)
    if beside.is_file():
        verify(content, _read(beside), key, path)
        return
    if not _signature_of(manifest).is_file():
        raise ModelError(f"{path} is not signed: no {beside.name} lies beside it, and no {MANIFEST}.minisig; {HOW_TO_SIGN}")
    listed = _read(manifest)
    verify(listed, _read(_signature_of(manifest)), key, manifest)
    if (path.name, hashlib.sha256(content).hexdigest()) not in _lines(listed):
        known = any(name == path.name for name, _ in _lines(listed))
        why = f"was changed since {manifest} was signed" if known else f"does not stand in {manifest}, which is signed"
        raise ModelError(f"{path} {why}: sign it again if you know why; {HOW_TO_SIGN}")


def require_signed_companions(model: Path, public_key: str) -> None:
    """Raise ModelError for an engine or kernels beside `model` that would run and are not signed."""
    for pattern in COMPANIONS:
        for path in sorted(model.parent.glob(pattern.format(stem=model.stem))):
            require_signed(path, _read(path, largest=None), public_key)


def verify(content: bytes, signature: bytes, key: PublicKey, path: Path) -> None:
    """Raise ModelError unless `signature`, the text of a .minisig file, is by this key over this content.

    path: of the content, for the message.
    """
    algorithm, signed = _whole_signature(signature, key, path)
    if algorithm == b"ED":
        content = hashlib.blake2b(content, digest_size=64).digest()
    if not _is_by(key.point, signed, content):
        raise ModelError(f"{path} is not what was signed: {_CHANGED.format(_signature_of(path).name)}")


def verify_alone(signature: bytes, key: PublicKey, path: Path) -> None:
    """As `verify`, without the content: raise ModelError unless this key made the signature, its trusted comment included."""
    _whole_signature(signature, key, path)


def _whole_signature(signature: bytes, key: PublicKey, path: Path) -> tuple[bytes, bytes]:
    """Algorithm ("Ed", "ED") and the signature of the content, once the one over it and the trusted comment has held."""
    where = _signature_of(path)
    lines = signature.decode("utf-8", "replace").splitlines()
    if len(lines) < 4 or not lines[2].startswith("trusted comment: "):
        raise ModelError(f"{where} is no signature of minisign's: sign {path.name} again")
    first, last = _decoded(lines[1], 74, str(where)), _decoded(lines[3], 64, str(where))
    algorithm, key_id, signed = first[:2], first[2:10], first[10:]
    if key_id != key.key_id:
        raise ModelError(f"{path} is signed by another key, {_name_of(key_id)}: [models] public_key is {key.name}")
    if algorithm not in (b"Ed", b"ED"):
        raise ModelError(f"{where} is of a kind that this version does not know: sign {path.name} with minisign")
    comment = signature.splitlines()[2].removeprefix(b"trusted comment: ")
    if not _is_by(key.point, last, signed + comment):
        raise ModelError(f"{path} is not what was signed: {_CHANGED.format(where.name)}")
    return algorithm, signed


def _is_by(point: bytes, signature: bytes, content: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        cure = "pip install 'sem-corrosion-edge[signed]'"
        raise ModelError(f"signatures cannot be checked, so no model is used ({error}): {cure}") from error
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _lines(manifest: bytes) -> set[tuple[str, str]]:
    """Name and hash of each line as sha256sum writes it: the hash, a space, a space or a star, the name."""
    found = set()
    for line in manifest.decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition(" ")
        found.add((name[1:].removeprefix("./"), digest.lower()))
    return found


def _signature_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.minisig")


def _name_of(key_id: bytes) -> str:
    return key_id[::-1].hex().upper()


def _decoded(text: str, size: int, where: str) -> bytes:
    try:
        data = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        raise ModelError(f"{where} is not what minisign writes: a line of {len(text.strip())} characters holds no {size} bytes")
    return data


def _read(path: Path, largest: int | None = _LARGEST) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read() if largest is None else stream.read(largest)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
