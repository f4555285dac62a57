"""The review on the wire."""

from edge.wire.schema import json_schema


def test_the_schema_names_fields_as_the_contract_does() -> None:
    schema = json_schema("review")
    assert {"schema", "review_seq", "reviewer", "brushed", "complete"} <= set(schema["properties"])
    assert "class" in schema["$defs"]["RegionVerdict"]["properties"]
