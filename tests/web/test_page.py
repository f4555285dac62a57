"""The files of the page: every word in every language, nothing that could turn a file name into markup, nobody outside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.errors import FAILURE_CODES
from edge.records import REASONS
from edge.web.files import PAGE

SCRIPTS = [*PAGE.glob("*.js"), *PAGE.glob("rooms/*.js")]
LANGUAGES = sorted(PAGE.glob("words/*.json"))
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", 'setAttribute("on')


def words(file: Path) -> dict[str, str]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def text_of_scripts() -> str:
    return "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)


def test_every_language_has_every_key_with_the_same_values() -> None:
    english = words(PAGE / "words" / "en.json")
    for file in LANGUAGES:
        other = words(file)
        assert other.keys() == english.keys(), file.name
        for key, text in english.items():
            assert set(re.findall(r"\{(\w+)\}", other[key])) == set(re.findall(r"\{(\w+)\}", text)), (file.name, key)


def test_every_key_that_a_script_says_is_in_the_table_and_none_is_left_over() -> None:
    text = text_of_scripts()
    known = words(PAGE / "words" / "en.json")
    said = set(re.findall(r'"([a-z]+\.[a-z0-9_]+)"', text))
    groups = {key.partition(".")[0] for key in known}
    assert {key for key in said if key.partition(".")[0] in groups} <= known.keys()
    built = set(re.findall(r"`([a-z]+\.[a-z_]*)\$", text)) | set(re.findall(r'"([a-z]+\.)"', text))
    unused = {key for key in known if key not in said and not any(key.startswith(start) for start in built)}
    assert unused == set()


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda path: path.stem)
def test_every_reason_and_failure_of_the_service_is_said_in_every_language(language: Path) -> None:
    codes = {f"reason.{code}" for code in REASONS} | {f"failure.{code}" for code in FAILURE_CODES}
    assert {key for key in words(language) if key.startswith(("reason.", "failure."))} == codes


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_texts_stay_texts(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    for forbidden in FORBIDDEN:
        assert forbidden not in text, forbidden
    assert not re.search(r"setAttribute\(\s*[\"']style", text)


def test_the_page_asks_nobody_outside_and_holds_no_script_or_style_of_its_own() -> None:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", index)
    for file in (PAGE / "index.html", PAGE / "style.css", *SCRIPTS):
        for address in re.findall(r"https?://[^\s\"'`)]+", file.read_text(encoding="utf-8")):
            assert address == "http://www.w3.org/2000/svg", (file.name, address)


def test_what_is_bundled_has_its_licence_and_the_whole_is_small() -> None:
    for folder in (PAGE / "vendor").iterdir():
        assert (
            "MIT" in (folder / "LICENSE.txt").read_text()
            or "Permission is hereby granted" in (folder / "LICENSE.txt").read_text()
        )
    assert sum(file.stat().st_size for file in PAGE.rglob("*") if file.is_file()) < 250_000
