"""Numbers and names of pictures in, cells, tables and figures of HTML out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from training.score.evaluation import Number, Numbers


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], paper: Iterable[Sequence[str]] = ()) -> str:
    """Cells are HTML. paper: the rows that the paper prints, its label marked."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(_tr(row, "") for row in rows)
    body += "".join(_tr((f"paper: {row[0]}", *row[1:]), ' class="paper"') for row in paper)
    title = f"<caption>{caption}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _tr(row: Sequence[str], attributes: str) -> str:
    cells = "".join(f"<td>{cell}</td>" for cell in row[1:])
    return f'<tr{attributes}><th scope="row">{row[0]}</th>{cells}</tr>'


def number_row(title: str, numbers: Numbers, names: Sequence[str]) -> list[str]:
    """A row's title, and the cells of the numbers by these names."""
    return [escape(title), *(cell(numbers.get(name)) for name in names)]


def cell(number: Number | None) -> str:
    """A number in per cent with its spread and interval; a dash where it is not defined."""
    if number is None or number.value is None:
        return "–"
    text = f"<b>{100 * number.value:.1f}</b>"
    if number.spread is not None:
        text += f" ± {100 * number.spread:.1f}"
    if number.low_95 is not None and number.high_95 is not None:
        text += f' <span class="small">[{100 * number.low_95:.1f}, {100 * number.high_95:.1f}]</span>'
    return text


def percent(value: float | None) -> str:
    """With one digit after the point; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def figure(name: str, caption: str) -> str:
    """A plot, which the page inverts where it is dark."""
    return _image(name, caption, "plot")


def photo(name: str, caption: str) -> str:
    """A picture with images in it, which stays as it is."""
    return _image(name, caption, "photo")


def _image(name: str, caption: str, kind: str) -> str:
    text = escape(caption)
    return f'<figure><img class="{kind}" src="{escape(name)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5a646e; --paper: #ffffff; --line: #d8dde2; --tint: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9aa5b0; --paper: #14181c; --line: #333b43; --tint: #1c2228; }
  img.plot { filter: invert(0.92) hue-rotate(180deg); }
}
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.note { background: var(--tint); border-left: 3px solid var(--soft); padding: .6rem .9rem; }
.small { font-size: .8em; color: var(--soft); overflow-wrap: anywhere; }
td .small { white-space: nowrap; }
.wide { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 500; }
tr.paper { color: var(--soft); font-style: italic; background: var(--tint); }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; } figcaption { color: var(--soft); font-size: .9rem; }
dt { font-weight: 500; font-size: .9rem; } dd { margin: 0 0 .4rem 1rem; color: var(--soft); font-size: .9rem; }
"""
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
