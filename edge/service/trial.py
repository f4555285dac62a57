"""A release that was fetched in; whether its models load and inspect a shipped image out, found in a process of its own.

A model is a program of a kind: it may take all memory, never end, or kill who loads it. So it is tried where that costs little.
"""

from __future__ import annotations

import multiprocessing.connection
import os
from collections.abc import Callable
from typing import Final

from edge.backends import table
from edge.config import Settings
from edge.errors import EdgeError, in_words
from edge.fleet.release import Release
from edge.inspection.pipeline import Pipeline
from edge.records import Source
from edge.samples import smallest_sample
from edge.service.isolated import DiedError, SilentError, answer_of, let_go_first

LONGEST_S: Final = 900.0
NICE: Final = 10


def refusal(
    release: Release, settings: Settings, given_up: Callable[[], bool] = lambda: False, longest_s: float = LONGEST_S
) -> str | None:
    """Why this release cannot be used here, None where it can; also None where that was given up: ask `given_up` again.

    settings: of the configuration; of them the release replaces the models.
    """
    try:
        tried = release.in_place_of(settings)
    except EdgeError as error:
        return str(error)
    if tried.models.backend == "kserve":  # the server need not have it yet: that it loads is found out here
        tried = tried.model_copy(update={"models": tried.models.model_copy(update={"backend": table.AUTO})})
    try:
        why: str | None = answer_of(_work, (tried,), "trial", longest_s, given_up)
    except SilentError:
        return f"its models gave no answer on a shipped image within {longest_s:g} s"
    except DiedError as died:
        return f"its models killed the process in which they were tried on a shipped image (exit status {died.exit_status})"
    return why


def _work(sender: multiprocessing.connection.Connection, settings: Settings) -> None:
    let_go_first()
    os.nice(NICE)
    why = None
    try:
        with Pipeline(settings) as pipeline:
            pipeline.inspect(smallest_sample(), Source("sample", "sample", None))
    except EdgeError as error:
        why = str(error)
    except Exception as error:  # a card or a network that nobody foresaw
        why = f"trying its models on a shipped image failed: {in_words(error)}"
    sender.send(why)
    sender.close()
