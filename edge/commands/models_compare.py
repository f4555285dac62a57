"""What a candidate said beside the present models in; a table, a page and a list of what it says otherwise out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edge.compare import page
from edge.compare.changes import Changes, Row, Side, compared
from edge.errors import ConfigError
from edge.fleet.release import SHORT
from edge.fleet.shelf import Shelf
from edge.journal import shadowed
from edge.journal.shadowed import Compared, Shadowed, Summary


def compare(state: Path, typed: str | None, *, out: Path | None, csv: Path | None, most: int) -> None:
    """Print what changes with a candidate; out: a page of it, csv: every image that changed.

    typed: how a release's id begins, None for the candidate.  most: images on the page.
    Raises ConfigError where nothing was compared or a file cannot be written, StateError.
    """
    changes = changes_of(state, release_of(state, typed))
    print(changes.text())
    if csv is not None:
        changes.write_csv(csv)
    if out is not None:
        page.write(out, changes, most)


def changes_of(state: Path, release_id: str) -> Changes:
    """Image by image what the release says otherwise than the models in use then. Raises ConfigError, StateError."""
    if release_id not in shadowed.kept(state):
        raise ConfigError(f"release {release_id[:SHORT]} was not run beside the models in use yet: see `edge-models list`")
    with Shadowed.view(state, release_id) as rows:
        both, pairs = rows.compared(), rows.rows()
        if both is None or not pairs:
            raise ConfigError(f"release {release_id[:SHORT]} has not judged an image yet: see `edge-models list`")
        first = _side(rows, "before", both[0], "the models in use")
        second = _side(rows, "after", both[1], f"release {release_id[:SHORT]}")
        before, after = zip(*pairs, strict=True)
        return compared(first, second, before, after, _id)


def release_of(state: Path, typed: str | None) -> str:
    """The id that begins so, of the releases that were run beside; None: the candidate's, or else the newest's.

    Raises ConfigError, ModelError.
    """
    kept = shadowed.kept(state)
    if typed is None:
        candidate = Shelf(state).standing().candidate
        if candidate is None and not kept:
            raise ConfigError(f"{state} has no release that was run beside the models in use: fleet.shadow has to be true")
        return candidate or kept[0]
    found = [one for one in kept if typed and one.startswith(typed.lower())]
    if len(found) != 1:
        told = ", ".join(one[:SHORT] for one in kept) or "none"
        raise ConfigError(f"{'several releases begin' if found else 'no release begins'} with {typed!r}; there are: {told}")
    return found[0]


def summary_of(state: Path, release_id: str) -> Summary | None:
    """What came of a release beside the models in use; None where it was not run so. Raises StateError."""
    if release_id not in shadowed.kept(state):
        return None
    with Shadowed.view(state, release_id) as rows:
        return rows.summary()


def words(summary: Summary) -> str:
    """The same for people, on one line."""
    told = f"beside the models in use: {summary.compared} images"
    if summary.agreement is not None:
        told += f", the same severity in {summary.agreement:.1%}"
    if summary.area_change is not None:
        told += f", area fraction {summary.area_change:+.4f} (median)"
    return told + f"; {summary.skipped} skipped, {summary.failed} failed"


def _side(rows: Shadowed, which: Literal["before", "after"], side: Compared, title: str) -> Side:
    return Side(title, title, side.models, side.settings_sha256, lambda identity: rows.picture(identity, which))


def _id(row: Row) -> str:
    return str(row["inspection_id"])
