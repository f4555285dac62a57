"""Rows in; CSV files, and Parquet where pyarrow is there, out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.errors import ConfigError
from edge.report.table import COLUMNS, FLAGS, REGION_COLUMNS, TEXTS, WHOLE, Row
from edge.whole_file import opened_whole
from edge.wire.flat import cell


def write_tables(
    out: Path, inspections: list[Row], regions: list[Row], parameters: Sequence[str], texts: Sequence[str] = ()
) -> list[Path]:
    """Write them beside the page `out`, each whole or not at all, and return what was written.

    parameters, texts: further columns, of numbers and of texts. Raises ConfigError when a file cannot be written.
    """
    written = []
    columns = (*COLUMNS, *parameters, *texts)
    try:
        for suffix, names, rows in (("", columns, inspections), (".regions", REGION_COLUMNS, regions)):
            path = out.with_suffix(f"{suffix}.csv")
            with opened_whole(path, mode=None) as whole:
                stream = io.TextIOWrapper(whole, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(cell(name) for name in names)
                writer.writerows([cell(row.get(name)) for name in names] for row in rows)
                stream.detach()
            written.append(path)
            if _parquet(out.with_suffix(f"{suffix}.parquet"), names, rows, texts):
                written.append(out.with_suffix(f"{suffix}.parquet"))
    except OSError as error:
        raise ConfigError(f"{out.parent}: {error.strerror}") from error
    return written


def _text(value: Any) -> str | None:
    """What a file in UTF-8 can hold: bytes of a name that is none are written as \\xNN."""
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def _parquet(path: Path, names: Sequence[str], rows: list[Row], texts: Sequence[str]) -> bool:
    """Write the file, with types that do not depend on what is known; False without pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return False

    def column(name: str) -> Any:
        values = [row.get(name) for row in rows]
        if name in TEXTS or name in texts:
            return pa.array([_text(value) for value in values], pa.string())
        if name in FLAGS:
            return pa.array(values, pa.bool_())
        return pa.array(values, pa.int64() if name in WHOLE else pa.float64())

    with opened_whole(path, mode=None) as stream:
        pq.write_table(pa.table({name: column(name) for name in names}), stream)
    return True
