"""What is installed for the edge in, its bill of materials out: libraries and shipped models, CycloneDX 1.6 in JSON.

`make sbom` runs it. Listed is what the edge needs at run time, with the extras that are named; not what else is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from edge.models.card import BUILTIN_FOLDER
from export import footprint
from export.footprint import PRODUCT


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m export.sbom`: 0 written and valid, 1 the document is not valid, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        "python -m export.sbom",
        description=__doc__,
        epilog="example: python -m export.sbom --extra openvino --out sbom.cdx.json",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the bill goes")
    parser.add_argument(
        "--extra", action="append", default=[], metavar="NAME", help="an extra that is installed on the edge, too"
    )
    arguments = parser.parse_args(argv)
    try:
        text = document(bill(arguments.extra))
    except metadata.PackageNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install '{PRODUCT}[{','.join(arguments.extra)}]'")
    if found := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"the bill is no valid CycloneDX: {found}", file=sys.stderr)
        return 1
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}: {len(json.loads(text)['components'])} components")
    return 0


def bill(extras: Iterable[str] = ()) -> Bom:
    """The product, what it needs at run time with these extras, and the shipped models.

    Raises PackageNotFoundError for what is needed on this machine and not installed.
    """
    needs = footprint.needs(PRODUCT, frozenset(extras))
    components = {name: _library(name) for name in needs}
    bom = Bom()
    bom.metadata.component = product = components.pop(PRODUCT)
    product.type = ComponentType.APPLICATION
    models = _models(BUILTIN_FOLDER)
    bom.components.update(components.values(), models)
    bom.register_dependency(product, [*(components[one] for one in needs[PRODUCT]), *models])
    for name, component in components.items():
        bom.register_dependency(component, [components[one] for one in needs[name]])
    return bom


def document(bom: Bom) -> str:
    """The bill as JSON."""
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text


def _library(name: str) -> Component:
    facts = metadata.metadata(name)
    version = metadata.version(name)
    return Component(
        type=ComponentType.LIBRARY,
        name=facts["Name"],
        version=version,
        bom_ref=f"pkg:pypi/{name}@{version}",
        purl=PackageURL("pypi", None, name, version),
        licenses=[LicenseFactory().make_from_string(licence)] if (licence := _licence(facts)) else [],
    )


def _licence(facts: Any) -> str:
    """A distribution's licence in one line: an SPDX expression, the classifiers' words, or what the author wrote."""
    if expression := facts.get("License-Expression"):
        return str(expression)
    found = [re.split(r" :: ", one)[-1] for one in facts.get_all("Classifier") or [] if one.startswith("License :: ")]
    written = str(facts.get("License") or "").strip().splitlines()
    return "; ".join(found) or (written[0] if written else "")


def _models(folder: Path) -> list[Component]:
    """The model files of a folder, with what their cards say."""
    models = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".onnx", ".xml", ".bin"):
            continue
        card = json.loads((folder / f"{path.name.partition('.')[0]}.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        models.append(
            Component(
                type=ComponentType.MACHINE_LEARNING_MODEL,
                name=path.name,
                version=card["version"],
                bom_ref=f"model/{path.name}",
                description=f"{card['architecture']}, to {card['task']}: {', '.join(card['classes'])}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
                licenses=[LicenseFactory().make_from_string(card["licence"])],
            )
        )
    return models


if __name__ == "__main__":
    sys.exit(main())
