"""A page in another language than English leaves no sentence of the server, the service or the teacher in English."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.service.cures import CURES, UNKNOWN
from edge.web.files import PAGE
from edge.web.journal_source import INDEX_CURE
from edge.web.sessions import TooOftenError
from tests.service.test_cures import ELSEWHERE, away, raised, reported, starting
from tests.web.sentences import lessons, refusals

LANGUAGES = [file for file in sorted(PAGE.glob("words/*.json")) if file.stem != "en"]


def table(language: Path) -> dict[str, str]:
    return dict(json.loads((PAGE / "sentences" / language.name).read_text(encoding="utf-8")))


def known(text: str, sentences: dict[str, str]) -> bool:
    """As `sentences.js` looks: the whole, else each part."""
    if text == "x":  # what is put in
        return True
    patterns = [".*?".join(map(re.escape, sentence.split("{}"))) for sentence in sentences]
    if any(re.fullmatch(pattern, text, re.DOTALL) for pattern in patterns):
        return True
    return "; " in text and all(known(part, sentences) for part in text.split("; "))


def told() -> dict[str, set[str]]:
    return {
        "cures": {*(cure for _, cure in CURES), UNKNOWN, INDEX_CURE},
        "reasons": {*reported(), *raised(), *away(), *ELSEWHERE, *starting()},
        "refusals": {*refusals(), str(TooOftenError(5))},
        "lessons": lessons(),
    }


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda file: file.stem)
@pytest.mark.parametrize("kind", ["cures", "reasons", "refusals", "lessons"])
def test_no_sentence_lacks_a_translation(language: Path, kind: str) -> None:
    sentences, texts = table(language), told()[kind]
    assert len(texts) > 5, "they are looked for in the source"
    assert sorted(text for text in texts if not known(text, sentences)) == []


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda file: file.stem)
def test_a_translation_says_what_was_put_in_and_nothing_else(language: Path) -> None:
    for sentence, other in table(language).items():
        places = {str(at + 1) for at in range(sentence.count("{}"))}
        assert set(re.findall(r"\{(\d)\}", other)) == places, sentence
        assert "{}" not in other


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda file: file.stem)
def test_no_row_is_left_over(language: Path) -> None:
    texts = set().union(*told().values()) | {"x left out: x", "it is still starting, for the machine is busy"}
    rows = [sentence for sentence in table(language) if sentence not in NAMED_ELSEWHERE]
    assert [row for row in rows if not any(known(text, {row: ""}) or row in text for text in texts)] == []


NAMED_ELSEWHERE = {
    ", or go back to the copy that was made when it was replaced: cd {} && mkdir newer && mv journal.sqlite3* newer/"
    " && mv newer/{} journal.sqlite3; images since then are inspected again",
    "a proxy must pass the Host header on as it is",
    "always saying the commonest class",
    "the untaught verdict",
    "the journal was not looked at yet",
    "this does not help, so nothing was written",
    "there is no review to learn from: mark some regions first",
    "{} left out: the image is not kept: it was changed or removed before the review was stored",
    "{} left out: other models had found the regions: inspect the image again and review that",
    "{} left out: another version of the product wrote it",
}
"""What is put together where the collector does not look."""
