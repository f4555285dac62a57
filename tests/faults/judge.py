"""A book and what a subscriber received in; what was lost, late, repeated or judged too early out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.faults.book import Page

DOUBTS: Final = frozenset(
    {"damaged", "zero_rows", "zero_tail", "flat", "no_contrast", "saturated", "blurred", "out_of_domain", "metadata_cut"}
)
"""Codes that tell a person to look at the picture before believing its numbers."""


@dataclass
class Judgement:
    """problems: what a plant must never see, in words.  missing: numbers of verdicts by epoch that a replay can bring.

    highest: number by epoch.
    """

    images: int = 0
    verdicts: int = 0
    inspections: int = 0
    failures: int = 0
    repeats: int = 0
    epochs: int = 0
    doubted: int = 0
    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    highest: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether everything has arrived that is to come."""
        return not (self.lost or self.stale or self.missing)

    def all_problems(self) -> list[str]:
        """Those that only time could mend among them, once there is no more time."""
        late = [f"lost: {path} has no verdict" for path in self.lost]
        late += [f"stale: the last content of {path} was not judged" for path in self.stale]
        late += [f"gap: seq {seqs} of epoch {epoch}" for epoch, seqs in self.missing.items()]
        return [*self.problems, *late]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "problems": self.all_problems()}


def codes(verdict: Mapping[str, Any]) -> set[str]:
    """Codes of the warnings and reasons of an inspection."""
    texts = [*verdict["quality"]["warnings"], *((verdict["severity"] or {}).get("reasons") or ())]
    return {text.partition(":")[0] for text in texts}


def judge(
    pages: Mapping[str, Page],
    payloads: Iterable[bytes],
    last_seqs: Mapping[str, int] | None = None,
    asked: Mapping[str, Collection[int]] | None = None,
) -> Judgement:
    """payloads: of all messages on the topics of verdicts, in order of arrival.  last_seqs: what the status told, by epoch.

    asked: numbers by epoch for which a replay was asked; they alone may come for the first time behind higher ones.
    """
    found = Judgement(images=sum(page.last is not None for page in pages.values()))
    by_id: dict[str, bytes] = {}
    by_seq: dict[tuple[str, int], str] = {}
    newest: dict[str, Mapping[str, Any]] = {}
    seqs: dict[str, set[int]] = defaultdict(set)
    for payload in payloads:
        verdict = json.loads(payload)
        kind = verdict["schema"].partition("/")[0]
        if kind == "edge.tombstone":
            found.problems.append(f"buried: seq {verdict['seq']}: {verdict['reason']}")
            _in_order(found, verdict, seqs[verdict["epoch"]], asked or {})
            continue
        name = verdict.get("inspection_id") or verdict.get("failure_id")
        if name in by_id:
            found.repeats += 1
            if by_id[name] != payload:
                found.problems.append(f"two contents: under the id {name} ({verdict['image']['path']})")
            continue
        by_id[name] = payload
        if by_seq.setdefault((verdict["epoch"], verdict["seq"]), name) != name:
            found.problems.append(f"two verdicts: with seq {verdict['seq']} of epoch {verdict['epoch']}")
        _in_order(found, verdict, seqs[verdict["epoch"]], asked or {})
        _count(found, kind, verdict, pages)
        image = verdict["image"]
        known = newest.get(image["path"])
        later = known is None or known["epoch"] != verdict["epoch"] or known["seq"] < verdict["seq"]
        if later:
            newest[image["path"]] = verdict
    found.verdicts, found.epochs = len(by_id), len(seqs)
    _compare(found, pages, newest)
    for epoch, some in seqs.items():
        highest = found.highest[epoch] = max(max(some), (last_seqs or {}).get(epoch, 0))
        if absent := sorted(set(range(1, highest + 1)) - some):
            found.missing[epoch] = absent
    return found


def _in_order(found: Judgement, verdict: Mapping[str, Any], seqs: set[int], asked: Mapping[str, Collection[int]]) -> None:
    """Note a number; one that comes for the first time is higher than all before, but for a replay. seqs: of its epoch."""
    seq, epoch = verdict["seq"], verdict["epoch"]
    if seqs and seq not in seqs and seq < max(seqs) and seq not in asked.get(epoch, ()):
        found.problems.append(f"order: seq {seq} of epoch {epoch} came for the first time behind seq {max(seqs)}")
    seqs.add(seq)


def _count(found: Judgement, kind: str, verdict: Mapping[str, Any], pages: Mapping[str, Page]) -> None:
    """One verdict by itself: partial bytes need a doubt."""
    image = verdict["image"]
    if kind == "edge.failure":
        found.failures += 1
        return
    found.inspections += 1
    whole = image["sha256"] in pages.get(image["path"], Page()).wholes
    doubted = bool(codes(verdict) & DOUBTS)
    found.doubted += doubted
    if not (whole or doubted):
        found.problems.append(f"partial: {image['path']} was judged without a doubt on bytes that are no whole content of it")


def _compare(found: Judgement, pages: Mapping[str, Page], newest: Mapping[str, Mapping[str, Any]]) -> None:
    """The newest verdict of each path with what lies there."""
    for path, page in pages.items():
        if page.last is None:
            continue
        verdict = newest.get(path)
        if verdict is None:
            found.lost.append(path)
        elif page.last and verdict["image"]["sha256"] != page.last:
            found.stale.append(path)
    found.problems += [f"invented: a verdict on {path}, which nobody wrote" for path in newest.keys() - pages.keys()]


def counted(problems: Iterable[str]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(problem.partition(":")[0] for problem in problems))
