"""The state folder of one service in, what its pages show out. It only reads: a thread looks for news, and keeps the index."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from types import TracebackType
from typing import Any, Final

from edge.config import Settings
from edge.errors import EdgeError, ReviewError, StateError
from edge.journal import Journal, audit, problems
from edge.journal.history import History
from edge.journal.verdicts import FIRST, Key, Told
from edge.teach.reviews import Review, parse_review
from edge.web.journal_reader import JournalReader
from edge.web.lights import lights
from edge.web.news import News
from edge.web.pixels import Pixels
from edge.web.reviewing import reviewed, said
from edge.web.rows import Row, parsed, row_of
from edge.web.source import Event, Facts, Mode
from edge.web.timeline import columns
from edge.web.today import Today

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
AGAIN_S: Final = 2.0
INDEX_AGAIN_S: Final = 30.0
MOST_SHOWN: Final = 200
INDEX_CURE: Final = "make room in the state folder and see who owns it; until then a page that starts reads all verdicts anew"


class JournalSource:
    """What `edge.web.source.Source` promises, from a journal. `with` ends its thread and closes its files."""

    mode: Mode = "journal"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = settings.state.folder
        self.pixels = Pixels(settings)
        self._news = News()
        self._history = History(self.state / "web" / "index.sqlite3", _flat)
        self._today = Today(self._history)
        self._journal = JournalReader(self.state)
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._reviews: tuple[int, dict[str, list[Review]]] = (-1, {})
        self._timeline: tuple[int, Facts] = (-1, {})
        self._version = 0
        self._shown: Key | None = None
        self._told_reviews = -1
        self._thread = threading.Thread(target=self._watch, name="news", daemon=True)

    def __enter__(self) -> JournalSource:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(5.0)
        self._journal.close("the page ends")
        self._history.close()

    # What pages ask for

    def fleet(self) -> list[Facts]:
        """The one microscope."""
        now = self.now("")
        device, told = self.settings.device, problems.read(self.state)
        info = self._info()
        state = "offline" if told is None or not told.alive else "degraded" if told.problems else "online"
        tile = {
            "device": self.settings.topic_prefix,
            "site": device.site,
            "area": device.area,
            "id": device.id,
            "state": state,
            "reasons": [{"text": text, "cure": cure} for text, cure in (told.problems if told else {}).items()],
            "last_row": now["row"],
            "last_image_ms": now["last_image_ms"],
            "queue": None if info is None else _queue(info),
            "version": told.live.get("version") if told else None,
            "today": now["today"],
            "heard_ms": None,
        }
        return [tile]

    def now(self, device: str) -> Facts:
        """See `Source`."""
        newest = self._history.page(limit=1)
        row = self._rows_shown([row for _, row in newest])[0] if newest else None
        return {"row": row, **self._status()}

    def rows(self, device: str, *, before: str, limit: int, doubtful: bool, search: str) -> Facts:
        """See `Source`. Of what is doubtful, what nobody has reviewed comes first."""
        found = self._history.page(before=_key(before), limit=limit, doubtful=doubtful, search=search)
        rows = self._rows_shown([row for _, row in found])
        if doubtful:
            rows.sort(key=lambda row: row["reviewed"] is not None)
        return {"rows": rows, "next": f"{found[-1][0][0]}-{found[-1][0][1]}" if len(found) == limit else None}

    def inspection(self, device: str, verdict_id: str) -> Facts | None:
        """See `Source`."""
        row = self._history.row(verdict_id)
        if row is None:
            return None
        (shown,) = self._rows_shown([row])
        try:
            document = self.document(verdict_id)
        except StateError:  # the row and its picture are there all the same
            document = None
        return {
            "row": shown,
            "inspection": document if row["kind"] == "inspection" else None,
            "failure": document if row["kind"] == "failure" else None,
            "reviews": [said(review) for review in self.reviews_of(row)],
            "has_image": self.pixels.there(row["path"], row["sha256"]),
            "has_overlay": self._overlay_file(verdict_id) is not None,
        }

    def message(self, device: str, verdict_id: str) -> bytes | None:
        """See `Source`. Raises StateError where the journal cannot be read."""
        return self._journal.use(lambda journal: journal.verdicts.sent(verdict_id))

    def overlay(self, device: str, verdict_id: str) -> tuple[bytes, str] | None:
        """See `Source`."""
        name = self._overlay_file(verdict_id)
        if name is None:
            return None
        try:
            data = (self.state / "pictures" / name).read_bytes()
        except OSError:  # pruned just now
            return None
        return data, "image/webp" if data[8:12] == b"WEBP" else "image/png"

    def image(self, device: str, verdict_id: str) -> bytes | None:
        """See `Source`."""
        row = self._history.row(verdict_id)
        return None if row is None or row["kind"] != "inspection" else self.pixels.png(row["path"], row["sha256"], row["page"])

    def timeline(self, device: str) -> Facts:
        """See `Source`."""
        version = self._version
        if self._timeline[0] != version:
            reviewed = self._reviews_by_id()
            facts = columns((row for _, row in self._history.after(FIRST)), reviewed, audit.read(self.state, "taught"))
            self._timeline = (version, facts)
        return {**self._timeline[1], "complete": self._history.complete()}

    def problems(self, device: str) -> Facts:
        """See `Source`."""
        told = problems.read(self.state)
        facts: Facts = {
            "problems": [{"text": text, "cure": cure} for text, cure in (told.problems if told else {}).items()],
            "running": told is not None and told.alive,
            "paused": bool(told and told.live.get("paused")),
            "failures": [],
            "dead_letters": [],
            "gaps": [],
            "suspects": 0,
            "journal": None,
        }
        if self._history.why is not None:
            facts["problems"].append({"text": self._history.why, "cure": INDEX_CURE})
        try:
            held, dead, counts = self._journal.use(_held)
        except StateError as error:
            facts["journal"] = str(error)
            return facts
        facts.update(counts)
        facts["dead_letters"] = [
            {"seq": one.seq, "topic": one.topic, "reason": one.reason, "ts_ms": round(one.ts * 1000), "id": one.verdict_id}
            for one in dead
        ]
        rows = [self._history.row(one.verdict_id) for one in held]
        facts["failures"] = self._rows_shown([row for row in rows if row is not None])
        facts["gaps"] = [{"epoch": epoch, "first": first, "last": last} for epoch, first, last in self._history.gaps()]
        return facts

    def news(self, after: int, timeout_s: float) -> list[Event]:
        """See `Source`."""
        return self._news.after(after, timeout_s)

    def last_event(self) -> int:
        """See `Source`."""
        return self._news.last

    # What the other modules of the page ask for

    def document(self, verdict_id: str) -> dict[str, Any] | None:
        """The message of a verdict, None where it is no longer kept. Raises StateError where the journal cannot be read."""
        return parsed(self.message("", verdict_id))

    def reviews_of(self, row: Row) -> list[Review]:
        """Those of one inspection, the latest first."""
        return list(reversed(self._reviews_by_id().get(row["id"], [])))

    # Inside

    def _status(self) -> Facts:
        told, info = problems.read(self.state), self._info()
        try:
            free = shutil.disk_usage(self.state).free
        except OSError:
            free = None
        last = self._history.page(limit=1)
        return {
            "lights": lights(told, info, free, time.time(), None if info is not None else self._journal.why),
            "last_image_ms": last[0][1]["ts_ms"] if last else None,
            "today": self._today.counts(self._version, self._reviews_by_id),
            "paused": bool(told and told.alive and told.live.get("paused")),
            "running": bool(told and told.alive),
            "clock_ms": round(time.time() * 1000),
        }

    def _info(self) -> dict[str, Any] | None:
        try:
            return self._journal.use(_counted)
        except StateError:
            return None

    def _overlay_file(self, verdict_id: str) -> str | None:
        try:
            name = self._journal.use(lambda journal: journal.verdicts.picture(verdict_id))
        except StateError:
            return None
        return name if name and "/" not in name and (self.state / "pictures" / name).is_file() else None

    def _rows_shown(self, rows: list[Row]) -> list[Row]:
        """Rows as a browser gets them: whether each is the newest of its image, and what reviewers said."""
        old = self._history.superseded([row["id"] for row in rows])
        reviews = self._reviews_by_id()
        device = self.settings.topic_prefix
        return [
            {**row, "device": device, "newest": row["id"] not in old, "reviewed": reviewed(reviews.get(row["id"], []))}
            for row in rows
        ]

    def _reviews_by_id(self) -> dict[str, list[Review]]:
        """The reviews by the inspection that they speak of, read when there are new ones."""
        try:
            count = self._journal.use(lambda journal: journal.reviews.newest())
            with self._mutex:
                if count != self._reviews[0]:
                    found: dict[str, list[Review]] = {}
                    for one in self._journal.use(lambda journal: list(journal.reviews.all())):
                        try:
                            review = parse_review(one.said, one.review_id)
                        except ReviewError:  # of a newer version
                            continue
                        found.setdefault(review.inspection_id or "", []).append(review)
                    self._reviews = (count, found)
        except StateError:  # those that are known
            pass
        return self._reviews[1]

    def _watch(self) -> None:
        """Open the journal, look for news; whatever goes wrong is tried again."""
        while not self._stopping.is_set():
            try:
                self._look()
                continue
            except (EdgeError, OSError) as error:
                self._journal.close(str(error))
                log.debug("the journal cannot be read: %s", error)
                self._news.add(("status", self._status_or_nothing()))
            except Exception:  # a defect of ours must not leave a page that stands still
                self._journal.close("the page has a defect: its log says more")
                log.exception("looking for news failed")
            self._shown = None
            self._stopping.wait(AGAIN_S)

    def _look(self) -> None:
        """Until the file of the journal is written anew, or the page ends."""
        self._journal.open()
        if self._shown is None:
            self._news.add(("reload", {}))  # it may be another one, or hold what nobody was told of
        said: Facts | None = None
        seen, index_at = -1, time.monotonic()
        while not self._stopping.is_set():
            changes = self._journal.use(lambda journal: journal.verdicts.changes())
            more = changes != seen or not self._history.complete()
            seen = changes
            filled = self._journal.use(lambda journal: self._history.fill(journal.verdicts)) if more else []
            self._tell_verdicts(filled)
            count = self._journal.use(lambda journal: journal.reviews.newest())
            if count != self._told_reviews and self._told_reviews >= 0:
                self._version += 1
                self._news.add(("review", {}))
            self._told_reviews = count
            now = self._status()
            if _without_clock(now) != said:
                said = _without_clock(now)
                self._news.add(("status", {"device": self.settings.topic_prefix, "now": now}))
            if self._history.why is not None and time.monotonic() - index_at > INDEX_AGAIN_S:
                index_at = time.monotonic()
                self._history.return_to_file()
            if not filled and self._stopping.wait(LOOK_S):
                return
            if self._journal.rewritten():
                return

    def _tell_verdicts(self, filled: list[tuple[Key, Row]]) -> None:
        """Those that are new. What was there at the first look is no news, whether the index had it already or not."""
        newest = self._history.page(limit=1) if filled or self._shown is None else []
        if self._shown is None:
            self._shown = newest[0][0] if newest else FIRST
        if not filled:
            return
        self._version += 1
        news = [(key, row) for key, row in filled if key > (self._shown or FIRST)]
        self._shown = newest[0][0] if newest else FIRST
        rows = self._rows_shown([row for _, row in reversed(news)])
        self._news.add(*(("verdict", {"row": row}) for row in rows))

    def _status_or_nothing(self) -> Facts:
        try:
            return {"device": self.settings.topic_prefix, "now": self._status()}
        except EdgeError:
            return {"device": self.settings.topic_prefix, "now": None}


def _held(journal: Journal) -> tuple[list[Any], list[Any], Facts]:
    """The newest images that failed and dead letters, and how many there are in all, and suspects."""
    counts = {
        "failures_in_all": sum(journal.quarantine.counts().values()),
        "dead_in_all": journal.outbox.dead_letter_count(),
        "suspects": journal.ledger.suspect_count(),
    }
    return journal.quarantine.images(MOST_SHOWN), journal.outbox.dead_letters()[-MOST_SHOWN:], counts


def _flat(told: Told) -> Row:
    row = row_of(
        told.sent,
        verdict_id=told.verdict_id,
        kind=told.kind,
        path=told.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        revision=told.revision,
        run=told.run,
        made_at=told.made_at,
    )
    row["epoch"], row["seq"] = told.epoch, told.key[1]
    return row


def _counted(journal: Journal) -> dict[str, Any]:
    """Of `Journal.info`, what a page shows: asked for twice a second, so without counting files and pages of the database."""
    return {
        "images": journal.ledger.counts(),
        "unsent": journal.outbox.unsent_count(),
        "oldest_unsent": journal.outbox.oldest_unsent(),
        "dead_letters": journal.outbox.dead_letter_count(),
    }


def _queue(info: dict[str, Any]) -> Facts:
    oldest = info["oldest_unsent"]
    return {
        "images_waiting": info["images"]["waiting"] + info["images"]["running"],
        "unsent": info["unsent"],
        "oldest_unsent_s": None if oldest is None else max(0.0, time.time() - oldest),
        "dead_letters": info["dead_letters"],
    }


def _without_clock(now: Facts) -> Facts:
    return {name: value for name, value in now.items() if name != "clock_ms"}


def _key(text: str) -> Key | None:
    epoch, _, seq = text.partition("-")
    return (int(epoch), int(seq)) if epoch.isdecimal() and seq.isdecimal() and max(len(epoch), len(seq)) < 19 else None
