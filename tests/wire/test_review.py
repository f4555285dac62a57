"""A review becomes its message."""

import json
from dataclasses import asdict

from jsonschema import Draft202012Validator

from edge.config import DeviceSettings
from edge.teach.reviews import parse_review
from edge.wire.review import encode_review
from edge.wire.schema import json_schema
from tests.teach.test_reviews import line


def test_a_review_is_sent_whole_with_a_pseudonym_and_fits_its_schema() -> None:
    said = line(complete={"box_px": [0, 0, 9, 9]}, severity={"verdict": "severe"}, secret="no")
    review = parse_review(json.dumps(said).encode(), "here")
    device = DeviceSettings(site="s", area="a", id="i")
    sent = json.loads(encode_review(asdict(review), review_seq=7, reviewer="reviewer-1", device=device))
    Draft202012Validator(json_schema("review")).validate(sent)
    assert sent["reviewer"] == "reviewer-1"
    assert sent["review_seq"] == 7
    assert sent["missed"][0]["class"] == "pit"
    assert "secret" not in sent
    assert "anna" not in json.dumps(sent)
