"""Changes in, a page with the images that changed most out; both pictures stand beside the words, where they were kept."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from edge.compare.changes import MEASURES, Change, Changes, Side, models_said
from edge.errors import ConfigError
from edge.whole_file import opened_whole

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
body { color: #1b1f24; background: #fff }
pre { background: #f2f4f7; padding: 1rem; overflow-x: auto }
section { border-top: 1px solid #ccd3dc; padding: 1rem 0 } h2 { font-size: 1rem; overflow-wrap: anywhere }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin-top: 1rem } img { width: 100% } figure { margin: 0 }
table { border-collapse: collapse } td, th { padding: 0 1rem 0 0; text-align: right }
th:first-child, td:first-child { text-align: left }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr } }
@media (prefers-color-scheme: dark) { body { color: #e6e9ee; background: #14171b } pre { background: #20252c } }
"""


def write(path: Path, changes: Changes, most: int) -> None:
    """One file that needs no other; raises ConfigError where it cannot be written."""
    shown = changes.changed[:most]
    left = len(changes.changed) - len(shown)
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>What changes</title><style>{_STYLE}</style><h1>What changes from {escape(changes.first.title)} to "
        f"{escape(changes.second.title)}</h1>",
        f"<p>{'; '.join(map(escape, models_said(changes.first, changes.second))) or 'The same models and settings.'}</p>",
        f"<pre>{escape(changes.text())}</pre>",
        *(_section(changes, change) for change in shown),
        f"<p>{left} more changed less.</p>" if left else "",
    ]
    try:
        with opened_whole(path, mode=None) as file:
            file.write("".join(parts).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def _section(changes: Changes, change: Change) -> str:
    page = f", page {change.after['page'] + 1}" if change.after["page"] else ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_number(change.before[name])}</td><td>{_number(change.after[name])}</td></tr>"
        for name in MEASURES
    )
    pictures = "".join(
        _picture(side, row["inspection_id"], words)
        for side, row, words in ((changes.first, change.before, "before"), (changes.second, change.after, "after"))
    )
    one, other = change.answers
    return (
        f"<section><h2>{escape(change.path)}{page}: {escape(one)} → {escape(other)}</h2><table><tr><th></th><th>before</th>"
        f'<th>after</th></tr>{rows}</table><div class="pair">{pictures}</div></section>'
    )


def _picture(side: Side, identity: str, words: str) -> str:
    data = side.picture(identity)
    if data is None:
        return ""
    source = base64.b64encode(data).decode()
    return f'<figure><img alt="{words}" src="data:image/webp;base64,{source}"><figcaption>{words}</figcaption></figure>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
