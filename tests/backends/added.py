"""The backend of docs/develop/add-a-backend.md, put where the page says: its file in the package, its row in the table.

As a pytest plugin (`-p tests.backends.added`) it is there before tests take their cases from the table.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from edge import backends
from edge.backends import table
from tests import ROOT

PAGE = ROOT / "docs" / "develop" / "add-a-backend.md"


def code() -> tuple[str, str]:
    """The two pieces of code on the page: the file and the row."""
    file, row = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return file, row


def row() -> table.Backend:
    """The page's row, evaluated as it would be in the table."""
    made: table.Backend = eval(code()[1], vars(table))
    return made


def file_in(folder: Path) -> Path:
    """The page's file, written under the name that its row gives it."""
    package, _, name = row().module.rpartition(".")
    assert package == backends.__name__
    path = folder / f"{name}.py"
    path.write_text(code()[0], encoding="utf-8")
    return path


def pytest_configure() -> None:
    backends.__path__.append(str(file_in(Path(tempfile.mkdtemp(prefix="added-backend-"))).parent))
    table.BACKENDS[row().name] = row()
