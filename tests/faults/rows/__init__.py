"""A row's name in, the row out: the one table of what is counted. Each file of this folder brings the rows of one kind."""

from __future__ import annotations

from typing import Final

from tests.faults.row import Row
from tests.faults.rows import brokers, clocks, errors, files, folders, full, kills, long, many, poison, power, restored

ROWS: Final[tuple[Row, ...]] = (
    *(*kills.ROWS, *power.ROWS, *errors.ROWS, *full.ROWS, *many.ROWS),
    *(*files.ROWS, *poison.ROWS, *restored.ROWS, *clocks.ROWS, *folders.ROWS, *long.ROWS),
    *(*brokers.ROWS,),
)
BY_NAME: Final = {row.name: row for row in ROWS}
