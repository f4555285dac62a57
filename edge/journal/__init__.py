"""Images come in as paths and fingerprints; what is to be done, and messages that outlive every crash, come out."""

from edge.journal.journal import Journal
from edge.journal.outbox import Outbox
from edge.journal.records import (
    Counts,
    DeadLetter,
    Entry,
    ImageState,
    Kept,
    Message,
    Outgoing,
    PruneReport,
    Quarantined,
    RetainedSummary,
    Suspect,
    Undrawn,
    Unsent,
    Verdict,
)

__all__ = [
    "Counts",
    "DeadLetter",
    "Entry",
    "ImageState",
    "Journal",
    "Kept",
    "Message",
    "Outbox",
    "Outgoing",
    "PruneReport",
    "Quarantined",
    "RetainedSummary",
    "Suspect",
    "Undrawn",
    "Unsent",
    "Verdict",
]
