"""The review as it stands on the wire, field by field; see `edge.wire.documents`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from edge.wire.documents import (
    EXAMPLE_ID,
    EXAMPLE_SHA256,
    Count,
    DeviceFields,
    Document,
    FileName,
    FilePath,
    Number,
    Revision,
    Sha256,
    Text,
    Ts,
    TsMs,
    told,
)

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class ReviewPart(Document):
    """Base of what is nested in a review: a field that the reviewer's program added is not sent on."""

    model_config = ConfigDict(extra="ignore")


class ReviewedImageFields(ReviewPart):
    """The image that was reviewed."""

    name: FileName
    path: FilePath
    sha256: Annotated[Sha256, told("SHA-256 of the file's bytes", EXAMPLE_SHA256)]
    page: Annotated[Count, told("of a file with several, from 0", 0)]
    revision: Revision


class ReviewedModelFields(ReviewPart):
    """The models that had inspected it: sha256 of each."""

    segmenter: Annotated[Sha256 | None, told("found the regions; null: none did", EXAMPLE_SHA256)]
    classifier: Annotated[Sha256 | None, told("judged the field; null: none did", EXAMPLE_SHA256)]
    regions: Annotated[Sha256 | None, told("judged single regions; null: none did", EXAMPLE_SHA256)]
    taught: Annotated[Sha256 | None, told("the adaptation; null: none", EXAMPLE_SHA256, rare=True)]


class RegionVerdictFields(ReviewPart):
    """What was said of a region, named by index and box of the inspection."""

    index: Annotated[Count, told("of the region in its inspection", 3)]
    box_px: Annotated[Box, told("x, y, width, height there", [447.0, 189.0, 156.0, 176.0], "px")]
    verdict: Annotated[
        Literal["right", "not_corrosion", "wrong_class", "wrong_outline"], told("what the reviewer says of it", "wrong_class")
    ]
    class_name: Annotated[Text | None, told("the right class, with wrong_class; else null", "product")] = Field(alias="class")
    outline_px: Annotated[
        list[Point] | None,
        told("the right outline, with wrong_outline; else null", [[450.0, 193.0], [449.0, 196.0]], "px", rare=True),
    ]


class MissedFields(ReviewPart):
    """A region that was not found: one of point, box and outline is there."""

    point_px: Annotated[Point | None, told("x, y of a point in it; null: box or outline", [512.0, 300.5], "px")]
    box_px: Annotated[
        Box | None, told("x, y, width, height; null: point or outline", [500.0, 290.0, 24.0, 20.0], "px", rare=True)
    ]
    outline_px: Annotated[
        list[Point] | None,
        told("corners x, y; null: point or box", [[500.0, 290.0], [524.0, 290.0], [512.0, 310.0]], "px", rare=True),
    ]
    class_name: Annotated[Text | None, told("what it is; null: not said", "pit")] = Field(alias="class")


class BrushedFields(ReviewPart):
    """Pixels along a line, and what they are."""

    class_name: Annotated[Text, told("what they are; background: no corrosion", "pit")] = Field(alias="class")
    points_px: Annotated[list[Point], told("points x, y of the line", [[510.0, 300.0], [514.0, 302.0]], "px")]
    radius_px: Annotated[float, told("half the width of the brush", 4.0, "px")]


class CompleteFields(ReviewPart):
    """The part of the image that was looked at whole."""

    box_px: Annotated[Box, told("x, y, width, height", [0.0, 0.0, 512.0, 384.0], "px")]


class ReviewedSeverityFields(ReviewPart):
    """A severity, a class of the plant's own, "uncorroded" or "cannot_tell"."""

    verdict: Annotated[Text, told("of the whole field of view", "moderate")]


class ReviewDocument(Document):
    """What a person said of an inspection. It changes no inspection and takes no `seq`."""

    schema_: Annotated[Literal["edge.review/1"], told("kind and version of this message", "edge.review/1")] = Field(
        serialization_alias="schema"
    )
    review_id: Annotated[Text, told("names the review for ever", "d3b1f6a0-51c9-4f0e-9a7e-2f1d6c8b7a55")]
    review_seq: Annotated[Number, told("order of the reviews of this journal; drop repeats by review_id", 5)]
    ts: Ts
    ts_ms: TsMs
    device: Annotated[DeviceFields, told("which microscope")]
    reviewer: Annotated[Text, told("a pseudonym, the same for all reviews of one person in this journal", "reviewer-7f3a9c")]
    inspection_id: Annotated[Text | None, told("the inspection that was reviewed; null: none is named", EXAMPLE_ID)]
    image: Annotated[ReviewedImageFields, told("the image that was reviewed")]
    model: Annotated[ReviewedModelFields | None, told("what had inspected it; null: not said")]
    regions: Annotated[list[RegionVerdictFields], told("what was said of found regions")]
    missed: Annotated[list[MissedFields], told("regions that were not found")]
    brushed: Annotated[list[BrushedFields], told("pixels that were painted")]
    complete: Annotated[
        bool | CompleteFields, told("true, or the box that was looked at whole: what is unmarked there is right", True)
    ]
    severity: Annotated[ReviewedSeverityFields | None, told("null: nothing was said of it")]
    supersedes: Annotated[
        Text | None, told("review_id of the same reviewer's that this one replaces; null: none", EXAMPLE_ID, rare=True)
    ]
    withdrawn: Annotated[bool, told("true: the reviewer takes back what was said", False)]
    note: Annotated[Text | None, told("in the reviewer's words; null: none", "charging at the left edge")]
