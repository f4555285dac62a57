"""Images come in as paths and fingerprints; what is to be done, and messages that outlive every crash, come out."""

from edge.journal.journal import (
    DeadLetter,
    Entry,
    Journal,
    Message,
    Outgoing,
    PruneReport,
    Summary,
    Undrawn,
    Verdict,
)

__all__ = [
    "DeadLetter",
    "Entry",
    "Journal",
    "Message",
    "Outgoing",
    "PruneReport",
    "Summary",
    "Undrawn",
    "Verdict",
]
