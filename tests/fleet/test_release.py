"""A release: plain names, one model of a kind, an id that is the hash of its list, a signature that says when."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import config
from edge.errors import ModelError
from edge.fleet.release import MOST_FILES, files_of, release_in, require_ours, signed_at
from tests.fleet.making import make_release, sign
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")

HASH = "a" * 64


def test_a_release_knows_its_id_its_models_and_when_it_was_signed(tmp_path: Path) -> None:
    made = make_release(tmp_path, Signer(), heavy=False, at=1_700_000_007)
    release = release_in(tmp_path, made)
    assert (release.id, release.short, release.signed_at) == (made, made[:16], 1_700_000_007)
    assert {role: path.name for role, path in release.models.items()} == {
        "segmenter": "segmenter.onnx",
        "classifier": "classifier.onnx",
        "regions": "regions.json",
    }


def test_its_models_take_the_place_of_the_configurations(tmp_path: Path) -> None:
    make_release(tmp_path, Signer(), heavy=False)
    settings = release_in(tmp_path).in_place_of(config.parse({"watch": {"folder": "/x"}}, {}))
    assert settings.models.segmenter == str(tmp_path / "segmenter.onnx")
    assert settings.models.regions == str(tmp_path / "regions.json")


def test_a_release_without_a_model_that_is_asked_for_cannot_take_their_place(tmp_path: Path) -> None:
    signer = Signer()
    make_release(tmp_path, signer, heavy=False)
    (tmp_path / "classifier.json").unlink()
    sign(tmp_path, signer)
    settings = config.parse({"watch": {"folder": "/x"}}, {})
    with pytest.raises(ModelError, match="has no classifier"):
        release_in(tmp_path).in_place_of(settings)
    only_one = config.change(settings, {"inspect": {"stages": "segment"}})
    assert release_in(tmp_path).in_place_of(only_one).models.classifier == "builtin"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (f"{HASH}  ../passwd\n", "plain names"),
        (f"{HASH}  sub/model.onnx\n", "plain names"),
        (f"{HASH}  .hidden\n", "plain names"),
        (f"{HASH}  SHA256SUMS\n", "plain names"),
        (f"{HASH}  a b\n", "plain names"),
        (f"{HASH}  \n", "plain names"),
        ("no line of sha256sum\n", "does not write"),
        (f"{HASH}  modèle.onnx\n", "beyond ASCII"),
        (f"{HASH}  a\n{'b' * 64}  a\n", "twice"),
        ("", "lists no file"),
        ("".join(f"{HASH}  f{number}\n" for number in range(MOST_FILES + 1)), "at most"),
    ],
)
def test_a_list_that_no_release_may_have_is_refused(lines: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        files_of(lines.encode())


def test_both_forms_of_sha256sum_are_read() -> None:
    assert files_of(f"{HASH} *a.onnx\n{HASH.upper()}  ./b.json\n".encode()) == {"a.onnx": HASH, "b.json": HASH}


def test_two_models_of_one_kind_are_refused(tmp_path: Path) -> None:
    signer = Signer()
    make_release(tmp_path, signer, heavy=False)
    (tmp_path / "other.json").write_bytes((tmp_path / "segmenter.json").read_bytes())
    sign(tmp_path, signer)
    with pytest.raises(ModelError, match="two models for segmenter"):
        release_in(tmp_path)


def test_the_list_of_another_release_and_a_link_are_refused(tmp_path: Path) -> None:
    make_release(tmp_path, Signer(), heavy=False)
    with pytest.raises(ModelError, match="not that of release"):
        release_in(tmp_path, "b" * 64)
    (tmp_path / "SHA256SUMS").rename(tmp_path / "kept")
    (tmp_path / "SHA256SUMS").symlink_to(tmp_path / "kept")
    with pytest.raises(ModelError, match="is a link"):
        release_in(tmp_path)


def test_another_key_or_another_list_is_not_ours(tmp_path: Path) -> None:
    signer = Signer()
    make_release(tmp_path, signer, heavy=False, at=5)
    manifest, signature = (tmp_path / "SHA256SUMS").read_bytes(), (tmp_path / "SHA256SUMS.minisig").read_bytes()
    assert require_ours(manifest, signature, signer.public_key, tmp_path) == 5
    with pytest.raises(ModelError, match="not what was signed"):
        require_ours(manifest, signature, Signer().public_key, tmp_path)
    with pytest.raises(ModelError, match="not what was signed"):
        require_ours(manifest + b"\n", signature, signer.public_key, tmp_path)


def test_a_signature_without_its_time_is_refused() -> None:
    with pytest.raises(ModelError, match="does not say when"):
        signed_at(b"a\nb\ntrusted comment: mine\nd\n")
    assert signed_at(b"a\nb\ntrusted comment: timestamp:12\tfile:SHA256SUMS\thashed\nd\n") == 12
