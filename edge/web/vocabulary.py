"""What reviewers and adaptations call things in, the names that a reviewer chooses from out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from edge.errors import ReviewError
from edge.records import SEVERITIES
from edge.teach.reviews import BACKGROUND, CANNOT_TELL, Review, plain
from edge.teach.severity import STANDS_FOR
from edge.web.source import Facts

MOST_NAMES: Final = 30
"""So many can be offered on a page."""
LONGEST_NAME: Final = 100
_PARTED_BY: Final = (",", "=")
"""What parts the classes on the command line of edge-teach."""


def severities(adaptations: Iterable[Mapping[str, Any]], reviews: Iterable[Review]) -> list[Facts]:
    """What fields are said to be: `name`, `label` that it stands for or None, `images` of which counting reviews say it.

    adaptations: what adaptation files hold; the classes of the first one come first, in its order, which rises.
    reviews: those that count.  What they name and no adaptation knows comes last.
    """
    found: dict[str, Facts] = {}
    for told in adaptations:
        for one in _classes_of(told):
            found.setdefault(plain(one["name"]), one)
    images: dict[str, set[tuple[str, int]]] = {}
    for review in reviews:
        if review.severity is not None and review.severity.verdict != CANNOT_TELL:
            name = review.severity.verdict
            found.setdefault(plain(name), {"name": name, "label": STANDS_FOR.get(name)})
            images.setdefault(plain(name), set()).add(review.about)
    return [{**one, "images": len(images.get(name, ()))} for name, one in found.items()][:MOST_NAMES]


def classes(known: Sequence[str], reviews: Iterable[Review]) -> list[str]:
    """What regions are called: the classes of the segmenter, then those that reviewers named."""
    found = {plain(name): name for name in known}
    for review in reviews:
        named = [one.class_name for one in review.regions] + [one.class_name for one in review.missed]
        for name in (*named, *(one.class_name for one in review.brushed)):
            if name is not None and name != BACKGROUND:
                found.setdefault(plain(name), name)
    return list(found.values())[:MOST_NAMES]


def spelled(name: str, known: Iterable[Mapping[str, Any]]) -> str:
    """A class as the plant writes it already, so that a capital makes no class of its own.

    Raises ReviewError for a name that edge-teach could not be told the place of.
    """
    if len(name) > LONGEST_NAME or any(sign in name for sign in _PARTED_BY):
        raise ReviewError(f"a class has a name of at most {LONGEST_NAME} letters, without comma and equals sign")
    return next((str(one["name"]) for one in known if plain(str(one["name"])) == plain(name)), name)


def in_order(asked: object) -> str:
    """Classes as `edge-teach --classes` takes them. Raises ReviewError with a sentence for what is none.

    asked: a list of objects with `name` and `label` (low, moderate, severe or null), in rising order.
    """
    if not isinstance(asked, list) or not 2 <= len(asked) <= MOST_NAMES:
        raise ReviewError(f"classes is a list of 2 to {MOST_NAMES}, in rising order, or is left out")
    parts = []
    for one in asked:
        name, label = (one.get("name"), one.get("label")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or not name.strip() or label not in (None, *SEVERITIES):
            raise ReviewError(f"a class has a name, and a label: null or one of {', '.join(SEVERITIES)}")
        parts.append(spelled(name, ()) + (f"={label}" if label else ""))
    return ",".join(parts)


def _classes_of(told: Mapping[str, Any]) -> list[Facts]:
    """Of an adaptation file; nothing of one that teaches no severities."""
    severity = told.get("severity")
    listed = severity.get("classes") if isinstance(severity, dict) else None
    return [
        {"name": one["name"], "label": one.get("label")}
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and isinstance(one.get("name"), str)
    ]
