"""A CSV file of what is known about each image in; more columns for the rows of the report out."""

from __future__ import annotations

import csv
import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from edge.errors import ConfigError
from edge.report.table import COLUMNS, OF_THE_ANALYSIS, OF_THE_SAMPLE

NAMES: Final = OF_THE_SAMPLE
GIVEN: Final = (*NAMES, "annealing_min", "exposure_h")
SELECTIONS: Final = ("systematic", "random", "operator")


def join(file: Path, paths: list[str]) -> tuple[dict[str, dict[str, Any]], tuple[str, ...], tuple[str, ...]]:
    """What the file says of each path, the names of process parameters, and sentences on what did not fit.

    The column `image` holds a name, a path or a pattern with `*`; columns other than `NAMES` are numbers. Raises
    ConfigError, with the row, for what cannot be meant: two rows on one image, a name that two images bear, no number.
    """
    header, lines = _read(file)
    joined: dict[str, dict[str, Any]] = {}
    by_row: dict[str, int] = {}
    notes = []
    for number, line in lines:
        meant = _meant(line.get("image") or "", paths, f"{file}, row {number}")
        if not meant:
            notes.append(f"{file.name}, row {number}: no image is called {line.get('image')!r}.")
        values = _values(line, f"{file}, row {number}")
        for path in meant:
            if path in joined:
                raise ConfigError(f"{file}, row {number}: {path} has row {by_row[path]} already")
            joined[path], by_row[path] = values, number
    left = sum(path not in joined for path in set(paths))
    if left:
        notes.append(f"{file.name} says nothing of {left} of {len(set(paths))} images.")
    parameters = tuple(name for name in header if name not in ("image", *GIVEN))
    return joined, parameters, tuple(notes)


def _read(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey="")
            header = [name.strip() for name in reader.fieldnames or ()]
            if "image" not in header:
                raise ConfigError(f"{file}: the first row needs a column `image`")
            if len(set(header)) < len(header):
                raise ConfigError(f"{file}: two columns have the same name")
            taken = set(header) & (set(COLUMNS) | OF_THE_ANALYSIS) - set(GIVEN)
            if taken:
                raise ConfigError(f"{file}: {', '.join(sorted(taken))}: the report has a column of this name itself")
            reader.fieldnames = header
            lines: list[tuple[int, dict[str, str | None]]] = []
            for number, line in enumerate(reader, 2):
                if "" in line:
                    raise ConfigError(f"{file}, row {number}: more values than columns")
                lines.append((number, line))
    except (OSError, UnicodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file} cannot be read as CSV in UTF-8: {why}") from error
    return header, lines


def _meant(image: str, paths: list[str], where: str) -> list[str]:
    """The paths that a row speaks of."""
    image = image.strip().replace("\\", "/")
    if not image:
        raise ConfigError(f"{where}: `image` is empty")
    known = sorted(set(paths))
    if image in known:
        return [image]
    if "/" in image:
        return [path for path in known if fnmatchcase(path, image)]
    found = [path for path in known if fnmatchcase(path.rsplit("/", 1)[-1], image)]
    if len(found) > 1 and not any(sign in image for sign in "*?["):
        raise ConfigError(f"{where}: {image!r} is the name of {len(found)} images ({', '.join(found[:3])}): write the path")
    return found


def _values(line: dict[str, str | None], where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in line.items():
        text = (text or "").strip()
        if name == "image" or not text:
            continue
        if name not in NAMES:
            values[name] = _number(text, f"{where}: {name}")
            continue
        if name == "field_selection" and text not in SELECTIONS:
            raise ConfigError(f"{where}: field_selection {text!r} is none of {', '.join(SELECTIONS)}")
        values[name] = text
    return values


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where} {text!r} is no number")
    return value
