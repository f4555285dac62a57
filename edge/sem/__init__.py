"""Bytes of an image file in, `edge.records.Micrograph`s out: pixels, data bar cut off, nm per pixel, how it was acquired.

Nothing here opens a file: the caller reads it once, and those bytes are judged (`completeness`) and decoded (`read`).
A new family of microscopes is a module in `edge.sem.vendors` and a row of its table.
"""

from __future__ import annotations

from edge.sem.file_state import Completeness, FileState, black_is_black, completeness
from edge.sem.reading import Limits, needs_sidecar, read
from edge.sem.vendors import sidecar_names

__all__ = ["Completeness", "FileState", "Limits", "black_is_black", "completeness", "needs_sidecar", "read", "sidecar_names"]
