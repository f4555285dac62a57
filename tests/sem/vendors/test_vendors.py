"""The table of families: who is asked first, and what lies beside an image."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Acquisition
from edge.sem import sidecar_names, vendors
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.vendors import FAMILIES, Family
from tests.sem.making import TESCAN_SEM, bar, fei, hitachi, jeol, specimen, tescan_lines, tescan_tag, tiff, zeiss
from tests.sem.micrographs import one, warned

IMAGE = np.vstack([specimen(), bar(32)])
EVIDENCE = Evidence("a.tif", 8, 8)
HDR = f"[MAIN]\r\n{tescan_lines()}\r\n[SEM]\r\n{TESCAN_SEM}".encode()


def family(name: str, recognises: bool | Exception, asked: list[str]) -> Family:
    def recognise(_: Evidence) -> bool:
        asked.append(name)
        if isinstance(recognises, Exception):
            raise recognises
        return recognises

    return Family(name, recognise, lambda _: Metadata(Acquisition(vendor=name)))


def test_sidecar_names_stand_in_the_same_folder() -> None:
    assert set(sidecar_names("S-1.x.tif")) == {"S-1.x.txt", "S-1.x.hdr", "S-1.x-tif.hdr"}
    assert "image.txt" in sidecar_names("image")


def test_the_first_family_that_recognises_an_image_describes_it_and_no_other_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rows = (family("other", False, asked), family("special", True, asked), family("general", True, asked))
    monkeypatch.setattr(vendors, "FAMILIES", rows)
    metadata, warnings = vendors.describe(EVIDENCE)
    assert (metadata.acquisition.vendor, warnings, asked) == ("special", (), ["other", "special"])


def test_a_family_that_raises_is_named_and_costs_the_metadata_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (family("broken", ValueError("no"), []), family("general", True, []))
    monkeypatch.setattr(vendors, "FAMILIES", rows)
    metadata, warnings = vendors.describe(EVIDENCE)
    assert metadata == Metadata()
    assert warnings == ("metadata_damaged: the broken metadata cannot be read (ValueError)",)


def test_the_family_of_every_image_comes_last_and_every_name_is_its_own() -> None:
    assert FAMILIES[-1].recognises(EVIDENCE)
    assert not any(row.recognises(EVIDENCE) for row in FAMILIES[:-1])
    assert len({row.name for row in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("tags", "vendor"),
    [
        ({34682: fei()}, "Thermo Fisher (FEI)"),
        ({34683: "<Metadata></Metadata>"}, "Thermo Fisher (FEI)"),
        ({34118: zeiss()}, "Zeiss"),
        ({50431: tescan_tag()}, "TESCAN"),
    ],
    ids=["fei", "fei-xml", "zeiss", "tescan"],
)
@pytest.mark.parametrize("sidecars", [{"a.txt": jeol()}, {"a.txt": hitachi().encode()}], ids=["jeol", "hitachi"])
def test_what_is_inside_the_image_goes_before_what_lies_beside_it(
    tags: dict[int, bytes | str], vendor: str, sidecars: dict[str, bytes]
) -> None:
    assert one(tiff(IMAGE, tags), sidecars=sidecars).acquisition.vendor == vendor


@pytest.mark.parametrize(
    ("sidecars", "vendor"),
    [({"a.hdr": HDR}, "TESCAN"), ({"a.txt": jeol()}, "JEOL"), ({"a.txt": hitachi().encode()}, "Hitachi"), ({}, None)],
    ids=["tescan", "jeol", "hitachi", "none"],
)
def test_sidecars_of_one_name_are_told_apart_by_what_is_in_them(sidecars: dict[str, bytes], vendor: str | None) -> None:
    micrograph = one(tiff(IMAGE), sidecars=sidecars)
    assert micrograph.acquisition.vendor == vendor
    assert not warned(micrograph, "metadata_damaged")
