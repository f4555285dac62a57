"""What the Timeline makes of a switch of adaptation or models, and of a history that came over a broker."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.config import WebSettings
from edge.journal import Journal, Message, Verdict, audit, page_requests
from edge.web.broker_source import BrokerSource
from edge.web.journal_source import JournalSource
from edge.web.source import Source
from edge.web.subscriber import Broker
from tests.conftest import settings_for
from tests.fakes.brokers import eventually, free_port
from tests.journal.examples import inspected
from tests.web.browser.conftest import opened
from tests.web.browser.plain import Plain
from tests.web.documents import inspection

pytestmark = [pytest.mark.slow]

ADAPTATION = "d" * 64


@contextmanager
def served(source: Source, users_file: Path | None) -> Iterator[str]:
    """The address of a page that shows this source."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from edge.web.serve import serve

    web = WebSettings(listen=f"127.0.0.1:{free_port()}", users_file=str(users_file or ""))
    until = threading.Event()
    thread = threading.Thread(target=serve, args=(source, web), kwargs={"version": "1", "until": until}, daemon=True)
    thread.start()
    try:
        eventually(lambda: Plain(web.address[1]).answers(), 120)
        yield f"http://{web.listen}/"
    finally:
        until.set()
        thread.join(30)


@contextmanager
def daemon(state: Path) -> Iterator[list[dict[str, Any]]]:
    """Answers every command, and keeps its fields; of the first image it says that it is gone."""
    asked: list[dict[str, Any]] = []
    ended = threading.Event()

    def answer() -> None:
        while not ended.is_set():
            for file in page_requests.waiting(state, page_requests.COMMAND):
                asked.append(page_requests.read(file).fields)
                gone = len(asked) == 1
                page_requests.answer(file, page_requests.Answer(not gone, "the image is gone" if gone else None, {}))
            time.sleep(0.02)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield asked
    ended.set()
    thread.join()


def id_of(number: int) -> str:
    return f"00000000-0000-5000-8000-{number:012}"


def verdict(number: int, payload: bytes) -> Callable[[int], Sequence[Verdict]]:
    return lambda _seq: [Verdict(id_of(number), "inspection", (Message("verdict", "inspection", payload),))]


def judged_by(taught: str | None, segmenter: str | None = None) -> bytes:
    document = copy.deepcopy(inspection())
    document["sample"]["annealing_min"] = 60.0
    document["model"]["taught"] = {"sha256": taught} if taught else None
    if segmenter:
        document["model"]["segmenter"]["sha256"] = segmenter
    return json.dumps(document).encode()


def test_a_switch_is_marked_joins_nothing_and_what_was_judged_before_can_be_inspected_again(
    tmp_path: Path, chromium: Any, users: Path
) -> None:
    (tmp_path / "watched").mkdir()
    settings = settings_for(tmp_path / "watched")
    state = settings.state.folder
    with Journal.open(state) as journal:
        for number, taught in enumerate((None, None, ADAPTATION, ADAPTATION, None)):
            inspected(journal, f"{number}.tif", verdict(number, judged_by(taught)))
        inspected(journal, "last.tif", verdict(5, judged_by(None, "e" * 64)))
    for sha256, who in ((ADAPTATION, "<i>ann</i>"), (None, "bob")):
        told = {"error": None, "result": {}}
        audit.append(state, at=time.time() - 5, who=who, command="taught", fields={"sha256": sha256}, told=told)
    with JournalSource(settings) as source, served(source, users) as address, daemon(state) as asked:
        with opened(chromium, address) as seen:
            seen.enter("review", "timeline")
            seen.says(
                "#told", "<i>ann</i> changed the adaptation to dddddddddddd", "bob changed the adaptation to no adaptation"
            )
            seen.says("#told", "other models", "Lines are not joined over it")
            boxes = seen.page.query_selector_all(".plot")
            assert [box.get_attribute("data-lines") for box in boxes] == ["4"] * 3, "before, with, after, other models"
            seen.page.select_option("#axis", "exposure")
            boxes = seen.page.query_selector_all(".plot")
            assert [box.get_attribute("data-lines") for box in boxes] == ["3"] * 3, "what was judged alike is one line"
            seen.says("#before-switch", "5 images were judged otherwise")
            seen.page.click("#again")
            seen.says("#answer", "4 are inspected again", "1 are not: the image is gone")
        assert sorted(one["inspection_id"] for one in asked) == [id_of(number) for number in range(5)]


def test_what_came_over_a_broker_says_since_when_and_offers_no_inspection(chromium: Any) -> None:
    source = BrokerSource(Broker("127.0.0.1", 1))
    prefix = "plant/lab/sem/s1"
    for number, taught in enumerate((None, ADAPTATION)):
        document = json.loads(judged_by(taught))
        document.update(inspection_id=f"v{number}", seq=number + 1, epoch="e")
        document["image"]["path"] = f"{number}.tif"
        source.take(f"{prefix}/inspection", json.dumps(document).encode())
    with served(source, None) as address, opened(chromium, address) as seen:
        seen.page.goto(f"{address}#/timeline?device={prefix.replace('/', '%2F')}")
        seen.says("#told", "heard over the broker since", "somebody changed the adaptation")
        assert seen.page.query_selector(".plot").get_attribute("data-lines") == "2"
        assert seen.page.is_hidden("#before-switch")
