"""Rows in; CSV files, and Parquet where pyarrow is there, out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edge.errors import ConfigError
from edge.report.table import COLUMNS, REGION_COLUMNS, Row

DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")


def write_tables(out: Path, inspections: list[Row], regions: list[Row], parameters: Sequence[str]) -> list[Path]:
    """Write them beside the page `out`, and return what was written. Raises ConfigError when a file cannot be written."""
    written = []
    columns = (*COLUMNS, *parameters)
    try:
        for suffix, names, rows in (("", columns, inspections), (".regions", REGION_COLUMNS, regions)):
            path = out.with_suffix(f"{suffix}.csv")
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(harmless(name) for name in names)
                writer.writerows([harmless(row.get(name)) for name in names] for row in rows)
            written.append(path)
            if _parquet(out.with_suffix(f"{suffix}.parquet"), names, rows):
                written.append(out.with_suffix(f"{suffix}.parquet"))
    except OSError as error:
        raise ConfigError(f"{out.parent}: {error.strerror}") from error
    return written


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(DANGEROUS) else value


def _parquet(path: Path, names: Sequence[str], rows: list[Row]) -> bool:
    """Write the file; False without pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return False
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    return True
