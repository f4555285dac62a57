"""The places of the code where a death hurts most: a table in, the function that each one stands at out."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Point:
    """One place. name: in a trial's case.  words: what is done, and what is not done yet.

    function: `module:name`, of a class `module:Class.name`, as its callers find it.  side: of the call.
    calls: the death comes at one of the first so many.  since: they count once this function was called, "" from the start.
    """

    name: str
    words: str
    function: str
    side: Literal["before", "after"]
    calls: int = 1
    since: str = ""


POINTS: Final = (
    Point("committed", "a verdict is committed; neither the witness nor the broker knows",
          "edge.journal.numbering:Numbering.record", "before", 3),
    Point("acknowledged", "the broker has acknowledged messages; the outbox does not know",
          "edge.journal.outbox:Outbox.acknowledge", "before", 3),
    Point("settled", "a file is finished; the ledger does not know it", "edge.service.scanner:Scanner._enter", "before", 3),
    Point("admitted", "a file is in the ledger; nobody was told", "edge.service.scanner:Scanner._enter", "after", 3),
    Point("decoded", "an image is decoded; the networks have not seen it", "edge.service.decoder:Decoder._read", "after", 3),
    Point("inspected", "the networks are done; the recorder has nothing",
          "edge.service.inspector:Inspector._inspect", "after", 3),
    Point("written", "a verdict's messages are in the transaction; it is not committed",
          "edge.journal.outbox:Outbox.insert", "after", 3),
    Point("drawn", "a picture's file is there; the publisher does not know",
          "edge.journal.pictures:Pictures.write", "after", 3),
    Point("published", "a message is handed to the connection; no acknowledgement has come",
          "edge.mqtt.session:Session._send_row", "after", 6),
    Point("replayed", "in the midst of a replay", "edge.mqtt.session:Session._send_row", "after", 3,
          since="edge.journal.outbox:Outbox.replay"),
    Point("forgotten", "old messages are forgotten; their pictures' files are there",
          "edge.journal.pictures:Pictures.remove", "before", 3, since="edge.journal.retention:Pruning.down_to"),
    Point("first start", "an epoch is made; the witness is being written", "edge.journal.witness:Witness._line", "before", 3),
    Point("reviewed", "a review is stored; its image is not copied, its request not removed",
          "edge.service.reviewed:keep_image", "before"),
    Point("ending", "the database is closed; the witness is not, nor is the lock given back",
          "edge.journal.database:Database.close", "after"),
)  # fmt: skip
BY_NAME: Final = {point.name: point for point in POINTS}


def found(function: str) -> tuple[Any, str]:
    """What holds a function, and its name there. Raises ImportError or AttributeError where there is none."""
    module, _, path = function.partition(":")
    owner: Any = importlib.import_module(module)
    *above, name = path.split(".")
    for part in above:
        owner = getattr(owner, part)
    if not callable(getattr(owner, name)):
        raise AttributeError(f"{function} is no function")
    return owner, name
