"""A benchmark's document in, what people read out: a table for the terminal, a picture (SVG) of stages and latencies.

Both are drawn from the document alone, so that they say what the JSON says.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edge.backends.table import libraries

Document = Mapping[str, Any]

WIDTH, LABEL, RIGHT = 960, 250, 30
COLOURS = {
    "read": "#8fb8de",
    "decode": "#4f8fca",
    "letterbox": "#7fc8a9",
    "h2d": "#b7d7c9",
    "segment": "#2f8f6b",
    "masks": "#b6d957",
    "d2h": "#d5e5b0",
    "measure": "#f0c33c",
    "crops": "#f3a361",
    "classify": "#d9603b",
    "encode": "#b58fc9",
    "overlay": "#8a5fa8",
    "rest": "#c4c8cc",
}
INK = "#22262b"
FONT = "font-family='system-ui,-apple-system,Segoe UI,sans-serif'"
BINS = 48
LAYERS_SHOWN = 8
"""Layers in the table; the JSON has all."""
RATIOS = {"same_networks": "the same networks on both sides", "as_shipped": "as shipped"}
"""The two ratios to a rival, in words."""


def table(document: Document) -> str:
    """Everything worth reading at once."""
    lines = [*_head(document)]
    for run in document["scenarios"]:
        lines += ["", *_scenario(run)]
    for profile in document.get("profile") or ():
        lines += ["", *_layers(profile)]
    if document["mqtt"]:
        lines += ["", *_mqtt(document["mqtt"])]
    if document["rival"]:
        lines += ["", *_rival(document["rival"])]
    if document["comparison"]:
        lines += ["", *_comparison(document["comparison"])]
    lines += ["", *(f"warning: {text}" for text in document["warnings"])]
    return "\n".join(lines).rstrip()


def _machine(document: Document) -> Iterator[str]:
    about = document["environment"]
    cpu, gpu = about["cpu"], about["gpu"]
    virtual = ", virtual" if cpu["virtual_machine"] else ""
    yield f"{cpu['model']}, {cpu['cores_usable']} cores{virtual}, {about['memory_mib'] / 1024:.1f} GiB" + (
        f"; {gpu['name']}" if gpu else ""
    )
    if power := about.get("power"):  # results of earlier versions have none
        yield _power(power)
    versions = about["versions"]
    names = [name for name in ("edge", *libraries()) if name in versions]
    yield f"{', '.join(f'{name} {versions[name]}' for name in names)}; {about['date']}"


def _power(power: Document) -> str:
    clocks, gpu = power["cpu_mhz"], power["gpu"]
    parts = [
        f"power mode {power['mode'] or 'unknown'}",
        f"governor {power['governor'] or 'unknown'}",
        f"cores at {clocks['now_min']:.0f} to {clocks['now_max']:.0f} MHz" if clocks else "clocks unknown",
        *([f"GPU at {gpu['clocks_sm']:.0f} MHz"] if gpu and isinstance(gpu.get("clocks_sm"), float) else []),
    ]
    return ", ".join(parts)


def _head(document: Document) -> Iterator[str]:
    yield from _machine(document)
    images = document["images"]
    sizes = sorted({f"{image['width_px']}×{image['height_px']}" for image in images})
    counts = [image["regions"] for image in images]
    regions = f"{sum(counts) / len(counts):.1f} regions an image ({min(counts)} to {max(counts)})"
    yield f"{len(images)} images ({', '.join(sizes)}), {regions}; milliseconds for an image:"


def _scenario(run: Document) -> Iterator[str]:
    yield (
        f"{run['scenario']}, {run['backend']} {run['precision']}: {run['throughput']:.2f} images/s "
        f"({run['images']} images in {run['machine']['wall_s']:.1f} s)"
    )
    yield f"  {'':<10}{'share':>7}{'mean':>10}{'p50':>10}{'p90':>10}{'p95':>10}{'p99':>10}{'p99.9':>10}"
    for name, stage in run["stages"].items():
        if stage is not None:
            yield f"  {name:<10}{stage['share']:>7.1%}{_figures(stage)}"
    latency = run["latency_ms"]
    if latency is not None:
        what = "all" if run["images_a_query"] == 1 else f"{run['images_a_query']} images"
        yield f"  {what:<17}{_figures(latency)}"
    machine = run["machine"]
    parts = [
        f"{machine['cores_used']:.2f} cores used, {machine['cores_used_by_others']:.2f} by others",
        f"peak {machine['peak_rss_mib']:.0f} MiB",
        *(f"{joules:.2f} J an image ({meter})" for meter, joules in run["energy"]["joules_an_image"].items()),
    ]
    yield f"  {'; '.join(parts)}"


def _figures(figures: Document) -> str:
    shown = [figures["mean"], *(figures[name] for name in ("p50", "p90", "p95", "p99", "p99_9"))]
    return "".join(f"{'–' if value is None else f'{value:.2f}':>10}" for value in shown)


def _layers(profile: Document) -> Iterator[str]:
    if profile["reason"]:
        yield f"layers: {profile['reason']}"
    for stage, found in profile["stages"].items():
        rows = found["layers"]
        yield (
            f"layers of {stage}, {profile['backend']} {found['precision']}, input {'×'.join(map(str, found['input']))}: "
            f"{len(rows)} layers, {found['total_ms']:.2f} ms a run; the slowest:"
        )
        yield f"  {'ms':>9}{'share':>7}  kind, name"
        for row in rows[:LAYERS_SHOWN]:
            runs_as = f" ({row['runs_as']})" if row["runs_as"] else ""
            yield f"  {row['ms']:>9.3f}{row['share']:>7.1%}  {row['kind']} {row['name'][:70]}{runs_as}"


def _mqtt(mqtt: Document) -> Iterator[str]:
    if mqtt["reason"]:
        yield f"mqtt: not measured: {mqtt['reason']}"
        return
    yield f"closed file → verdict at a subscriber ({mqtt['broker']}, {mqtt['protocol']}, {mqtt['backend']}): {mqtt['n']} images"
    yield f"  {'':<17}{'mean':>10}{'p50':>10}{'p90':>10}{'p95':>10}{'p99':>10}{'p99.9':>10}"
    yield f"  {'all':<17}{_figures(mqtt['latency_ms'])}"
    yield f"  {'beside networks':<17}{_figures(mqtt['beside_networks_ms'])}"


def _rival(rival: Document) -> Iterator[str]:
    yield (
        f"against {rival['name']}, {rival['block_pairs']} pairs of blocks of {rival['images_a_block']} images, "
        f"{rival['regions_an_image']:g} regions an image:"
    )
    for scope, name in RATIOS.items():
        found = rival[scope]
        low, high = found["throughput_ratio_95"]
        interval = "" if low is None else f" (95 %: {low:.2f} … {high:.2f})"
        speed = found["throughput"]
        yield (
            f"  {name}: {found['throughput_ratio']:.2f} times its throughput{interval}: "
            f"{speed['ours']:.2f} and {speed['rival']:.2f} images/s"
        )
    judged, precision = rival["regions_judged_an_image"], rival["precision"]
    yield f"  as shipped, the rival's classifier judges {judged:g} regions of an image, too"
    yield f"  ours in {precision['ours']}, the rival in {precision['rival']}"
    yield f"  {'':<10}{'ours':>10}{'rival':>10}{'ratio':>10}"
    for name, stage in rival["stages"].items():
        shown = [stage["ours_ms"], stage["rival_ms"], stage["ratio"]]
        yield f"  {name:<10}" + "".join(f"{'–' if value is None else f'{value:.2f}':>10}" for value in shown)
    same, cores = rival["same_work"], rival["cores_used"]
    found = same["regions_found"]
    yield (
        f"  regions found {found['ours']} and {found['rival']}, {same['region_agreement']:.1%} by both; both classifiers answer"
        f" the same for {same['severity_agreement']:.0%} of the fields"
    )
    yield f"  {rival['threads']} threads; {cores['ours']:.2f} and {cores['rival']:.2f} cores used"


def comparison_table(later: str, documents: tuple[Document, Document], comparison: Document) -> str:
    """Two results compared, with the machine of each."""
    heads = [
        f"{name}: {line}" for name, one in zip((comparison["with"], later), documents, strict=True) for line in _machine(one)
    ]
    return "\n".join([*heads, "", *_comparison(comparison)])


def _comparison(comparison: Document) -> Iterator[str]:
    yield f"against {comparison['with']} (above 1 is slower now, below faster; 95 % interval):"
    if comparison["other_machine"]:
        yield f"  another machine: {'; '.join(comparison['other_machine'])}"
        yield f"  {comparison['why_no_milliseconds']}"
    for change in comparison["changes"]:
        time, p50 = change["time_ms"], change["p50_ms"]
        yield (
            f"  {change['scenario']}, {change['backend']}: time for an image {_ratio(change['time_ratio'])}: "
            f"{time['then']:.2f} then, {time['now']:.2f} ms now; "
            f"p50 {_ratio(change['p50_ratio'])}: {p50['then']:.2f} then, {p50['now']:.2f} ms now"
        )
    for change in comparison["rivals"]:
        found = change["throughput_ratio"]
        yield (
            f"  {change['rival']}, {RATIOS[change['scope']]}: {found['then']:.2f} times its throughput then, "
            f"{found['now']:.2f} now: {_ratio(change['change'])}"
        )
    if comparison["versions"]:
        yield f"  other versions: {'; '.join(comparison['versions'])}"
    if comparison["not_compared"]:
        yield f"  in one of the two only: {'; '.join(comparison['not_compared'])}"
    yield f"  {'WORSE than' if comparison['failed'] else 'within'} the limit of {comparison['fail_above']:g}"


def _ratio(ratio: Document) -> str:
    interval = "" if ratio["low_95"] is None else f" ({ratio['low_95']:.3f} … {ratio['high_95']:.3f})"
    return f"{ratio['value']:.3f}{interval}"


def plot(document: Document) -> str:
    """An SVG: for each run a bar of its stages' mean times, below it how the latencies of single-stream are distributed."""
    parts: list[str] = []
    runs = document["scenarios"]
    y = _title(parts, document)
    y = _legend(parts, [name for name in COLOURS if any(run["stages"].get(name) for run in runs)], y)
    y = _bars(parts, runs, y)
    for run in runs:
        if run["scenario"] == "single-stream":
            y = _histogram(parts, run, y)
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {y}' width='{WIDTH}' height='{y}' {FONT} font-size='13'>"
    )
    return "\n".join([head, f"<rect width='{WIDTH}' height='{y}' fill='white'/>", *parts, "</svg>"]) + "\n"


