"""The documents of an inspection: what programs may rely on beside their fields."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from edge.records import ABSTAINING, REASONS
from edge.wire import schema
from tests.wire.examples import abstained, encoded, summarised


@pytest.mark.parametrize("code", REASONS)
def test_the_schemas_name_every_code_that_a_reason_can_have(code: str) -> None:
    inspection, summary = encoded(abstained()), summarised(abstained())
    inspection["severity"]["reasons"] = [f"{code}: a sentence"]
    summary["severity_reason"] = code
    Draft202012Validator(schema.json_schema("inspection")).validate(inspection)
    Draft202012Validator(schema.json_schema("summary")).validate(summary)


def test_the_schemas_refuse_another_code() -> None:
    inspection, summary = encoded(abstained()), summarised(abstained())
    inspection["severity"]["reasons"] = ["stages_disagree: a sentence"]
    summary["severity_reason"] = "no_contrast: a sentence"
    assert not Draft202012Validator(schema.json_schema("inspection")).is_valid(inspection)
    assert not Draft202012Validator(schema.json_schema("summary")).is_valid(summary)


def test_the_reasons_for_abstaining_are_those_of_the_documentation() -> None:
    assert ABSTAINING == ("no_contrast", "out_of_domain", "text_on_image", "stages_conflict", "limit_unmeasured")
