"""A broker in, what pages show of all its microscopes out. It subscribes, and asks nobody for anything unless told to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from edge.errors import ConfigError
from edge.web.broker import Broker
from edge.web.heard import KINDS, Heard
from edge.web.news import News
from edge.web.reviewing import said as said_of
from edge.web.rows import Row, parsed
from edge.web.source import Event, Facts, Mode
from edge.web.subscriber import Subscriber
from edge.web.timeline import columns

MOST_DEVICES: Final = 1000
MOST_BYTES: Final = 256 << 20
MOST_PICTURE_BYTES: Final = 128 << 20
LARGEST_PICTURE: Final = 8 << 20
LOOK_S: Final = 1.0
REPLAY_S: Final = 5.0
DENIED_S: Final = 600.0
"""Until what the broker did not take is tried again: its rights may have been changed."""
QUIET_S: Final = 15.0
"""A daemon speaks of its health every 10 s."""
LONGEST_TOPIC: Final = 1000
HEARD_NOT: Final = "is --prefix right, may this user read these topics, and does any microscope publish?"
NOT_YET: Final = "no connection to the broker yet"
_LEVEL: Final = re.compile(r"[^/#+\x00-\x1f]+|\+")


class BrokerSource:
    """What `edge.web.source.Source` promises. `with` begins and ends its thread.

    prefix: four levels, + for any.  replay: ask for what is missing.  clock: seconds that never go back.
    """

    mode: Mode = "broker"

    def __init__(
        self, broker: Broker, prefix: str = "+/+/sem/+", *, replay: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        levels = prefix.split("/")
        if len(levels) != 4 or levels[2] != "sem" or not all(map(_LEVEL.fullmatch, levels)):
            raise ConfigError(f"a prefix is SITE/AREA/sem/ID, with + for any, not {prefix!r}")
        self._prefix, self._replay, self._clock = prefix, replay, clock
        self._since = clock()
        self._mutex = threading.RLock()
        self._devices: dict[str, Heard] = {}
        self._pictures: OrderedDict[tuple[str, str], tuple[bytes, str]] = OrderedDict()
        self._picture_bytes = 0
        self._why: str | None = NOT_YET
        self._news = News()
        self._fresh: list[Row] = []
        self._late = False
        self._changed: set[str] = set()
        self._shown: dict[str, Facts] = {}
        self._looked = 0.0
        self._asked: OrderedDict[tuple[str, str, int, int], None] = OrderedDict()
        self._replayed = 0.0
        self.left_out = 0
        self._began_ms = round(time.time() * 1000)
        topics = [f"{prefix}/{kind}" for kind in (*KINDS, "overlay/+")]
        self._subscriber = Subscriber(broker, topics, self.take, self.connection, self.turn)

    def __enter__(self) -> BrokerSource:
        self._subscriber.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriber.__exit__()

    # What comes in, in the thread of the subscriber

    def take(self, topic: str, payload: bytes) -> None:
        """One message. Whatever is not one of ours changes nothing."""
        parts = topic.split("/")
        if len(topic) > LONGEST_TOPIC or len(parts) not in (5, 6) or not all(parts) or not topic.isprintable():
            return
        prefix, kind = "/".join(parts[:4]), parts[4]
        with self._mutex:
            if kind == "overlay" and len(parts) == 6:
                self._picture(prefix, parts[5], payload)
            elif kind in KINDS and len(parts) == 5:
                self._message(prefix, kind, payload)

    def _message(self, prefix: str, kind: str, payload: bytes) -> None:
        known = self._devices.get(prefix)
        device = known or Heard(prefix, self._clock())
        found = device.take(kind, payload, self._clock())
        if found is None:
            return
        if known is None:
            if len(self._devices) >= MOST_DEVICES:
                self.left_out += 1
                return
            self._devices[prefix] = device
        self._changed.add(prefix)
        if isinstance(found, dict):
            self._tell(device, found)
            self._bound()
        elif kind == "review":
            self._news.add(("review", {"device": prefix}))

    def _bound(self) -> None:
        """Whoever takes the most memory gives the oldest."""
        while sum(device.bytes for device in self._devices.values()) > MOST_BYTES:
            largest = max(self._devices.values(), key=lambda device: device.bytes)
            if not largest.forget_oldest():
                return

    def _picture(self, prefix: str, verdict_id: str, payload: bytes) -> None:
        webp = payload[:4] == b"RIFF" and payload[8:12] == b"WEBP"
        if prefix not in self._devices or len(payload) > LARGEST_PICTURE or not (webp or payload[:8] == b"\x89PNG\r\n\x1a\n"):
            return
        old = self._pictures.pop((prefix, verdict_id), None)
        self._pictures[prefix, verdict_id] = (bytes(payload), "image/webp" if webp else "image/png")
        self._picture_bytes += len(payload) - (len(old[0]) if old else 0)
        while self._picture_bytes > MOST_PICTURE_BYTES:
            _, (data, _) = self._pictures.popitem(last=False)
            self._picture_bytes -= len(data)
        row = self._devices[prefix].rows.get(verdict_id)
        if row is not None:  # it comes after its verdict
            self._tell(self._devices[prefix], row)

    def _tell(self, device: Heard, row: Row) -> None:
        """Have pages show it, or have them read anew where it is an old one that came late."""
        newest = device.newest()
        if newest is not None and newest["id"] == row["id"]:
            self._fresh.append(newest)
            del self._fresh[:-100]
        else:
            self._late = True

    def connection(self, why: str | None) -> None:
        """It stands, or why not."""
        with self._mutex:
            self._why = why
            if why is None:
                self._since = self._clock()
                for device in self._devices.values():
                    device.listened_since(self._clock())
        self._news.add(("reload", {}))

    def turn(self) -> None:
        """Tell the pages what changed since the last look; ask for what is missing, where that is wanted."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        with self._mutex:
            fresh, self._fresh = self._fresh, []
            said: list[tuple[str, Facts]] = [("verdict", {"row": row}) for row in fresh]
            if self._late:
                said, self._late = [("reload", {})], False
            for prefix, device in self._devices.items():
                state, shown = device.state(now, True), self._shown.get(prefix, {})
                if prefix not in self._changed and shown.get("state") == state:
                    continue
                facts = {**device.now(now, True, ""), "state": state, "clock_ms": None}
                if facts != shown:
                    self._shown[prefix] = facts
                    said.append(("status", {"device": prefix, "now": {**facts, "clock_ms": round(time.time() * 1000)}}))
            self._changed.clear()
            missing = self._to_ask(now) if self._replay else None
        if said:
            self._news.add(*said)
        if missing is not None:
            prefix, epoch, first, last = missing
            body = json.dumps({"epoch": epoch, "first": first, "last": last}).encode()
            self._subscriber.publish(f"{prefix}/command/replay", body)

    def _to_ask(self, now: float) -> tuple[str, str, int, int] | None:
        """One range that nobody was asked for yet, every few seconds."""
        if now - self._replayed < (REPLAY_S if self._subscriber.denied is None else DENIED_S):
            return None
        if self._subscriber.denied is not None:
            self._asked.clear()
        for prefix, device in self._devices.items():
            for epoch, first, last in device.gaps.ranges():
                asked = (prefix, epoch, first, last)
                if asked not in self._asked:
                    self._asked[asked] = None
                    self._replayed = now
                    while len(self._asked) > 10_000:
                        self._asked.popitem(last=False)
                    return asked
        return None

    # What pages ask for

    def fleet(self) -> list[Facts]:
        """See `Source`."""
        with self._mutex:
            now, connected = self._clock(), self._why is None
            return [device.tile(now, connected, self._why or "") for _, device in sorted(self._devices.items())]

    def now(self, device: str) -> Facts:
        """See `Source`."""
        with self._mutex:
            found = self._device(device)
            if found is None:
                return self._nothing()
            return {"row": found.newest(), **found.now(self._clock(), self._why is None, self._why or "")}

    def rows(self, device: str, *, before: str, limit: int, doubtful: bool, search: str) -> Facts:
        """See `Source`."""
        with self._mutex:
            found = self._device(device)
            rows = [] if found is None else [(found.order_of(row), row) for row in reversed(found.ordered())]
            wanted, key = search.casefold(), _key(before)
            rows = [
                (order, row)
                for order, row in rows
                if (key is None or (_key(order) or key) < key)
                and (not doubtful or row["needs_review"])
                and (not wanted or wanted in f"{row['path']} {row['label']} {row['own_class']} {row['sample']}".casefold())
            ]
            page = rows[:limit]
            shown = [found.shown(row) for _, row in page] if found else []
        if doubtful:
            shown.sort(key=lambda row: row["reviewed"] is not None)
        return {"rows": shown, "next": page[-1][0] if len(rows) > limit else None}

    def inspection(self, device: str, verdict_id: str) -> Facts | None:
        """See `Source`."""
        with self._mutex:
            found = self._device(device)
            row = None if found is None else found.row(verdict_id)
            if found is None or row is None:
                return None
            document = parsed(found.document(verdict_id))
            return {
                "row": row,
                "inspection": document if row["kind"] == "inspection" else None,
                "failure": document if row["kind"] == "failure" else None,
                "reviews": [said_of(review) for review in found.reviews(verdict_id)],
                "has_image": False,
                "has_overlay": (found.prefix, verdict_id) in self._pictures,
            }

    def message(self, device: str, verdict_id: str) -> bytes | None:
        """See `Source`. Of what the broker never took, nothing was heard."""
        with self._mutex:
            found = self._device(device)
            return None if found is None else found.document(verdict_id)

    def overlay(self, device: str, verdict_id: str) -> tuple[bytes, str] | None:
        """See `Source`."""
        with self._mutex:
            found = self._device(device)
            return None if found is None else self._pictures.get((found.prefix, verdict_id))

    def image(self, device: str, verdict_id: str) -> bytes | None:
        """Never there: images are not published."""
        return None

    def timeline(self, device: str) -> Facts:
        """See `Source`. Of what was heard since this process began: nothing older will be filled in."""
        with self._mutex:
            found = self._device(device)
            rows = [] if found is None else found.ordered()
            facts = columns(rows, found.reviewed_ids() if found else {})
        return {**facts, "complete": True, "heard_since_ms": self._began_ms}

    def problems(self, device: str) -> Facts:
        """See `Source`."""
        with self._mutex:
            found = self._device(device)
            facts = (found or Heard("///", 0.0)).problems(self._why is None, self._clock())
            if self._why is not None:
                facts["problems"].insert(0, {"text": self._why, "cure": None})
            facts["problems"] += [{"text": text, "cure": cure} for text, cure in self._of_ours()]
            return facts

    def _of_ours(self) -> Iterator[tuple[str, str | None]]:
        """What is wrong here and at no microscope, with its cure."""
        if self._why is None:
            for topic in self._subscriber.refused:
                yield f"the broker does not let us read {topic}", "allow it to this user"
            if not self._devices and self._clock() - self._since > QUIET_S:
                yield f"nothing was heard on {self._prefix} since the connection stands", HEARD_NOT
        if self._subscriber.denied is not None:
            cure = "allow this user to publish command/replay, or leave --replay out"
            yield f"nobody can be asked for what is missing: {self._subscriber.denied}", cure
        if self.left_out:
            yield f"more than {MOST_DEVICES} microscopes publish: those heard last are not shown", "narrow --prefix"

    def news(self, after: int, timeout_s: float) -> list[Event]:
        """See `Source`."""
        return self._news.after(after, timeout_s)

    def last_event(self) -> int:
        """See `Source`."""
        return self._news.last

    def _device(self, device: str) -> Heard | None:
        """The one that is meant; the first where none is named."""
        if device:
            return self._devices.get(device)
        return self._devices[min(self._devices)] if self._devices else None

    def _nothing(self) -> Facts:
        facts = Heard("///", self._clock()).now(self._clock(), self._why is None, self._why or "")
        return {"row": None, **facts}


def _key(text: str) -> tuple[int, int] | None:
    epoch, _, seq = text.partition("-")
    return (int(epoch), int(seq)) if epoch.isdecimal() and seq.isdecimal() and len(text) < 40 else None
