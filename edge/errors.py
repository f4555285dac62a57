"""Every error this package raises on purpose, so that each boundary can catch one name.

    EdgeError
    ├── ConfigError      the user asked for something impossible; exit status 2
    ├── ImageError       this image cannot be inspected: it becomes an edge.failure/1 and work goes on
    ├── ModelError       a model or its card is missing, damaged or not what it claims to be
    ├── ReviewError      a review cannot be used: it is none, contradicts itself, or is of another image or model
    ├── BackendError     the inference engine failed: the process exits and is restarted
    ├── StateError       the state folder cannot be used (locked by another daemon, damaged, read-only)
    │   └── StateFullError  the disk is full: intake pauses, nothing is lost
    └── BrokerError      the broker refused what we sent

Third-party errors are translated into these in the one file that imports the library.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

FailureCode = Literal[
    "empty",  # no bytes
    "not_an_image",  # the bytes are of no format we read
    "truncated",  # the structure points beyond the end of the file, and waiting did not help
    "damaged",  # the format is known, the pixels cannot be decoded
    "too_large",  # more pixels or bytes than the configured limit: refused before allocating
    "unsupported",  # a valid file of a kind that is no grey or colour image (complex numbers, 0 pages)
    "unreadable",  # the operating system refused (permission, input/output error)
    "not_a_file",  # a folder, socket or device with an image's name
    "outside_folder",  # a symbolic link that leaves the watched folder
    "still_changing",  # the file kept changing while it was read
    "crashed",  # inspecting it killed the process twice
    "internal",  # a defect of ours: the log has the traceback
]
FAILURE_CODES: Final[tuple[str, ...]] = get_args(FailureCode)


class EdgeError(Exception):
    """Base of all errors below. The message says what happened, where, and what to try."""


class ConfigError(EdgeError):
    """A setting or argument is unknown, malformed or contradicts another."""


class ImageError(EdgeError):
    """An image cannot be inspected.

    code: one of `FAILURE_CODES`, stable, for programs.
    message: one sentence for people, with what to do.
    """

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[FailureCode, str]]:
        """An exception with two arguments has to say how it crosses into another process."""
        return type(self), (self.code, self.message)


class ModelError(EdgeError):
    """A model file or its card cannot be used."""


class ReviewError(EdgeError):
    """A review, or a file of them, cannot be used."""


class BackendError(EdgeError):
    """The inference library failed to load or to run."""


class StateError(EdgeError):
    """The state folder cannot be used."""


class StateFullError(StateError):
    """The disk that holds the state folder is full."""


class BrokerError(EdgeError):
    """The broker refused a connection or a message."""


def in_words(error: BaseException) -> str:
    """An error of somebody else's code with its kind, for people; its kind alone where even asking it fails. Never raises."""
    try:
        return repr(error)
    except Exception:  # it is asked while another error is told, which must not be lost
        return f"{type(error).__name__} (it cannot be printed)"
