"""Documents in, Parquet out: one row a verdict, one row a region. A part is there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from edge.errors import ConfigError
from edge.wire.flat import COLUMNS, flat

INSPECTIONS, REGIONS = "inspections", "regions"
DOCUMENT: Final = "document"
"""The column with the whole message, as a daemon would have published it: reports read it."""

_FLAGS: Final = frozenset({"abstained", "needs_review", "largest_touches_edge", "in_domain", "touches_edge"})
_WHOLE: Final = frozenset({"page", "region_count", "regions_below", "width_px", "height_px", "severity_class", "index"})
_TEXTS: Final = frozenset(
    {"path", "inspection_id", "ts", "severity_state", "severity", "severity_guess", "severity_reason", "severity_source"}
    | {"pixel_size_source", "warnings", "backend", "segmenter_version", "classifier_version", "taught_sha256"}
    | {"settings_sha256", "image_sha256", "error_code", "error_message", DOCUMENT, "class"}
)
REGION_COLUMNS: Final = (
    *("inspection_id", "path", "page", "index", "class", "score", "area_px", "area_um2", "equivalent_diameter_um"),
    *("circularity", "touches_edge", "severity"),
)


def _pyarrow() -> Any:
    """Raises ConfigError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(f"pyarrow cannot be imported ({error}): pip install 'sem-corrosion-edge[archive]'") from error
    return pyarrow


@cache
def _schema(columns: tuple[str, ...]) -> Any:
    arrow = _pyarrow()
    kinds = ((name, "bool" if name in _FLAGS else "int64" if name in _WHOLE else "string" if name in _TEXTS else "float64")
             for name in columns)  # fmt: skip
    return arrow.schema([(name, getattr(arrow, {"bool": "bool_"}.get(kind, kind))()) for name, kind in kinds])


def row_of(document: bytes) -> dict[str, Any]:
    """The row of one verdict: `edge.wire.flat`, the ids that a failure has, and the whole message."""
    said = json.loads(document)
    row = flat(said)
    row["inspection_id"] = said.get("inspection_id") or said.get("failure_id")
    return row | {DOCUMENT: document.decode()}


def region_rows(document: bytes) -> Iterator[dict[str, Any]]:
    """One row a region of an inspection; none of a failure."""
    said = json.loads(document)
    common = {"inspection_id": said.get("inspection_id"), "path": said["image"]["path"], "page": said["image"].get("page")}
    for region in said.get("regions") or ():
        row = {name: region.get(name) for name in REGION_COLUMNS if name not in common}
        yield common | row | {"severity": (region.get("severity") or {}).get("label")}


def write_part(out: Path, part: str, documents: Sequence[bytes]) -> None:
    """Write regions first and the verdicts last, whose file says that the part is done. Raises OSError."""
    regions = [row for document in documents for row in region_rows(document)]
    _write(out / REGIONS / f"{part}.parquet", REGION_COLUMNS, regions)
    _write(part_path(out, part), (*COLUMNS, DOCUMENT), [row_of(document) for document in documents])


def _write(path: Path, columns: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    arrow = _pyarrow()
    path.parent.mkdir(exist_ok=True)
    table = arrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows], schema=_schema(columns))
    made = path.with_name(f".{path.name}.{os.getpid()}")  # a name that no reader of Parquet takes
    try:
        arrow.parquet.write_table(table, str(made), compression="zstd")
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def done(out: Path) -> dict[str, int]:
    """When each image that has a verdict was inspected, at the latest: its path, as it is shown, to nanoseconds since 1970.

    What an interrupted run left half written is removed. Raises ConfigError for a file that cannot be read.
    """
    found: dict[str, int] = {}
    for part in parts(out):
        found.update(dict.fromkeys(column(part, "path"), part.stat().st_mtime_ns))
    finished = {part.name for part in parts(out)}
    for folder in (out / INSPECTIONS, out / REGIONS):
        for file in folder.glob(".*.parquet.*") if folder.is_dir() else ():
            file.unlink(missing_ok=True)
    for regions in (out / REGIONS).glob("*.parquet"):
        if regions.name not in finished:
            regions.unlink()
    return found


def part_path(out: Path, part: str) -> Path:
    """Where the verdicts of a part stand."""
    return out / INSPECTIONS / f"{part}.parquet"


def is_written(out: Path, part: str) -> bool:
    """Whether a part is finished."""
    return part_path(out, part).is_file()


def parts(out: Path) -> list[Path]:
    """The finished parts."""
    return sorted((out / INSPECTIONS).glob("*.parquet"))


def column(part: Path, name: str) -> list[Any]:
    """One column of a part. Raises ConfigError."""
    arrow = _pyarrow()
    try:
        return list(arrow.parquet.read_table(str(part), columns=[name]).column(name).to_pylist())
    except (OSError, arrow.ArrowException, KeyError) as error:
        raise ConfigError(f"{part} cannot be read ({error}): remove it, and its images are inspected again") from error


def rows(out: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every verdict's row, with these columns. Raises ConfigError."""
    arrow = _pyarrow()
    for part in parts(out):
        try:
            yield from arrow.parquet.read_table(str(part), columns=list(columns)).to_pylist()
        except (OSError, arrow.ArrowException, KeyError) as error:
            raise ConfigError(f"{part} cannot be read ({error}): inspect the archive again") from error
