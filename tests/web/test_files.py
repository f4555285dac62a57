"""The files that browsers get."""

from __future__ import annotations

import re
from pathlib import Path

from edge.web.files import languages, load


def test_only_known_types_below_the_folder_and_each_with_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.js").write_text("1")
    (tmp_path / "c.py").write_text("secret")
    first = load(tmp_path)
    assert list(first) == ["a/b.js"]
    assert first["a/b.js"].media_type.startswith("text/javascript")
    (tmp_path / "a" / "b.js").write_text("2")
    assert load(tmp_path)["a/b.js"].etag != first["a/b.js"].etag


def test_the_page_holds_no_script_or_style_in_its_text_and_asks_nobody_else() -> None:
    page = load()["index.html"].data.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\son\w+=|\sstyle=", page)
    assert not re.search(r"(src|href)=[\"'](https?:)?//", page)


def test_a_language_is_a_file_and_english_stands_first() -> None:
    assert languages(["app.js", "words/de.json", "words/fr.json", "words/en.json"]) == ["en", "de", "fr"]
