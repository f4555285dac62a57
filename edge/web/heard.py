"""What one microscope published in, what pages show of it out. It remembers the newest, within bounds."""

from __future__ import annotations

import bisect
import time
import zlib
from collections import OrderedDict
from typing import Any, Final

from edge.errors import ReviewError
from edge.journal.problems import Told
from edge.teach.reviews import Review, parse_review
from edge.web.gaps import Gaps
from edge.web.lights import lights
from edge.web.reviewing import reviewed
from edge.web.rows import Row, unknown_row
from edge.web.source import Facts
from edge.web.today import COUNTED
from edge.web.untrusted import count, document, text, verdict_row

KINDS: Final = ("status", "health", "summary", "inspection", "failure", "review")
SILENT_S: Final = 60.0
MOST_ROWS: Final = 2000
MOST_REVIEWS: Final = 1000
MOST_DEAD: Final = 200
LARGEST_FACTS: Final = 64 * 1024
ROW_BYTES: Final = 4096
"""About what a row takes beside its document."""
Order = tuple[int, int, str]


class Heard:
    """One microscope. It belongs to whoever holds the lock of its source.

    bytes: about what its verdicts take.
    """

    def __init__(self, prefix: str, since: float) -> None:
        self.prefix = prefix
        self.gaps = Gaps()
        self.bytes = 0
        self.rows: dict[str, Row] = {}
        self._documents: dict[str, bytes] = {}
        self._order: list[Order] = []
        self._newest: dict[str, str] = {}
        self._reviews: OrderedDict[str, dict[str, Review]] = OrderedDict()
        self._dead: list[Facts] = []
        self._summary: Row | None = None
        self._status: Facts = {}
        self._health: Facts = {}
        self._since = since
        self.heard_at: float | None = None
        self._health_at: float | None = None
        self._last_image_ms: int | None = None

    # What comes in

    def take(self, kind: str, payload: bytes, now: float) -> Row | bool | None:
        """Note a message. A row where it is a new verdict, True where it changed something else, else None.

        now: seconds of a clock that never goes back.
        """
        if kind in ("status", "health", "summary"):
            found = self._facts(kind, payload, now)
        elif kind == "review":
            found = self._review(payload)
        else:
            return self._verdict(kind, payload, now)
        if found:
            self.heard_at = now
        return found or None

    def _facts(self, kind: str, payload: bytes, now: float) -> bool:
        said = document(payload, f"edge.{kind}/{2 if kind == 'summary' else 1}") if len(payload) <= LARGEST_FACTS else None
        if said is None or not count(said.get("ts_ms")):
            return False
        if kind == "summary":
            self._summary = summary_row(said)
            return self._summary is not None
        if kind == "health":
            self._health, self._health_at = said, now
            return True
        if said.get("state") not in ("online", "degraded", "offline"):
            return False
        self._status = said
        return True

    def _review(self, payload: bytes) -> bool:
        try:
            review = parse_review(payload, "a review")
        except ReviewError:
            return False
        about = self._reviews.setdefault(review.inspection_id or "", {})
        if review.review_id in about or len(about) >= 100:
            return False
        about[review.review_id] = review
        while len(self._reviews) > MOST_REVIEWS:
            self._reviews.popitem(last=False)
        return True

    def _verdict(self, kind: str, payload: bytes, now: float) -> Row | bool | None:
        said = document(payload, f"edge.{kind}/{2 if kind == 'inspection' else 1}")
        if said is None:
            return self._tombstone(payload, now) if kind == "failure" else None
        row, verdict_id = verdict_row(said, kind), said.get(f"{kind}_id")
        if row is None or not text(verdict_id) or not verdict_id or verdict_id in self.rows:
            return None
        if not self.gaps.heard(row["epoch"], row["seq"]):
            return None
        row.update(id=verdict_id, device=self.prefix, place=f"{row['path']}\0{row['page']}")
        self._keep(verdict_id, row, payload)
        self.heard_at = now
        self._last_image_ms = max(self._last_image_ms or 0, row["ts_ms"])
        return self.shown(row)

    def _tombstone(self, payload: bytes, now: float) -> bool | None:
        said = document(payload, "edge.tombstone/1")
        if said is None or not (count(said.get("seq")) and text(said.get("reason")) and text(said.get("verdict_id"))):
            return None
        if text(said.get("epoch")) and not self.gaps.heard(said["epoch"], said["seq"]):
            return None
        kind = said.get("kind") if said.get("kind") in ("inspection", "failure") else "inspection"
        moment = said.get("ts_ms") if count(said.get("ts_ms")) else None
        dead = {"seq": said["seq"], "topic": f"{self.prefix}/{kind}", "reason": said["reason"]}
        self._dead.append({**dead, "ts_ms": moment, "id": said["verdict_id"]})
        del self._dead[:-MOST_DEAD]
        self.heard_at = now
        return True

    def _keep(self, verdict_id: str, row: Row, payload: bytes) -> None:
        packed = zlib.compress(payload, 1)
        self.rows[verdict_id], self._documents[verdict_id] = row, packed
        bisect.insort(self._order, (self.gaps.order(row["epoch"]), row["seq"], verdict_id))
        newest = self._newest.get(row["place"])
        if newest is None or _run(self.rows[newest]) <= _run(row):
            self._newest[row["place"]] = verdict_id
        self.bytes += len(packed) + ROW_BYTES
        if len(self.rows) > MOST_ROWS:
            self.forget_oldest()

    def forget_oldest(self) -> bool:
        """Forget one verdict, never the newest; False where there is none to forget."""
        if len(self._order) < 2:
            return False
        _, _, verdict_id = self._order.pop(0)
        row = self.rows.pop(verdict_id)
        self.bytes -= len(self._documents.pop(verdict_id)) + ROW_BYTES
        if self._newest.get(row["place"]) == verdict_id:
            del self._newest[row["place"]]
        return True

    # What pages ask for

    def newest(self) -> Row | None:
        """The newest verdict; from the retained summary alone while none was heard."""
        if self._order:
            return self.shown(self.rows[self._order[-1][2]])
        return None if self._summary is None else self.shown({**self._summary, "device": self.prefix})

    def shown(self, row: Row) -> Row:
        """A row with what reviewers said, and whether it is the newest of its image."""
        said = self._reviews.get(row["id"], {})
        newest = row.get("place") is None or self._newest.get(row["place"]) == row["id"]
        return {**row, "newest": newest, "reviewed": reviewed(said.values())}

    def row(self, verdict_id: str) -> Row | None:
        """One verdict; of that of the summary alone what stands there."""
        row = self.rows.get(verdict_id)
        if row is not None:
            return self.shown(row)
        newest = None if self._order else self.newest()
        return newest if newest is not None and newest["id"] == verdict_id else None

    def ordered(self) -> list[Row]:
        """All that is remembered, the oldest first."""
        return [self.rows[verdict_id] for _, _, verdict_id in self._order]

    def order_of(self, row: Row) -> str:
        """Where a page of rows goes on."""
        return f"{self.gaps.order(row['epoch'])}-{row['seq']}"

    def document(self, verdict_id: str) -> bytes | None:
        """The message itself."""
        packed = self._documents.get(verdict_id)
        return None if packed is None else zlib.decompress(packed)

    def reviews(self, verdict_id: str) -> list[Review]:
        """What people said of it, the latest first."""
        return sorted(self._reviews.get(verdict_id, {}).values(), key=lambda one: -one.ts_ms)

    def reviewed_ids(self) -> dict[str, Any]:
        """Inspections that have a review."""
        return dict(self._reviews)

    def state(self, now: float, connected: bool) -> str:
        """online, degraded, offline, silent; unknown while nobody listens or it never said."""
        said = self._status.get("state")
        if not connected or said is None:
            return "unknown"
        if said != "offline" and now - max(self._health_at or 0.0, self._since) > SILENT_S:
            return "silent"
        return str(said)

    def listened_since(self, now: float) -> None:
        """Silence counts from here: before, nobody listened."""
        self._since = now

    def reasons(self) -> list[Facts]:
        """Why it is degraded or gone, with cures where it told them."""
        cures = {one.get("text"): one.get("cure") for one in _dicts(self._health.get("problems"))}
        reasons = self._status.get("reasons")
        texts = [one for one in reasons if text(one)][:50] if isinstance(reasons, list) else []
        return [{"text": one, "cure": cures[one] if text(cures.get(one)) else None} for one in texts]

    def queue(self) -> Facts | None:
        """What waits, None before the first health."""
        said = self._health.get("queue")
        names = ("images_waiting", "unsent", "oldest_unsent_s", "dead_letters")
        return {name: _number(said.get(name)) for name in names} if isinstance(said, dict) else None

    def now(self, now: float, connected: bool, why: str) -> Facts:
        """As a source's `now`, without the row."""
        state, queue = self.state(now, connected), self.queue()
        problems = {one["text"]: one["cure"] or "" for one in self.reasons()}
        told = Told(0, state in ("online", "degraded"), problems, {"connected": True})
        disk = self._health.get("disk")
        free = _number(disk.get("free_mib")) if isinstance(disk, dict) else None
        info = None
        if queue is not None and queue["unsent"] is not None:
            oldest = queue["oldest_unsent_s"]
            info = {"unsent": queue["unsent"], "oldest_unsent": None if oldest is None else time.time() - oldest}
        found = lights(told, info, None if free is None else int(free * 2**20), time.time(), "unknown")
        if not told.alive:
            text_of = {"silent": "silent", "offline": "offline"}.get(state, "unknown")
            found = [_unknown(one, why if one["name"] == "broker" and not connected else text_of) for one in found]
        else:
            found = [_unknown(one, "unknown") if one["text"] == "unreadable" else one for one in found]
        newest = self.newest()
        return {
            "lights": found,
            "last_image_ms": self._last_image_ms or (newest["ts_ms"] if newest else None),
            "today": self.today(),
            "paused": any(problem.startswith("paused") for problem in problems),
            "running": self._running(state),
            "clock_ms": round(time.time() * 1000),
        }

    @staticmethod
    def _running(state: str) -> bool | None:
        """None where nobody can tell."""
        return {"online": True, "degraded": True, "offline": False}.get(state)

    def today(self) -> Facts:
        """Its own counts; of labels it sends none, so they are not known."""
        said = self._health.get("today")
        known = said if isinstance(said, dict) else {}
        return {name: _number(known.get(name)) for name in COUNTED}

    def tile(self, now: float, connected: bool, why: str) -> Facts:
        """For the fleet."""
        site, area, _, name = self.prefix.split("/")
        said, row = self._status, self.newest()
        reasons = self.reasons() if connected else [{"text": why, "cure": None}]
        version = said.get("version")
        return {
            "device": self.prefix,
            "site": site,
            "area": area,
            "id": name,
            "state": self.state(now, connected),
            "reasons": reasons,
            "last_row": row,
            "last_image_ms": self._last_image_ms or (row["ts_ms"] if row else None),
            "queue": self.queue(),
            "version": version if text(version) else None,
            "today": self.today() if self._health else None,
            "heard_ms": None if self.heard_at is None else round((time.time() - now + self.heard_at) * 1000),
        }

    def problems(self, connected: bool, now: float) -> Facts:
        """As a source's `problems`."""
        failures = [row for row in reversed(self.ordered()) if row["kind"] == "failure"]
        quarantine = self._health.get("quarantine")
        suspects = _number(quarantine.get("suspects")) if isinstance(quarantine, dict) else None
        return {
            "problems": self.reasons(),
            "running": self._running(self.state(now, connected)),
            "paused": any(one["text"].startswith("paused") for one in self.reasons()),
            "failures": [one for one in map(self.shown, failures) if one["newest"]][:200],
            "dead_letters": list(self._dead),
            "gaps": [{"epoch": epoch, "first": first, "last": last} for epoch, first, last in self.gaps.ranges()],
            "suspects": suspects or 0,
            "journal": None,
        }