def _title(parts: list[str], document: Document) -> int:
    cpu, gpu = document["environment"]["cpu"], document["environment"]["gpu"]
    machine = f"{cpu['model']}, {cpu['cores_usable']} cores" + (f"; {gpu['name']}" if gpu else "")
    parts.append(_text(20, 30, "Where an image's time goes", size=18, weight=600))
    parts.append(
        _text(20, 50, f"{machine}; {len(document['images'])} images, {document['environment']['date']}", colour="#5b6268")
    )
    return 70


def _legend(parts: list[str], names: Sequence[str], y: int) -> int:
    x = 20.0
    for name in names:
        width = 30 + 7.5 * len(name)
        if x + width > WIDTH - RIGHT:
            x, y = 20.0, y + 20
        parts.append(f"<rect x='{x}' y='{y}' width='12' height='12' rx='2' fill='{COLOURS[name]}'/>")
        parts.append(_text(x + 17, y + 11, name))
        x += width
    return y + 32


def _bars(parts: list[str], runs: Sequence[Document], y: int) -> int:
    """One bar a run, its length the mean time of an image; a stage is labelled where its label fits."""
    longest = max(sum(stage["mean"] for stage in run["stages"].values() if stage) for run in runs)
    scale = (WIDTH - LABEL - RIGHT - 70) / longest
    for run in runs:
        parts.append(_text(LABEL - 12, y + 15, run["scenario"], anchor="end", weight=600))
        parts.append(_text(LABEL - 12, y + 31, f"{run['backend']} {run['precision']}", anchor="end", colour="#5b6268"))
        x = float(LABEL)
        for name, stage in run["stages"].items():
            if not stage:
                continue
            width = max(0.0, stage["mean"]) * scale
            tip = f"<title>{name}: {stage['mean']:.2f} ms, {stage['share']:.1%}</title>"
            parts.append(f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='34' fill='{COLOURS[name]}'>{tip}</rect>")
            label = f"{stage['share']:.0%}"
            if width > 34:
                parts.append(_text(x + width / 2, y + 22, label, anchor="middle", colour="white" if _dark(name) else INK))
            x += width
        parts.append(_text(x + 8, y + 22, f"{sum(s['mean'] for s in run['stages'].values() if s):.1f} ms"))
        y += 48
    return y + 14


def _histogram(parts: list[str], run: Document, y: int) -> int:
    """Latencies of all queries; the few beyond the 99th percentile of the drawing's range go into its last bar."""
    values = np.array(run["queries_ms"])
    low, high = float(values.min()), float(np.percentile(values, 99))
    high = max(high, low * 1.05)
    bins = min(BINS, 4 + len(values))
    counts, _edges = np.histogram(np.minimum(values, high), bins, (low, high))
    left, width, height = 60, WIDTH - 60 - RIGHT, 150
    title = f"Latency, single-stream, {run['backend']} {run['precision']} ({len(values)} images)"
    parts.append(_text(20, y + 14, title, weight=600))
    top, base = y + 62, y + 62 + height
    for index, count in enumerate(counts):
        bar = height * count / max(counts.max(), 1)
        x = left + width * index / bins
        parts.append(
            f"<rect x='{x:.1f}' y='{base - bar:.1f}' width='{width / bins - 1:.1f}' height='{bar:.1f}' fill='#4f8fca'/>"
        )
    parts.append(f"<line x1='{left}' x2='{left + width}' y1='{base}' y2='{base}' stroke='{INK}'/>")
    parts.append(_text(left - 8, top + 10, str(int(counts.max())), anchor="end", colour="#5b6268"))
    for tick in _ticks(low, high):
        x = left + width * (tick - low) / (high - low)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{base}' y2='{base + 5}' stroke='{INK}'/>")
        parts.append(_text(x, base + 19, f"{tick:g}", anchor="middle"))
    parts.append(_text(left + width, base + 36, "ms; slower than 99 % of all: in the last bar", anchor="end", colour="#5b6268"))
    taken = [0.0, 0.0]
    for name in ("p50", "p90", "p95", "p99"):
        value = run["latency_ms"][name]
        if value is None:
            continue
        x = left + width * (min(value, high) - low) / (high - low)
        label = f"{name} {value:.1f}"
        begin = min(x, left + width - 8 * len(label))
        row = next((row for row, end in enumerate(taken) if begin > end), len(taken) - 1)
        taken[row] = begin + 8 * len(label)
        line_y = top - 12 - 16 * row
        parts.append(
            f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{line_y - 10}' y2='{base}' stroke='#d9603b' stroke-dasharray='4 3'/>"
        )
        parts.append(_text(begin + 4, line_y, label, colour="#b3431f"))
    return base + 60


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, six to twelve of them."""
    rough = (high - low) / 8
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(min((factor * power for factor in (1, 2, 5, 10)), key=lambda candidate: abs(candidate - rough)))
    return [round(float(tick), 10) for tick in np.arange(np.ceil(low / step) * step, high, step)]


def _dark(name: str) -> bool:
    red, green, blue = (int(COLOURS[name][at : at + 2], 16) for at in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue < 140


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, weight: int = 400, colour: str = INK) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' font-weight='{weight}' fill='{colour}'>"
        f"{html.escape(text)}</text>"
    )
