"""Reviews in, an adaptation file out: what `edge-teach` does; and a file into the state folder, `edge-teach install`."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from edge.config import CommandSettings
from edge.errors import ConfigError
from edge.inspection.taught_file import encode
from edge.inspection.taught_shelf import STATE, keep, path_of
from edge.teach.reviews import read_reviews
from edge.teach.severity import parse_classes
from edge.teach.teach import Lesson, teach
from edge.whole_file import write_whole


def run(reviews: Path, images: Path, out: Path, settings: CommandSettings, *, as_json: bool, classes: str = "") -> int:
    """Teach and write `out`; 1 and nothing written where it does not help. Raises ConfigError, ModelError, BackendError.

    classes: of severities, "NAME=LABEL,…" in rising order; empty where the reviews say it.
    """
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder: name a file in it")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out.absolute().parent} is no folder: make it first, or name another file")
    lesson = teach(read_reviews(reviews), images, settings, parse_classes(classes) if classes else ())
    for line in lesson.told:
        print(f"edge-teach: {line}", file=sys.stderr)
    if lesson.file is not None:
        kept = _write(out, encode(lesson.file))
        if kept is not None:
            print(f"edge-teach: the earlier {out.name} is kept as {kept.name}", file=sys.stderr)
    if as_json:
        document = {
            "schema": "edge.lesson/1",
            "before": lesson.before,
            "after": lesson.after,
            "how": lesson.how,
            "counts": lesson.counts,
            "written": str(out) if lesson.file else None,
            "told": list(lesson.told),
        }
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(describe(lesson, out))
    return 0 if lesson.file else 1


def describe(lesson: Lesson, out: Path) -> str:
    """What came of it, for people."""
    lines = [f"how: {lesson.how}"]
    if (counts := lesson.counts) is not None:
        gone, lost = f"{counts['struck_gone']} of {counts['struck']}", f"{counts['accepted_lost']} of {counts['accepted']}"
        lines.append(f"  {gone} struck regions gone, {lost} accepted ones lost")
    for name, after in lesson.after.items():
        before: dict[str, Any] = lesson.before.get(name, {})
        lines += [f"  {name} {measure}: {before.get(measure)} -> {value}" for measure, value in after.items()]
    if lesson.file is None:
        return "\n".join([*lines, "nothing was written: this does not help"])
    lines.append(f"written: {out}" + (" (provisional: review a second image)" if lesson.file.provisional else ""))
    return "\n".join([*lines, f'to use it: [models] taught = "{out}"'])


def _write(path: Path, data: bytes) -> Path | None:
    """Whole or not at all. What was there under this name is kept beside it; returns where."""
    kept: Path | None = None
    try:
        if path.exists():
            earlier = path.read_bytes()
            if earlier == data:
                return None
            kept = next(free for n in count(1) if not (free := path.with_name(f"{path.name}.{n}")).exists())
            write_whole(kept, earlier, mode=0o644)
        write_whole(path, data, mode=0o644)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
    return kept


def install(file: Path, settings: CommandSettings) -> int:
    """Keep an adaptation in the state folder; 0. Raises ModelError where it does not fit, ConfigError where it cannot be."""
    state = settings.state.folder
    if not state.is_dir():
        raise ConfigError(f"{state} is no folder: the service makes it at its first start (state.folder)")
    try:
        taught = keep(state, file, settings)
    except OSError as error:
        raise ConfigError(f"{file} cannot be kept in {state}: {error.strerror or error}; run as the service's user") from error
    print(f"kept: {path_of(state, taught.sha256)}")
    if settings.models.taught != STATE:
        print(f'to choose it by command: [models] taught = "{STATE}", and restart')
    print(f'to use it: the command taught with {{"sha256": "{taught.sha256}"}}')
    return 0