def summary_row(said: Facts) -> Row | None:
    """The row of a summary: flat, without region or reason beyond the first. None where it is none."""
    names = ("epoch", "inspection_id", "image_name", "severity_state")
    if not all(text(said.get(name)) for name in names) or not count(said.get("seq")):
        return None
    label, reason, source = (said.get(name) for name in ("severity", "severity_reason", "severity_source"))
    row = unknown_row("inspection")
    row.update(
        id=said["inspection_id"],
        epoch=said["epoch"],
        seq=said["seq"],
        ts_ms=said["ts_ms"],
        path=said["image_name"],
        name=said["image_name"],
        state=said["severity_state"],
        label=label if text(label) else None,
        reasons=[reason] if text(reason) and reason else [],
        source=source if text(source) else None,
        confidence=_number(said.get("severity_confidence")),
        needs_review=bool(said.get("needs_review")),
        area_lo=_number(said.get("area_fraction_lo")),
        area_hi=_number(said.get("area_fraction_hi")),
        largest_um=_number(said.get("equivalent_diameter_max_um")),
        revision=_number(said.get("image_revision")),
        run=_number(said.get("image_run")),
        summary_only=True,
    )
    same = ("area_fraction", "density_per_mm2", "largest_um2", "region_count", "annealing_min", "exposure_h")
    row.update({name: _number(said.get(name)) for name in (*same, "pixel_size_nm", "field_um2", "total_ms")})
    return row


def _run(row: Row) -> tuple[int, int]:
    return row["revision"] or 0, row["run"] or 0


def _unknown(light: Facts, text: str) -> Facts:
    return {**light, "state": "unknown", "text": text, "cure": None}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and abs(value) < 2**63 else None


def _dicts(value: Any) -> list[Facts]:
    found = [one for one in value if isinstance(one, dict) and text(one.get("text"))] if isinstance(value, list) else []
    return found[:50]
