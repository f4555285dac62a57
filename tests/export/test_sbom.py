"""The bill of materials: valid, complete, and with the hashes of the models that are shipped."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclonedx")

from edge.models.card import BUILTIN_FOLDER
from export.sbom import PRODUCT, bill, document, main
from tests.test_bare import dependencies


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    assert main(["--out", str(path)]) == 0
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_bill_is_valid_cyclonedx_of_this_product(written: dict[str, Any]) -> None:
    """`main` has validated it against the schema."""
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    assert written["metadata"]["component"]["name"] == PRODUCT
    assert written["metadata"]["component"]["version"] == metadata.version(PRODUCT)


def test_it_lists_the_runtime_alone_in_the_versions_that_are_installed(written: dict[str, Any]) -> None:
    libraries = {one["purl"] for one in written["components"] if one["type"] == "library"}
    expected = {f"pkg:pypi/{name}@{metadata.version(name)}" for name in dependencies(PRODUCT, set())}
    assert libraries == expected
    assert not {"pytest", "torch", "openvino"} & {one["name"] for one in written["components"]}


def test_an_extra_adds_what_it_needs() -> None:
    pytest.importorskip("openvino")
    names = {one["name"] for one in json.loads(document(bill(["openvino"])))["components"]}
    assert {"openvino", "numpy"} <= names


def test_every_shipped_model_file_is_there_with_its_hash(written: dict[str, Any]) -> None:
    models = {one["name"]: one for one in written["components"] if one["type"] == "machine-learning-model"}
    files = [path for path in BUILTIN_FOLDER.iterdir() if path.suffix != ".json"]
    assert set(models) == {path.name for path in files}
    for path in files:
        assert models[path.name]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]
        assert models[path.name]["licenses"]


def test_who_needs_what_is_told(written: dict[str, Any]) -> None:
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in written["dependencies"]}
    product = needs[written["metadata"]["component"]["bom-ref"]]
    assert {"model/segmenter.onnx", f"pkg:pypi/numpy@{metadata.version('numpy')}"} <= product
    assert (
        f"pkg:pypi/pydantic-core@{metadata.version('pydantic-core')}"
        in needs[f"pkg:pypi/pydantic@{metadata.version('pydantic')}"]
    )


def test_a_missing_extra_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("export.sbom.metadata.version", missing)
    with pytest.raises(SystemExit) as raised:
        main(["--out", str(tmp_path / "a")])
    assert raised.value.code == 2
