"""What a microscope wrote into an image and beside it in, `Metadata` out; a module and a row of `FAMILIES` a family.

docs/develop/add-a-microscope.md shows how to add one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.vendors import (
    fibics,
    gatan,
    hitachi,
    jeol,
    memento,
    olympus,
    openfibsem,
    phenom,
    plain,
    tescan,
    thermofisher,
    zeiss,
)

__all__ = ["FAMILIES", "Family", "describe", "sidecar_names"]


@dataclass(frozen=True)
class Family:
    """Microscopes that describe their images in one way.

    name: in warnings.
    recognises: whether this way is found.
    read: what stands there; any exception counts as nothing, and becomes the warning `metadata_damaged`.
    sidecar_names: names beside the image (same folder, case does not matter) that hold the description.
    """

    name: str
    recognises: Callable[[Evidence], bool]
    read: Callable[[Evidence], Metadata]
    sidecar_names: Callable[[str], tuple[str, ...]] = lambda name: ()


FAMILIES: Final = (
    # Tags that belong to one maker. A dialect in a tag of another's stands before its owner.
    Family("phenom", phenom.recognises, phenom.read),
    Family("memento", memento.recognises, memento.read),
    Family("thermofisher", thermofisher.recognises, thermofisher.read),
    Family("zeiss", zeiss.recognises, zeiss.read),
    Family("fibics", fibics.recognises, fibics.read),
    Family("gatan", gatan.recognises, gatan.read),
    Family("olympus", olympus.recognises, olympus.read),
    # The description of any TIFF, in a dialect of its own.
    Family("openfibsem", openfibsem.recognises, openfibsem.read),
    # Sidecars: after the tags, for a file beside the image may be a stranger's, what is inside the image is its own.
    Family("tescan", tescan.recognises, tescan.read, tescan.sidecar_names),
    Family("jeol", jeol.recognises, jeol.read, jeol.sidecar_names),
    Family("hitachi", hitachi.recognises, hitachi.read, hitachi.sidecar_names),
    # Every image.
    Family("plain", plain.recognises, plain.read),
)
"""Asked from the top; the first that recognises the image describes it.

The rule of the order: whatever is recognised by the more special sign is asked first.
"""


def describe(evidence: Evidence) -> tuple[Metadata, tuple[str, ...]]:
    """What the first family that recognises the image reads, and warnings. Never raises: damaged metadata cost no image."""
    for family in FAMILIES:
        try:
            if family.recognises(evidence):
                return family.read(evidence), ()
        except Exception as error:  # text of any kind, by any software
            return Metadata(), (f"metadata_damaged: the {family.name} metadata cannot be read ({type(error).__name__})",)
    return Metadata(), ()


def sidecar_names(name: str) -> tuple[str, ...]:
    """Names of the files beside image `name` that may describe it, likeliest last; compare them without regard to case."""
    return tuple(dict.fromkeys(side for family in FAMILIES for side in family.sidecar_names(name)))
