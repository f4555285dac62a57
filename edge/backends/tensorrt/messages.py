"""TensorRT's messages in, our log and sentences out: one logger a library for building and running, errors kept to be told.

TensorRT keeps the first logger that a process gives it and drops later ones, so there is one.
"""

# TensorRT's classes are Any to the type checker
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

log = logging.getLogger(__name__)

MOST_KEPT = 8
"""Errors that are kept at a time."""


@lru_cache(maxsize=2)
def logger(trt: Any) -> Any:
    """TensorRT's logger of this process: it writes into our log, and keeps the newest errors in `errors`."""
    severity = trt.ILogger.Severity
    levels = {severity.INTERNAL_ERROR: logging.ERROR, severity.ERROR: logging.ERROR, severity.WARNING: logging.WARNING}

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, level: Any, message: str) -> None:
            kind = levels.get(level, logging.DEBUG)
            if kind == logging.ERROR:
                self.errors = [*self.errors[1 - MOST_KEPT :], message.strip()]
            log.log(kind, "TensorRT: %s", message)

        def told(self) -> str:
            """The last errors, as a part of a sentence."""
            return "; ".join(self.errors[-3:]) or "TensorRT gave no reason"

    return Logger()


@lru_cache(maxsize=2)
def recorder_class(trt: Any) -> Any:
    """A class that keeps the errors TensorRT reports of one engine, a few at a time."""

    class Recorder(trt.IErrorRecorder):
        def __init__(self) -> None:
            trt.IErrorRecorder.__init__(self)
            self._errors: list[tuple[Any, str]] = []

        def report_error(self, code: Any, description: str) -> bool:
            if len(self._errors) < MOST_KEPT:
                self._errors.append((code, description))
            return True

        def num_errors(self) -> int:
            return len(self._errors)

        def get_error_code(self, index: int) -> Any:
            return self._errors[index][0]

        def get_error_desc(self, index: int) -> str:
            return self._errors[index][1]

        def has_overflowed(self) -> bool:
            return len(self._errors) >= MOST_KEPT

        def clear(self) -> None:
            self._errors.clear()

        def take(self) -> tuple[list[str], bool]:
            """What was recorded, and whether it was about memory; forgets it."""
            taken = list(self._errors)
            self._errors.clear()
            memory = any(code == trt.ErrorCodeTRT.FAILED_ALLOCATION for code, _ in taken)
            return [description for _, description in taken], memory

    return Recorder
