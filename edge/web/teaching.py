"""Stored reviews in, a draft of an adaptation and how good it is out: `edge-teach` as a process of its own, one at a time.

Nothing is used by that: who may, takes the draft into use, and the daemon checks it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge.config import Settings
from edge.config_text import written
from edge.errors import EdgeError, ReviewError
from edge.fleet.shelf import in_use
from edge.inspection.taught_shelf import STATE, cards_of, chosen, kept, path_of
from edge.journal import Journal
from edge.teach.reviews import Review, check_model, latest, parse_review
from edge.web.source import Facts
from edge.web.vocabulary import classes, severities

LONGEST_S: Final = 1800.0
PROGRAM: Final = """
import os, sys, threading
def end_with_parent():
    while os.read(0, 4096):
        pass
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
try:
    os.nice(19)
except OSError:  # where the unit forbids it
    pass
from edge.commands.cli import teach
sys.exit(teach())
"""
"""Its standard input stays open as long as the page lives: it ends with the page, however that ends."""
COMMAND: Final = (sys.executable, "-c", PROGRAM)


class Teaching:
    """The draft of one state folder. Thread-safe."""

    def __init__(self, settings: Settings, command: tuple[str, ...] = COMMAND) -> None:
        self._settings, self._command = settings, command
        self._state = settings.state.folder
        self._folder = settings.state.folder / "web" / "drafts"
        self._mutex = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._error: str | None = None
        self._draft = self._kept_draft()
        self._tidy()

    def facts(self) -> Facts:
        """As the page shows it."""
        with self._mutex:
            running, draft, error = self._process is not None, self._draft, self._error
        try:
            reviews, lines, unread = self._stored()
            segmenter = cards_of(in_use(self._settings))[0]
            usable, left_out, why_not = *self._sorted(reviews, lines, unread), None
        except EdgeError as problem:
            reviews, segmenter, usable, left_out, why_not = [], None, [], [], str(problem)
        return {
            "taught_is_state": self._settings.models.taught == STATE,
            "signed": bool(self._settings.models.public_key),
            "running": running,
            "draft": draft,
            "last_error": error,
            "chosen": self._chosen(),
            "kept": [self._described(sha256) for sha256 in kept(self._state)],
            "reviews": len(usable),
            "images": len({one.image.sha256 for one, _ in usable}),
            "left_out": left_out,
            "why_not": why_not,
            "severities": self._severities(reviews),
            "classes": classes(segmenter.classes if segmenter else (), latest(reviews)),
        }

    def severities(self) -> list[Facts]:
        """What fields are said to be; see `vocabulary`. Without a journal that can be read, what adaptations say."""
        try:
            reviews = self._stored()[0]
        except EdgeError:
            reviews = []
        return self._severities(reviews)

    def _severities(self, reviews: list[Review]) -> list[Facts]:
        chosen = self._chosen()
        files = [self._folder / "draft.json", *([path_of(self._state, chosen)] if chosen else ())]
        return severities(map(_told, files), latest(reviews))

    def start(self, in_rising_order: str = "") -> None:
        """Begin to teach with all stored reviews. Raises ReviewError when there are none, or it is under way already.

        in_rising_order: the classes of severities, as `edge-teach --classes` takes them; empty where the reviews say it.
        """
        with self._mutex:
            if self._process is not None:
                raise ReviewError("it is being taught already: wait for the result")
            self._error = None
            work = Path(tempfile.mkdtemp(dir=_made(self._folder)))
            try:
                usable, left_out = self._sorted(*self._stored())
                if not usable:
                    raise ReviewError("; ".join(["there is no review to learn from: mark some regions first", *left_out]))
                (work / "reviews.jsonl").write_bytes(b"".join(line.strip() + b"\n" for _, line in usable))
                names = {
                    "--reviews": work / "reviews.jsonl",
                    "--images": _made(self._state / "reviewed"),
                    "--out": work / "draft.json",
                    "--config": self._toml(work),
                }
                ordered = [f"--classes={in_rising_order}"] if in_rising_order else []
                self._process, alive = _started(
                    [*self._command, "--json", *ordered, *(str(one) for pair in names.items() for one in pair)]
                )
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
            threading.Thread(
                target=self._wait, args=(self._process, alive, work, left_out), name="teaching", daemon=True
            ).start()

    def draft(self) -> bytes:
        """The adaptation that was taught last. Raises ReviewError when there is none."""
        try:
            return (self._folder / "draft.json").read_bytes()
        except OSError as error:
            raise ReviewError("nothing was taught yet, or the draft is gone: teach first") from error

    def close(self) -> None:
        """End what is under way."""
        with self._mutex:
            if self._process is not None:
                self._process.kill()

    def _wait(self, process: subprocess.Popen[bytes], alive: int, work: Path, left_out: list[str]) -> None:
        draft: Facts | None = None
        try:
            out, err = process.communicate(timeout=LONGEST_S)
            draft, error = self._result(process.returncode, out, err, work, left_out)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            error = f"it took more than {LONGEST_S / 60:.0f} minutes and was ended: mark fewer images"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            error = f"its result cannot be used: {problem}"
        finally:
            os.close(alive)
            shutil.rmtree(work, ignore_errors=True)
        with self._mutex:
            self._process, self._error = None, error
            self._draft = draft or self._draft

    def _result(self, status: int, out: bytes, err: bytes, work: Path, left_out: list[str]) -> tuple[Facts | None, str | None]:
        said = err.decode("utf-8", "backslashreplace").strip().splitlines()
        if status not in (0, 1) or not out.strip():
            return None, said[-1] if said else f"edge-teach ended with status {status}"
        lesson = json.loads(out)
        told = [str(line) for line in lesson["told"]]
        facts = {name: lesson.get(name) for name in ("before", "after", "how", "counts")}
        if status == 1:
            return None, "; ".join(["this does not help, so nothing was written", *told])
        data = (work / "draft.json").read_bytes()
        provisional = bool(json.loads(data).get("provisional"))
        sha256 = hashlib.sha256(data).hexdigest()
        draft = {**facts, "told": [*told, *left_out], "sha256": sha256, "provisional": provisional}
        (work / "said.json").write_text(json.dumps(draft), encoding="utf-8")
        (work / "draft.json").replace(self._folder / "draft.json")
        (work / "said.json").replace(self._folder / "said.json")
        return draft, None

    def _tidy(self) -> None:
        """Remove what a page left that was killed while it taught."""
        with contextlib.suppress(OSError):
            for place in self._folder.iterdir():
                if place.is_dir() and time.time() - place.stat().st_mtime > LONGEST_S:
                    shutil.rmtree(place, ignore_errors=True)

    def _kept_draft(self) -> Facts | None:
        """What was taught before the page was started again; None where its file is not the one that is told of."""
        try:
            draft = json.loads((self._folder / "said.json").read_bytes())
            sha256 = hashlib.sha256((self._folder / "draft.json").read_bytes()).hexdigest()
            return dict(draft) if draft["sha256"] == sha256 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _toml(self, work: Path) -> Path:
        """The settings as a file that commands read."""
        file = work / "config.toml"
        file.write_text(written(self._settings), encoding="utf-8")
        return file

    def _stored(self) -> tuple[list[Review], dict[str, bytes], int]:
        """All reviews, their lines by id, and how many cannot be read. Raises EdgeError."""
        with Journal.view(self._state) as journal:
            stored = [one.said for one in journal.reviews.all()]
        lines: dict[str, bytes] = {}
        reviews: list[Review] = []
        unread = 0
        for line in stored:
            try:
                review = parse_review(line, "a stored review")
            except ReviewError:  # of a newer version
                unread += 1
                continue
            reviews.append(review)
            lines[review.review_id] = line
        return reviews, lines, unread

    def _sorted(
        self, reviews: list[Review], lines: Mapping[str, bytes], unread: int
    ) -> tuple[list[tuple[Review, bytes]], list[str]]:
        """The reviews that can teach now, with their lines; and in sentences why others cannot. Raises EdgeError.

        One whose image is gone, or of another segmenter, would stop the others.
        """
        segmenter = cards_of(in_use(self._settings))[0]
        usable, gone, other = [], 0, 0
        for review in latest(reviews):
            if not (self._state / "reviewed" / review.image.sha256).is_dir():
                gone += 1
            elif _of_other_model(review, segmenter.sha256 if segmenter else None):
                other += 1
            else:
                usable.append((review, lines[review.review_id]))
        told = {
            "the image is not kept: it was changed or removed before the review was stored": gone,
            "other models had found the regions: inspect the image again and review that": other,
            "another version of the product wrote it": unread,
        }
        return usable, [f"{count} left out: {why}" for why, count in told.items() if count]

    def _chosen(self) -> str | None:
        try:
            return chosen(self._state).sha256
        except EdgeError:
            return None

    def _described(self, sha256: str) -> Facts:
        file = path_of(self._state, sha256)
        facts: Facts = {"sha256": sha256, "reviews": None, "images": None, "provisional": None, "made_ms": None}
        with contextlib.suppress(OSError, TypeError):
            told = _told(file)
            facts.update(reviews=told.get("reviews"), images=len(told.get("images") or []), provisional=told.get("provisional"))
            facts["made_ms"] = round(file.stat().st_mtime * 1000)
        return facts


def _told(adaptation: Path) -> dict[str, Any]:
    """What its file holds; nothing of one that cannot be read."""
    try:
        told = json.loads(adaptation.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _started(command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and what to close when it has ended: while that is open, the process may live."""
    end, alive = os.pipe()
    try:
        process = subprocess.Popen(command, stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except BaseException:
        os.close(alive)
        raise
    finally:
        os.close(end)
    return process, alive


def _of_other_model(review: Review, segmenter: str | None) -> bool:
    try:
        check_model(review, segmenter=segmenter)
    except ReviewError:
        return True
    return False


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
