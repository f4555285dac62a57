"""A refusal of pydantic in, our own sentence out: what a value must be, and what it was.

Below all rooms: whoever checks a document against a form says here what is wrong with it. No sentence of the library
reaches a person, also none of a kind that a later version adds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ValidationError

MOST_SHOWN: Final = 80
"""Characters of a value that a sentence repeats."""

_OF_THE_FORM: Final = re.compile(r"(literal|function-[a-z]+|tuple|list|dict|nullable|constrained-[a-z]+)\[.*|([A-Z][a-z]+){2,}")
"""Parts of a place that name no key: which of several forms pydantic had tried there."""

_PATTERNS: Final[Mapping[str, str]] = {
    r"^[0-9a-f]{64}$": "must be a SHA-256: 64 of the digits 0-9 and a-f",
    r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$": "must be a UUID in lower case",
}
"""What a person knows by a name."""

_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_sub_type": "must be text",
    "string_unicode": "must be text in UTF-8",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have the form {pattern}",
    "string_not_ascii": "must be plain ASCII text",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "iterable_type": "must be a list",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "dict_type": "must be a table of keys and values",
    "mapping_type": "must be a table of keys and values",
    "model_type": "must be a table of keys and values",
    "model_attributes_type": "must be a table of keys and values",
    "dataclass_type": "must be a table of keys and values",
    "dataclass_exact_type": "must be a table of keys and values",
    "invalid_key": "has a key that is no text",
    "path_type": "must be a path, as text",
    "date_type": "must be a date such as 2026-05-02",
    "date_parsing": "must be a date such as 2026-05-02",
    "date_from_datetime_parsing": "must be a date such as 2026-05-02",
    "date_from_datetime_inexact": "must be a date without a time, such as 2026-05-02",
    "datetime_type": "must be a time such as 2026-05-02T08:30:00Z",
    "datetime_parsing": "must be a time such as 2026-05-02T08:30:00Z",
    "datetime_from_date_parsing": "must be a time such as 2026-05-02T08:30:00Z",
    "datetime_object_invalid": "must be a time such as 2026-05-02T08:30:00Z",
    "timezone_aware": "must be a time with its zone, such as 2026-05-02T08:30:00Z",
    "timezone_offset": "must be a time with its zone, such as 2026-05-02T08:30:00Z",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "uuid_version": "must be a UUID of version {expected_version}",
    "none_required": "must be null",
    "union_tag_invalid": "must be of a known kind: {expected_tags}",
    "union_tag_not_found": "does not say of which kind it is",
    "recursion_loop": "holds itself",
    "json_type": "must be JSON",
}
"""What a value must be, by the type of pydantic's error; the braces are filled from what the error tells besides."""


def sentences(error: ValidationError, whole: str, form: type[BaseModel] | None = None) -> list[str]:
    """Every problem as `place: sentence`. whole: what the place is called that has no name.

    form: what was checked against, to name the keys that are known where one is not.
    """
    return [sentence(dict(problem), whole, form) for problem in error.errors(include_url=False)]


def sentence(problem: Mapping[str, Any], whole: str, form: type[BaseModel] | None = None) -> str:
    """One entry of pydantic's `errors()` as `place: sentence (got value)`. Parameters as in `sentences`."""
    where = ".".join(str(part) for part in problem["loc"] if not _OF_THE_FORM.fullmatch(str(part))) or whole
    kind, value = problem["type"], problem.get("input")
    if kind == "json_invalid":
        return f"{where}: is no JSON{_position(str((problem.get('ctx') or {}).get('error', '')))}"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_keys(form, problem["loc"])
        near = get_close_matches(str(problem["loc"][-1]), known, 1)
        meant = f", perhaps {near[0]}" if near else ""
        return f"{where}: unknown key{meant}" + (f"; known here: {', '.join(known)}" if known else "")
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}: missing"
    return f"{where}: {_must(problem)}{_hint(kind, value)}{_got(value)}"


def shown(value: object) -> str:
    """A value as it is written in TOML and JSON, cut to a length that fits into a sentence."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif value is None:
        text = "null"
    elif isinstance(value, date):
        text = value.isoformat()
    else:
        try:
            text = repr(value)
        except ValueError:  # Python writes no whole number of so many digits
            text = "a number of thousands of digits"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def not_json(error: ValueError) -> str:
    """`not JSON (line 1, column 5)`, from the error of whichever library read it."""
    return f"not JSON{_position(str(error))}"


def form_of(pattern: str, wanted: str) -> AfterValidator:
    """Text that must match the pattern as a whole. wanted: the sentence for one that does not."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(wanted)
        return text

    return AfterValidator(check)


def as_annotated(value: Any, annotation: Any) -> Any:
    """A value as TOML or a caller writes it in the type that its field has: lists, paths, dates, NumPy's numbers.

    Everything else stays as it is, for a strict form to refuse: "yes" is no `true`, and 5.0 no whole number.
    """
    wanted = (annotation, *get_args(annotation))
    if isinstance(value, list) and get_origin(annotation) is tuple:
        return tuple(value)
    if isinstance(value, str) and Path in wanted:
        return Path(value)
    if isinstance(value, str) and date in wanted:
        with suppress(ValueError):
            return date.fromisoformat(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def _must(problem: Mapping[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):  # raised by our own validators, in our own words
        return str(context.get("error", "cannot stand here"))
    if known := _PATTERNS.get(str(context.get("pattern"))):
        return known
    template = _SENTENCES.get(kind, "cannot stand here")
    try:
        told = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
        return template.format(**told).replace("at least 1 characters", "at least 1 character")
    except (KeyError, IndexError):  # a version of the library that tells less
        return "cannot stand here"


_WRITTEN_BARE: Final[Mapping[str, Callable[[str], bool]]] = {
    "bool_type": lambda text: text.strip().lower() in ("true", "false", "yes", "no", "on", "off", "1", "0"),
    "int_type": lambda text: re.fullmatch(r"\s*[+-]?\d+\s*", text) is not None,
    "float_type": lambda text: re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?(e[+-]?\d+)?\s*", text, re.IGNORECASE) is not None,
}


def _hint(kind: str, value: object) -> str:
    """What people most often do wrong: quotes around a number, a point in a whole one."""
    bare = _WRITTEN_BARE.get(kind)
    if bare is not None and isinstance(value, str) and bare(value):
        return ", without quotes"
    if kind in ("int_type", "int_from_float") and isinstance(value, float):
        return ", without a point"
    return ""


def _got(value: object) -> str:
    return "" if isinstance(value, Mapping | BaseModel) else f" (got {shown(value)})"


def _position(told: str) -> str:
    """Where the reader stopped, from a library's sentence; empty where it does not say."""
    found = re.search(r"line (\d+) column (\d+)", told)
    return f" (line {found[1]}, column {found[2]})" if found else ""


def _known_keys(form: type[BaseModel] | None, location: tuple[Any, ...]) -> list[str]:
    inner: Any = form
    for key in location[:-1]:
        field = inner.model_fields.get(str(key)) if _is_form(inner) else None
        inner = field.annotation if field else None
    return sorted(field.alias or name for name, field in inner.model_fields.items()) if _is_form(inner) else []


def _is_form(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
