"""The page of a journal, served in this process, so that a test can hand it news and renew it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from edge.config import WebSettings
from edge.web.journal_source import JournalSource
from edge.web.serve import serve
from tests.conftest import settings_for
from tests.fakes.brokers import eventually, free_port
from tests.web.bench import fill


class Alone:
    """`with` serves it. address: what a browser is given.  source: what stands behind it.  rows: the newest verdicts."""

    def __init__(self, base: Path, images: int, users: Path | None = None) -> None:
        (base / "export").mkdir(parents=True)
        fill(base / "state", images)
        self.settings = settings_for(base / "export")
        self.web = WebSettings(listen=f"127.0.0.1:{free_port()}", users_file=str(users) if users else "")
        self.address = f"http://{self.web.listen}/"
        self.rows: list[dict[str, Any]] = []
        self._sent = 0

    def __enter__(self) -> Alone:
        self.source = JournalSource(self.settings)
        self.source.__enter__()
        self._begin()
        eventually(lambda: self._rows() and self.source._history.complete(), 120)
        self.rows = self._rows()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self.source.__exit__(None, None, None)

    def restart(self) -> None:
        """As a service that is upgraded: its sessions end, and its page is what the files are now."""
        self._end()
        self._begin()

    def tell(self, count: int, each: int = 10) -> None:
        """So many verdicts as news, few at a time: many at once would be one `reload`."""
        for number in range(0, count, each):
            for _ in range(each):
                row = {**self.rows[self._sent % len(self.rows)], "ts_ms": round(time.time() * 1000)}
                self.source._news.add(("verdict", {"row": row}))
                self._sent += 1
            if number % 50 == 0:
                self.source._news.add(("status", {"device": self.settings.topic_prefix, "now": self.source._status()}))
            time.sleep(0.02)  # the pace of a stream that is played

    def _rows(self) -> list[dict[str, Any]]:
        found = self.source.rows("", before="", limit=200, doubtful=False, search="")["rows"]
        return list(found)

    def _begin(self) -> None:
        beats: list[int] = []
        self._until = threading.Event()
        self._thread = threading.Thread(
            target=serve,
            args=(self.source, self.web),
            kwargs={"version": "1", "until": self._until, "beat": lambda: beats.append(1)},
            daemon=True,
        )
        self._thread.start()
        eventually(lambda: beats, 120, "the page is served")

    def _end(self) -> None:
        self._until.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
