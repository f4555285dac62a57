"""Messages of this release against the schemas that release 0.4 published, and the page that says what breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests import ROOT
from tests.wire.examples import (
    abstained,
    encoded,
    example,
    limited,
    limited_alone,
    messages,
    segmented_only,
    strict,
    summarised,
    tilted,
    uncalibrated,
)

OF_0_4 = Path(__file__).parent / "release_0_4"

PAGE = (ROOT / "docs" / "use" / "version-2.md").read_text(encoding="utf-8")

SEVERITY_OF_AN_ABSTAINED_ONE = {"severity.label", "severity.confidence", "severity.probabilities"}


def schema_of_0_4(name: str, *, tolerant: bool) -> Draft202012Validator:
    """As it was published; tolerant: as of a program that ignores fields it does not know and the version's number."""
    schema = json.loads((OF_0_4 / f"{name}.json").read_text(encoding="utf-8"))
    if tolerant:
        schema = opened(schema)
        schema["properties"]["schema"] = {"type": "string"}
    return Draft202012Validator(schema)


def opened(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: opened(value) for key, value in schema.items() if value is not False or key != "additionalProperties"}
    return [opened(value) for value in schema] if isinstance(schema, list) else schema


def leaves(error: ValidationError) -> Iterator[ValidationError]:
    """What is wrong itself, below the alternatives that "X or null" is in a schema."""
    if error.validator == "anyOf" and isinstance(error.instance, dict):
        for inner in error.context or ():
            if not (inner.validator == "type" and inner.validator_value == "null"):
                yield from leaves(inner)
    else:
        yield error


def dotted(error: ValidationError) -> str:
    """Where, without the places in lists: `regions.severity`."""
    return ".".join(str(part) for part in error.absolute_path if not isinstance(part, int))


def wrong(name: str, message: dict[str, Any], *, tolerant: bool) -> tuple[set[str], set[str]]:
    """Names of fields that 0.4 does not know, and of those whose values it does not allow."""
    unknown, refused = set(), set()
    for error in schema_of_0_4(name, tolerant=tolerant).iter_errors(message):
        for leaf in leaves(error):
            if leaf.validator == "additionalProperties":
                known = set(leaf.schema["properties"])
                place = f"{dotted(leaf)}." if leaf.absolute_path else ""
                unknown |= {f"{place}{field}" for field in leaf.instance if field not in known}
            else:
                refused.add(dotted(leaf))
    return unknown, refused


def table(heading: str) -> set[str]:
    """The names in the first column of the page's table below a heading."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}


def test_a_strict_program_of_0_4_refuses_version_2_for_exactly_the_fields_that_the_page_names() -> None:
    unknown, refused = wrong("inspection", encoded(example()), tolerant=False)
    assert unknown == table("New fields of edge.inspection/2")
    assert refused == {"schema"}
    unknown, refused = wrong("summary", summarised(example()), tolerant=False)
    assert unknown == table("New fields of edge.summary/2")
    assert refused == {"schema"}


@pytest.mark.parametrize("inspection", [example(), uncalibrated(), segmented_only(), tilted()])
def test_a_tolerant_program_of_0_4_takes_what_is_judged(inspection: Any) -> None:
    assert wrong("inspection", encoded(inspection), tolerant=True) == (set(), set())
    assert wrong("summary", summarised(inspection), tolerant=True) == (set(), set())


def test_a_tolerant_program_of_0_4_breaks_on_an_abstained_severity_at_exactly_the_fields_that_the_page_names() -> None:
    unknown, refused = wrong("inspection", encoded(abstained()), tolerant=True)
    assert (unknown, refused) == (set(), table("Null where version 1 had a value"))
    assert wrong("summary", summarised(abstained()), tolerant=True) == (set(), set())


@pytest.mark.parametrize("inspection", [limited(), limited_alone()])
def test_a_tolerant_program_of_0_4_misses_the_numbers_of_a_severity_by_limits_as_the_page_says(inspection: Any) -> None:
    numbers = table("Null where version 1 had a value") - {"severity.label"}
    assert wrong("inspection", encoded(inspection), tolerant=True) == (set(), numbers)
    assert wrong("summary", summarised(inspection), tolerant=True) == (set(), set())


@pytest.mark.parametrize("name", sorted(set(messages()) - {"inspection", "summary"}))
def test_a_tolerant_program_of_0_4_takes_every_other_message(name: str) -> None:
    assert wrong(name, strict(messages()[name]), tolerant=True) == (set(), set())
