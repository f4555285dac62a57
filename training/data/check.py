"""Pages and regions in, what is wrong with them as a data set out: leaks between groups, classes that are missing or rare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from edge.records import Regions
from training.data.dataset import Part
from training.data.read_images import Page
from training.labels.image_labels import Finding

IMBALANCE: Final = 10.0  # of the most to the least frequent class
NEAR_DUPLICATE: Final = 0.6  # correlation of the details of two thumbnails; of unrelated micrographs it is below 0.2


def check_pages(pages: Sequence[Page]) -> list[Finding]:
    """Names that would meet, leaks between groups, and what samples.csv should say better."""
    findings = []
    taken = Counter(page.name for page in pages)
    taken.update(base for page in pages if (base := re.sub(r"_varied\d+$", "", page.name)) != page.name)
    meeting = [page.key for page in pages if taken[page.name] > 1]
    findings += [Finding("name that another image or its varied copy would get too: rename it", key) for key in meeting]
    same: dict[str, list[Page]] = {}
    for page in pages:
        same.setdefault(page.pixels_sha256, []).append(page)
    for copies in same.values():
        names = " = ".join(page.key for page in copies)
        if len({page.group for page in copies}) > 1:
            findings.append(Finding("the same picture in several groups: it would leak from training into the test", names))
        elif len(copies) > 1:
            findings.append(Finding("the same picture more than once in a group", names, fatal=False))
    what = "pictures of different groups that look alike (copies, mirrored or turned?): they may leak into the test"
    findings += [
        Finding(what, f"{pages[one].key} ~ {pages[two].key} ({likeness:.2f})", fatal=False)
        for one, two, likeness in _alike(pages)
        if pages[one].pixels_sha256 != pages[two].pixels_sha256
    ]
    severities: dict[str, set[str]] = {}
    for page in pages:
        severities.setdefault(page.group, set()).add(page.severity or "unknown")
    findings += [
        Finding("a group with several severities", f"{group} ({', '.join(sorted(found))})", fatal=False)
        for group, found in severities.items()
        if len(found) > 1
    ]
    unknown = [page.key for page in pages if page.severity is None]
    what = "severity unknown, the classifier cannot learn from it (samples.csv: severity or exposure_h)"
    if pages and len(unknown) == len(pages):
        return [*findings, Finding("no severity is known: only the segmenter can learn from this", "", fatal=False)]
    return findings + [Finding(what, name, fatal=False) for name in unknown]


def _alike(pages: Sequence[Page]) -> list[tuple[int, int, float]]:
    """Pairs of pages of different groups whose details correlate, in any of the eight positions of a picture."""
    if not pages:
        return []
    details = np.stack([page.details for page in pages])
    flat = details.reshape(len(pages), -1)
    groups = np.unique([page.group for page in pages], return_inverse=True)[1]
    best: dict[tuple[int, int], float] = {}
    for mirrored in (False, True):
        for turns in range(4):
            other = np.rot90(details[:, :, ::-1] if mirrored else details, turns, axes=(1, 2)).reshape(len(pages), -1)
            for start in range(0, len(pages), 1024):
                likeness = flat[start : start + 1024] @ other.T
                found = (likeness >= NEAR_DUPLICATE) & (groups[start : start + 1024, None] != groups[None, :])
                for one, two in np.argwhere(found):
                    pair = (min(int(one) + start, int(two)), max(int(one) + start, int(two)))
                    best[pair] = max(best.get(pair, 0.0), float(likeness[one, two]))
    return [(one, two, likeness) for (one, two), likeness in sorted(best.items())]


def check_classes(regions: Sequence[Regions], classes: tuple[str, ...], parts: Sequence[Part]) -> list[Finding]:
    """Classes without regions, in the whole or in a part, and classes far from equally frequent; parts: of each page."""
    findings = []
    counts = count_regions(regions, classes)
    findings += [Finding("a class without a region", name, fatal=False) for name, count in counts.items() if not count]
    present = [count for count in counts.values() if count]
    if present and max(present) > IMBALANCE * min(present):
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        findings.append(Finding(f"classes of regions differ more than {IMBALANCE:.0f} times in number", shown, fatal=False))
    for part in dict.fromkeys(parts):
        here = count_regions([one for one, of in zip(regions, parts, strict=True) if of == part], classes)
        absent = [name for name, count in here.items() if not count and counts[name]]
        findings += [Finding(f"no region of a class in {part}", name, fatal=False) for name in absent]
    return findings


def count_regions(regions: Iterable[Regions], classes: tuple[str, ...]) -> dict[str, int]:
    """How many regions each class has, by its name."""
    counts = Counter(int(class_id) for one in regions for class_id in one.class_ids)
    return {name: counts[number] for number, name in enumerate(classes)}
