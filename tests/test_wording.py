"""What is refused is refused in our own words: no sentence of pydantic's is left, in no field of any form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import core_schema

from edge.config import CommandSettings, load_for_command, parse
from edge.errors import ConfigError
from edge.models.card import ModelCard
from edge.teach.reviews import parse_review
from edge.wire.command import decode_command
from edge.wire.documents import COMMANDS
from edge.wording import as_annotated, sentence, sentences, shown

WRONG: list[Any] = [
    True, False, 0, 1, -1, 10**30, 1.0, 0.5, -0.5, float("nan"), float("inf"), "", "yes", "true", "5", "0.5", "x" * 5000,
    "a\nb", "#", "$x/+", "ü", "\udcff", [], ["a"], [1], [True], [[]], ["a", 1], {}, {"a": 1}, {"class": 3}, date(2026, 5, 2),
    datetime(2026, 5, 2, 8, 30, tzinfo=timezone.utc),
]  # fmt: skip

LIBRARYS = re.compile(
    r"\bInput\b|\binput (is|should)|[Vv]alid(?!$)|pydantic|permitted|should|Field required|parsing|instance"
    r"|errors\.|type=|Value error"
)


def fields(form: type[BaseModel] = CommandSettings, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in form.model_fields.items():
        here = (*place, field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, here)
        yield here


@pytest.mark.parametrize("place", list(fields()), ids=".".join)
def test_no_sentence_of_the_library_is_left_for_any_key_of_the_configuration(place: tuple[str, ...]) -> None:
    for value in [*WRONG, None]:
        raw: Any = value
        for key in reversed(place):
            raw = {key: raw}
        try:
            parse({"watch": {"folder": "/a"}} | raw, {})
        except ConfigError as error:
            told = "\n".join(line for line in str(error).splitlines() if not line.lstrip().startswith("watch.folder: missing"))
            about = re.sub(r"\(got .*|no regular expression.*", "", told)
            assert not LIBRARYS.search(about), told
            assert all(len(line) < 600 for line in told.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sentence_of_the_library_answers_a_command(command: str) -> None:
    payloads = [b"{", b"", b"[]", b"7", b'"x"', b'{"nonsense": 1}', b'{"request_id": 5}', b"\xff"]
    keys = [field.alias or name for name, field in COMMANDS[command].model_fields.items()]
    payloads += [
        f'{{"{key}": {value}}}'.encode() for key in keys for value in ("null", "true", "-1", '"x"', "[]", "{}", "1e99")
    ]
    answers = [_answer(command, payload) for payload in payloads]
    assert not [answer for answer in answers if LIBRARYS.search(re.sub(r"\(got .*?\)", "", answer))]


def _answer(command: str, payload: bytes) -> str:
    try:
        decode_command(command, payload)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("line", [b"{", b"[1,", b'{"schema": "edge.review/1"}', b'{"schema": "edge.review/1", "complete": 3}'])
def test_no_sentence_of_the_library_refuses_a_review(line: bytes) -> None:
    with pytest.raises(Exception, match="line 3") as caught:
        parse_review(line, "line 3")
    assert not LIBRARYS.search(re.sub(r"\(got .*?\)", "", str(caught.value))), caught.value


def test_a_card_says_what_it_lacks() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelCard.model_validate_json('{"sha256": "abc"}')
    told = sentences(caught.value, "the file", ModelCard)
    assert "sha256: must be a SHA-256: 64 of the digits 0-9 and a-f (got 'abc')" in told
    assert not LIBRARYS.search(" ".join(told))


def test_every_kind_of_error_of_the_library_has_words_of_ours() -> None:
    limits = ["min_length", "max_length", "gt", "ge", "lt", "le", "multiple_of"]
    context = dict.fromkeys([*limits, "error", "pattern", "expected", "expected_version", "expected_tags"], "3")
    for kind in get_args(core_schema.ErrorType):
        for told in (context, {}, None):
            text = sentence({"type": kind, "loc": ("a", 0), "input": "b", "ctx": told, "msg": "Input should be nice"}, "all")
            assert text.startswith("a.0: ")
            assert not LIBRARYS.search(text), text


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("mqtt", "tls", "yes", "mqtt.tls: must be true or false, without quotes (got 'yes')"),
        ("mqtt", "tls", 1, "mqtt.tls: must be true or false (got 1)"),
        ("mqtt", "port", "1883", "mqtt.port: must be a whole number, without quotes (got '1883')"),
        ("mqtt", "port", 1883.0, "mqtt.port: must be a whole number, without a point (got 1883.0)"),
        ("mqtt", "port", True, "mqtt.port: must be a whole number (got true)"),
        ("inspect", "confidence", True, "inspect.confidence: must be a number (got true)"),
        ("inspect", "confidence", "0.5", "inspect.confidence: must be a number, without quotes (got '0.5')"),
        ("inspect", "confidence", 3, "inspect.confidence: must be less than 1 (got 3)"),
        ("inspect", "stages", "all", "inspect.stages: must be 'both', 'segment' or 'classify' (got 'all')"),
        ("device", "id", 5, "device.id: must be text (got 5)"),
        ("device", "id", "a/b", "device.id: cannot hold /, +, # or control characters, nor begin with $ (got 'a/b')"),
        ("device", "scale_checked", "2026-99-99", "device.scale_checked: must be a date such as 2026-05-02 (got '2026-99-99')"),
        ("watch", "patterns", "*.tif", "watch.patterns: must be a list (got '*.tif')"),
        ("watch", "patterns", [5], "watch.patterns.0: must be text (got 5)"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_it_must_be(section: str, key: str, value: object, sentence: str) -> None:
    raw: dict[str, Any] = {"watch": {"folder": "/a"}}
    raw.setdefault(section, {})[key] = value
    with pytest.raises(ConfigError) as caught:
        parse(raw, {})
    assert sentence in str(caught.value)


@pytest.mark.parametrize("section", ["mqtt", "watch", "severity"])
def test_a_section_that_is_no_table_is_told_so(section: str) -> None:
    with pytest.raises(ConfigError, match=rf"{section}: must be a table of keys and values \(got 5\)"):
        parse({"watch": {"folder": "/a"}, section: 5}, {})


def test_the_environment_may_write_values_bare_and_names_of_digits() -> None:
    environment = {
        "EDGE_DEVICE__ID": "7",
        "EDGE_MQTT__USERNAME": "2026-05-02",
        "EDGE_MQTT__TLS": "true",
        "EDGE_MQTT__PORT": "8883",
    }
    settings = parse({"watch": {"folder": "/a"}}, environment | {"EDGE_STATE__FOLDER": "123"})
    assert (settings.device.id, settings.mqtt.username, str(settings.state.folder)) == ("7", "2026-05-02", "123")
    assert (settings.mqtt.tls, settings.mqtt.port) == (True, 8883)
    with pytest.raises(ConfigError, match=r"mqtt\.tls: must be true or false, without quotes \(got 'yes'\)"):
        parse({"watch": {"folder": "/a"}}, {"EDGE_MQTT__TLS": "yes"})


@pytest.mark.parametrize("place", [place for place in fields() if len(place) == 2], ids=".".join)
def test_a_command_takes_a_file_with_one_key_alone(place: tuple[str, str], tmp_path: Path) -> None:
    value: Any = CommandSettings()
    for key in place:
        value = getattr(value, {"class": "class_"}.get(key, key))
    if value is None:
        given = {"watch.folder": "/x", "device.scale_checked": "2026-05-02", "device.scale_uncertainty": 0.02}
        value = given.get(".".join(place), "name" if place[1].startswith("sparkplug_") else 128)
    text = "{}" if isinstance(value, BaseModel) else json.dumps(value, default=str)  # such of JSON is TOML, too
    file = tmp_path / "edge.toml"
    file.write_text(f"[{place[0]}]\n{place[1]} = {text}\n", encoding="utf-8")
    load_for_command(file, {})


def test_a_value_is_shown_as_it_is_written_and_cut() -> None:
    assert [shown(value) for value in (True, None, "a", 1.5, date(2026, 5, 2))] == ["true", "null", "'a'", "1.5", "2026-05-02"]
    assert len(shown("x" * 999)) == 80
    assert "thousands" in shown(10**9999)


def test_numbers_of_numpy_are_numbers() -> None:
    assert as_annotated(np.float32(0.5), float) == 0.5
    assert isinstance(as_annotated(np.int64(3), int), int)
