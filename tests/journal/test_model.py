"""The journal against a model of it in a few dictionaries, over random histories with kills and restarts in between."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.journal import Entry, Journal, Message, Verdict
from edge.records import Fingerprint

PATHS = st.sampled_from(["done.tif", "running.tif", "waiting.tif", os.fsdecode(b"\xff.tif")])
FINGERPRINTS = st.builds(Fingerprint, st.integers(0, 2), st.just(7))


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.journal = Journal.open(Path(self.place.name) / "state")
        self.epoch = self.journal.epoch
        self.images: dict[str, Entry] = {}
        self.begun: dict[str, tuple[int, int]] = {}
        self.judged: dict[str, int] = {}
        self.held: set[str] = set()
        self.outbox: list[tuple[int, str, str]] = []  # seq, role, state; its row is the place in the list + 1
        self.seq = 0

    def teardown(self) -> None:
        self.journal.close()
        self.place.cleanup()

    def _in(self, state: str) -> list[str]:
        return [path for path, entry in self.images.items() if entry.state == state]

    @initialize()
    def start(self) -> None:
        """With something in every state, so that short histories get somewhere."""
        for path, size in (("done.tif", 1), ("running.tif", 1), ("waiting.tif", 1)):
            self.admit(path, Fingerprint(size, 7), backlog=False, ignore=False)
        for path in ("done.tif", "running.tif"):
            self._begin(path)
        self._conclude("done.tif", pages=2, fails=False)

    @rule(path=PATHS, fingerprint=FINGERPRINTS, backlog=st.booleans(), ignore=st.booleans())
    def admit(self, path: str, fingerprint: Fingerprint, backlog: bool, ignore: bool) -> None:
        old = self.images.get(path)
        entry = self.journal.ledger.admit(path, fingerprint, backlog=backlog, ignore=ignore)
        if old is not None and old.fingerprint == fingerprint:
            assert entry is None
            return
        running = old is not None and old.state == "running"
        expected = Entry(
            path, fingerprint, "running" if running else "ignored" if ignore else "waiting",
            1 + max(self.judged.get(path, 0), self.begun.get(path, (0, 0))[0]), 1, 0, 0, backlog,
            None if old is None else old.content,
        )  # fmt: skip
        assert entry == expected
        self.images[path] = expected
        self.held.discard(path)
        if ignore:
            self.judged[path] = expected.revision

    @precondition(lambda self: self._in("waiting"))
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self._begin(data.draw(st.sampled_from(self._in("waiting"))))

    def _begin(self, path: str) -> None:
        entry = self.images[path]
        self.held.discard(path)
        self.images[path] = replace(entry, state="running", attempts=entry.attempts + 1)
        self.begun[path] = (entry.revision, entry.run)
        assert self.journal.ledger.begin(path) == self.images[path]

    @precondition(lambda self: self._in("running"))
    @rule(data=st.data(), how=st.sampled_from(["release", "died"]))
    def stop(self, data: st.DataObject, how: str) -> None:
        path = data.draw(st.sampled_from(self._in("running")))
        entry = replace(self.images[path], state="waiting")
        if self.begun[path] == (entry.revision, entry.run):
            died = how == "died"
            entry = replace(entry, attempts=entry.attempts - (not died), deaths=entry.deaths + died)
        if how == "release":
            del self.begun[path]
        self.images[path] = entry
        getattr(self.journal.ledger, how)(path)

    @precondition(lambda self: self._in("running"))
    @rule(data=st.data(), how=st.sampled_from(["hold", "unchanged"]))
    def give_back(self, data: st.DataObject, how: str) -> None:
        path = data.draw(st.sampled_from(self._in("running")))
        entry = self.images[path]
        how = how if path in self.judged else "hold"
        as_begun = self.begun.pop(path) == (entry.revision, entry.run)
        getattr(self.journal.ledger, how)(path)
        if how == "unchanged" and as_begun:
            self.images[path] = replace(entry, state="done", revision=self.judged[path], attempts=0, deaths=0)
            return
        self.images[path] = replace(entry, state="waiting", attempts=entry.attempts - as_begun)
        if as_begun:
            self.held.add(path)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.held)))
        self.journal.ledger.resume([path])
        self.held.discard(path)

    @precondition(lambda self: self._in("running"))
    @rule(data=st.data(), pages=st.integers(1, 2), fails=st.booleans())
    def conclude(self, data: st.DataObject, pages: int, fails: bool) -> None:
        self._conclude(data.draw(st.sampled_from(self._in("running"))), pages, fails)

    def _conclude(self, path: str, pages: int, fails: bool) -> None:
        def make(first: int) -> Sequence[Verdict]:
            assert first == self.seq + 1
            if fails:
                raise OSError("no picture")
            messages = (
                Message("verdict", "inspection", b"verdict"),
                Message("overlay", "overlay", b"png"),
                Message("summary", "summary", b"summary"),
                Message("channel", "spBv1.0/plant", b"other", channel="other"),
            )
            return [Verdict(f"{self.epoch}/{first + page}", "inspection", messages) for page in range(pages)]

        if fails:
            try:
                self.journal.ledger.conclude(path, make)
            except OSError:
                return
            raise AssertionError("it should have failed")
        seqs = self.journal.ledger.conclude(path, make, f"{self.begun[path]}")
        assert seqs == list(range(self.seq + 1, self.seq + 1 + pages))
        self.seq += pages
        for seq in seqs:
            self.outbox += [(seq, role, "unsent") for role in ("verdict", "overlay", "channel")]
        entry = self.images[path]
        begun = self.begun.pop(path)
        done = begun == (entry.revision, entry.run)
        self.judged[path] = max(self.judged.get(path, 0), begun[0])
        self.images[path] = replace(entry, state="done" if done else "waiting", content=f"{begun}")

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        """What a kill leaves behind are the two files as they are while the journal is open."""
        folder = self.journal.folder
        names = ("journal.sqlite3", "journal.sqlite3-wal") if kill else ()
        left = {folder / name: (folder / name).read_bytes() for name in names}
        self.journal.close()
        for file, content in left.items():
            file.write_bytes(content)
        self.journal = Journal.open(folder)
        assert (self.journal.epoch, self.journal.renewed) == (self.epoch, False)
        running = self._in("running")
        self.held.clear()
        assert {entry.path for entry in self.journal.ledger.recover()} == set(running)
        for path in running:
            self.images[path] = replace(self.images[path], state="waiting")
            self.begun.pop(path)

    @precondition(lambda self: self.outbox)
    @rule(data=st.data(), what=st.sampled_from(["acknowledge", "bury"]))
    def answer(self, data: st.DataObject, what: str) -> None:
        row = data.draw(st.integers(1, len(self.outbox)))
        seq, role, state = self.outbox[row - 1]
        if what == "acknowledge":
            self.journal.outbox.acknowledge([row])
            state = "acked" if state == "unsent" else state
        elif role == "verdict":
            self.journal.outbox.bury(row, "too large", Message("verdict", "failure", b"stone"))
        else:
            self.journal.outbox.bury(row, "too large", None)
            state = "dead" if state == "unsent" else state
        self.outbox[row - 1] = (seq, role, state)

    @rule(first=st.integers(0, 5), count=st.integers(0, 5))
    def replay(self, first: int, count: int) -> None:
        again = [
            row
            for row, (seq, role, state) in enumerate(self.outbox)
            if first <= seq < first + count and role == "verdict" and state == "acked"
        ]
        assert self.journal.outbox.replay(self.epoch, first, first + count - 1) == len(again)
        for row in again:
            self.outbox[row] = (self.outbox[row][0], "verdict", "unsent")

    @precondition(lambda self: self.seq > 0)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(1, self.seq))
        before = self.images
        entry = self.journal.ledger.again(f"{self.epoch}/{seq}")
        assert entry is not None
        old = before[entry.path]
        if old.state in ("done", "ignored") or entry != old:
            self.held.discard(entry.path)
        if old.state in ("done", "ignored"):
            entry_expected = replace(old, state="waiting", run=old.run + 1, attempts=0, deaths=0, backlog=False)
            assert entry == entry_expected
        self.images[entry.path] = entry

    @invariant()
    def the_ledger_is_as_expected(self) -> None:
        assert self.journal.ledger.entries() == self.images
        waiting = self.journal.ledger.waiting()
        assert sorted(entry.path for entry in waiting) == sorted(set(self._in("waiting")) - self.held)
        ranks = [3 if entry.attempts > 3 else 1 if entry.attempts else 2 * entry.backlog for entry in waiting]
        assert ranks == sorted(ranks)

    @invariant()
    def the_outbox_is_as_expected(self) -> None:
        waiting = [(row, seq, role) for row, (seq, role, state) in enumerate(self.outbox, 1) if state == "unsent"]
        for channel in ("", "other"):
            rows = [(row.id, row.seq, row.role) for row in self.journal.outbox.unsent(channel=channel)]
            assert rows == [each for each in waiting if (each[2] == "channel") == bool(channel)][:100]
        assert self.journal.info()["last_seq"] == self.seq


TestJournalModel = JournalMachine.TestCase
TestJournalModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)
