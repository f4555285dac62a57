"""The review as it stands on the wire, field by field; see `edge.wire.documents`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from edge.wire.documents import Count, DeviceFields, Document, Number, Sha256, Text, Timestamp

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class ReviewPart(Document):
    """Base of what is nested in a review: a field that the reviewer's program added is not sent on."""

    model_config = ConfigDict(extra="ignore")


class ReviewedImageFields(ReviewPart):
    """The image that was reviewed."""

    name: Text
    path: Text
    sha256: Sha256
    page: Count
    revision: Number


class ReviewedModelFields(ReviewPart):
    """The models that had inspected it: sha256 of each."""

    segmenter: Sha256 | None
    classifier: Sha256 | None
    regions: Sha256 | None
    taught: Sha256 | None


class RegionVerdictFields(ReviewPart):
    """What was said of a region, named by index and box of the inspection."""

    index: Count
    box_px: Box
    verdict: Literal["right", "not_corrosion", "wrong_class", "wrong_outline"]
    class_name: Text | None = Field(alias="class")
    outline_px: list[Point] | None


class MissedFields(ReviewPart):
    """A region that was not found: one of point, box and outline is there."""

    point_px: Point | None
    box_px: Box | None
    outline_px: list[Point] | None
    class_name: Text | None = Field(alias="class")


class BrushedFields(ReviewPart):
    """Pixels along a line, and what they are."""

    class_name: Text = Field(alias="class")
    points_px: list[Point]
    radius_px: float


class CompleteFields(ReviewPart):
    """The part of the image that was looked at whole."""

    box_px: Box


class ReviewedSeverityFields(ReviewPart):
    """A severity, a class of the plant's own, "uncorroded" or "cannot_tell"."""

    verdict: Text


class ReviewDocument(Document):
    """What a person said of an inspection. It changes no inspection and takes no `seq`."""

    schema_: Literal["edge.review/1"] = Field(serialization_alias="schema")
    review_id: Text
    review_seq: Number = Field(description="order of the reviews of this journal; drop repeats by review_id")
    ts: Timestamp
    ts_ms: int
    device: DeviceFields
    reviewer: Text = Field(description="a pseudonym, the same for all reviews of one person in this journal")
    inspection_id: Text | None
    image: ReviewedImageFields
    model: ReviewedModelFields | None
    regions: list[RegionVerdictFields]
    missed: list[MissedFields]
    brushed: list[BrushedFields]
    complete: bool | CompleteFields
    severity: ReviewedSeverityFields | None
    supersedes: Text | None
    withdrawn: bool
    note: Text | None
