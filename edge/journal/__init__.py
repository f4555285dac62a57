"""Images come in as paths and fingerprints; what is to be done, and messages that outlive every crash, come out."""

from edge.journal.journal import Journal
from edge.journal.outbox import Outbox
from edge.journal.records import (
    DeadLetter,
    Entry,
    ImageState,
    Kept,
    Message,
    Outgoing,
    PruneReport,
    RetainedSummary,
    Undrawn,
    Unsent,
    Verdict,
)

__all__ = [
    "DeadLetter",
    "Entry",
    "ImageState",
    "Journal",
    "Kept",
    "Message",
    "Outbox",
    "Outgoing",
    "PruneReport",
    "RetainedSummary",
    "Undrawn",
    "Unsent",
    "Verdict",
]
