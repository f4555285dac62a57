"""Errors are what each boundary can catch by one name, and cross into another process whole."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

from edge import errors
from edge.errors import FAILURE_CODES, EdgeError, ImageError, StateError, StateFullError, in_words
from tests import ROOT


def test_every_error_is_caught_as_one() -> None:
    named = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(named) == 9
    assert all(issubclass(error, EdgeError) for error in named)
    assert issubclass(StateFullError, StateError)


def test_every_failure_code_is_in_the_published_schema_and_no_other() -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "failure.json").read_text())
    (codes,) = (found for found in enumerations(schema) if "not_an_image" in found)
    assert sorted(codes) == sorted(FAILURE_CODES)


def enumerations(schema: object) -> list[list[str]]:
    """Every list of allowed values in a JSON schema."""
    if isinstance(schema, list):
        return [found for part in schema for found in enumerations(part)]
    if not isinstance(schema, dict):
        return []
    return [*([schema["enum"]] if "enum" in schema else []), *enumerations(list(schema.values()))]


@pytest.mark.parametrize("code", FAILURE_CODES)
def test_an_image_error_keeps_code_and_message_when_it_is_pickled(code: errors.FailureCode) -> None:
    copy = pickle.loads(pickle.dumps(ImageError(code, "what, and what to do")))
    assert (copy.code, copy.message, str(copy)) == (code, "what, and what to do", "what, and what to do")


def refuse() -> None:
    raise ImageError("too_large", "16 GiB are over the limit")


def test_an_image_error_of_another_process_arrives_whole() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, pytest.raises(ImageError) as caught:
        pool.submit(refuse).result()
    assert (caught.value.code, caught.value.message) == ("too_large", "16 GiB are over the limit")


class UnspeakableError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("nor this")

    __str__ = __repr__


def test_an_error_that_cannot_even_be_printed_is_told_by_its_kind() -> None:
    assert in_words(ValueError("why")) == "ValueError('why')"
    assert in_words(UnspeakableError()) == "UnspeakableError (it cannot be printed)"
