"""A file's bytes in, the one micrograph that a test asks about out."""

from __future__ import annotations

import pytest

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import Limits, read


def one(data: bytes, name: str = "a.tif", **options: object) -> Micrograph:
    (micrograph,) = read(data, name, **options)  # type: ignore[arg-type]
    return micrograph


def warned(micrograph: Micrograph, code: str) -> bool:
    return any(warning.startswith(f"{code}: ") for warning in micrograph.warnings)


def refused(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008
    with pytest.raises(ImageError) as caught:
        read(data, "a.tif", limits=limits)
    return caught.value.code
