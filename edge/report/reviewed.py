"""Reviews of one image in; each as a line, and what the reviewers who count say of its severity, out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.errors import ReviewError
from edge.teach.reviews import Review, disagreements, latest, parse_review


@dataclass(frozen=True, slots=True)
class Reviewed:
    """lines: every review, oldest first.  severities: (reviewer, verdict) of those that count.  disagree: sentences."""

    lines: tuple[str, ...]
    severities: tuple[tuple[str, str], ...]
    disagree: tuple[str, ...]


def told(reviews: Sequence[dict[str, Any]]) -> Reviewed:
    """What counts is the latest word of each reviewer that was not withdrawn."""
    parsed = [_parsed(said) for said in reviews]
    counting = {id(review) for review in latest(review for review in parsed if review is not None)}
    lines = [_line(said, review is None or id(review) in counting) for said, review in zip(reviews, parsed, strict=True)]
    own = [review for review in parsed if id(review) in counting and review is not None]
    return Reviewed(
        tuple(lines),
        tuple((one.reviewer, one.severity.verdict) for one in own if one.severity is not None),
        tuple(
            f"Reviewers disagree on {one.what}: {', '.join(f'{who} says {_words(what)}' for who, what in one.said)}."
            for one in disagreements(own)
        ),
    )


def _parsed(said: dict[str, Any]) -> Review | None:
    try:
        return parse_review(json.dumps(said).encode(), "a review")
    except (ReviewError, ValueError):
        return None


def _line(said: dict[str, Any], counts: bool) -> str:
    """Who said what, and when."""
    words = Counter(str(one.get("verdict")) for one in said.get("regions") or ())
    what = [f"{number} region{'s' * (number != 1)} {_words(word)}" for word, number in words.items()]
    if said.get("severity"):
        what.append(f"severity {_words(str(said['severity'].get('verdict')))}")
    for key, name in (("missed", "missed region"), ("brushed", "brush stroke")):
        number = len(said.get(key) or ())
        what += [f"{number} {name}{'s' * (number != 1)}"] if number else []
    whole = said.get("complete")
    what += ["looked at the whole image"] if whole is True else ["looked at a part of the image"] if whole else []
    fate = " (withdrawn)" if said.get("withdrawn") else "" if counts else " (a later one counts)"
    note = f" Note: {said['note']}" if said.get("note") else ""
    return f"{said.get('ts')}, {said.get('reviewer')}: {', '.join(what) or 'nothing marked'}{fate}.{note}"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")
