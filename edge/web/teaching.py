"""Stored reviews in, a draft of an adaptation and how good it is out: `edge-teach` as a process of its own, one at a time.

Nothing is used by that: who may, takes the draft into use, and the daemon checks it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from edge.config import Settings
from edge.errors import EdgeError, ReviewError
from edge.inspection.taught_shelf import STATE, chosen, kept, path_of
from edge.journal import Journal
from edge.web.source import Facts

LONGEST_S: Final = 1800.0
PROGRAM: Final = """
import os, sys
try:
    os.nice(19)
except OSError:  # where the unit forbids it
    pass
from edge.commands.cli import teach
sys.exit(teach())
"""
COMMAND: Final = (sys.executable, "-c", PROGRAM)


class Teaching:
    """The draft of one state folder. Thread-safe."""

    def __init__(self, settings: Settings, command: tuple[str, ...] = COMMAND) -> None:
        self._settings, self._command = settings, command
        self._state = settings.state.folder
        self._folder = settings.state.folder / "web" / "drafts"
        self._mutex = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._draft: Facts | None = None
        self._error: str | None = None

    def facts(self) -> Facts:
        """As the page shows it."""
        with self._mutex:
            running, draft, error = self._process is not None, self._draft, self._error
        reviews = self._counted()
        return {
            "taught_is_state": self._settings.models.taught == STATE,
            "signed": bool(self._settings.models.public_key),
            "running": running,
            "draft": draft,
            "last_error": error,
            "chosen": self._chosen(),
            "kept": [self._described(sha256) for sha256 in kept(self._state)],
            **reviews,
        }

    def start(self) -> None:
        """Begin to teach with all stored reviews. Raises ReviewError when there are none, or it is under way already."""
        with self._mutex:
            if self._process is not None:
                raise ReviewError("it is being taught already: wait for the result")
            self._error = None
            work = Path(tempfile.mkdtemp(dir=_made(self._folder)))
            try:
                reviews = self._reviews()
                if not reviews:
                    raise ReviewError("there are no reviews yet: mark some regions first")
                (work / "reviews.jsonl").write_bytes(b"".join(line.strip() + b"\n" for line in reviews))
                names = {
                    "--reviews": work / "reviews.jsonl",
                    "--images": _made(self._state / "reviewed"),
                    "--out": work / "draft.json",
                    "--config": self._toml(work),
                }
                self._process = subprocess.Popen(
                    [*self._command, "--json", *(str(word) for pair in names.items() for word in pair)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
            threading.Thread(target=self._wait, args=(self._process, work), name="teaching", daemon=True).start()

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

    def _wait(self, process: subprocess.Popen[bytes], work: Path) -> None:
        draft: Facts | None = None
        try:
            out, err = process.communicate(timeout=LONGEST_S)
            draft, error = self._result(process.returncode, out, err, work)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            error = f"it took more than {LONGEST_S / 60:.0f} minutes and was ended: mark fewer images"
        except (OSError, ValueError, KeyError) as problem:
            error = f"its result cannot be used: {problem}"
        finally:
            shutil.rmtree(work, ignore_errors=True)
        with self._mutex:
            self._process, self._error = None, error
            self._draft = draft or self._draft

    def _result(self, status: int, out: bytes, err: bytes, work: Path) -> tuple[Facts | None, str | None]:
        said = err.decode("utf-8", "backslashreplace").strip().splitlines()
        if status not in (0, 1) or not out.strip():
            return None, said[-1] if said else f"edge-teach ended with status {status}"
        lesson = json.loads(out)
        told = [str(line) for line in lesson["told"]]
        facts = {name: lesson.get(name) for name in ("before", "after", "how", "counts")}
        if status == 1:
            return None, "; ".join(["this does not help, so nothing was written", *told])
        data = (work / "draft.json").read_bytes()
        (work / "draft.json").replace(self._folder / "draft.json")
        provisional = bool(json.loads(data).get("provisional"))
        return {**facts, "told": told, "sha256": hashlib.sha256(data).hexdigest(), "provisional": provisional}, None

    def _toml(self, work: Path) -> Path:
        """The settings as a file that commands read. JSON's strings, numbers and lists are TOML's."""
        lines = []
        for section, values in json.loads(self._settings.model_dump_json(by_alias=True)).items():
            lines.append(f"[{section}]")
            for key, value in values.items():
                if value is not None:
                    lines.append(f"{key} = {_toml_value(value)}")
        file = work / "config.toml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def _reviews(self) -> list[bytes]:
        with Journal.view(self._state) as journal:
            return [one.said for one in journal.reviews.all()]

    def _counted(self) -> Facts:
        try:
            with Journal.view(self._state) as journal:
                stored = journal.reviews.all()
        except EdgeError:
            stored = []
        return {"reviews": len(stored), "images": len({one.image_sha256 for one in stored})}

    def _chosen(self) -> str | None:
        try:
            return chosen(self._state).sha256
        except EdgeError:
            return None

    def _described(self, sha256: str) -> Facts:
        file = path_of(self._state, sha256)
        facts: Facts = {"sha256": sha256, "reviews": None, "images": None, "provisional": None, "made_ms": None}
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            told = json.loads(file.read_bytes())
            facts.update(reviews=told.get("reviews"), images=len(told.get("images") or []), provisional=told.get("provisional"))
            facts["made_ms"] = round(file.stat().st_mtime * 1000)
        return facts


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml_value(one)}" for key, one in value.items() if one is not None) + " }"
    return json.dumps(value)


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
