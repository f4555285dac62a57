"""Our own retained messages and the journal in; a journal that was restored from a copy begins a new epoch."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from typing import Any, Final

from edge.journal import Journal, Kept, Message, Unsent, Verdict
from edge.wire.failure import is_tombstone
from edge.wire.renumber import renumbered, renumbered_id

log = logging.getLogger(__name__)

_LONGEST_KEPT: Final = 64 * 1024
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def look_back(journal: Journal, *, status: bytes | None, summary: bytes | None) -> str | None:
    """Compare the journal with what the broker keeps of us; why it began a new epoch, None when it goes on.

    status, summary: our own retained messages, as far as there are any. Anybody may have written them: what makes no
    sense says nothing. Raises StateError when the journal cannot be used.
    """
    status, summary = _not_too_long(status), _not_too_long(summary)
    kept = [*_kept(status, "last_seq"), *_kept(summary, "seq")]
    why = journal.contradiction(kept) or _other_content(journal, _fields(summary))
    if why is not None:
        moved = journal.renew(_rewritten)
        return f"the state was restored from a copy: {why}; epoch {journal.epoch} begins, with {moved} verdicts not yet sent"
    journal.compared(kept)
    _drop_older_summary(journal, summary)
    return None


def _other_content(journal: Journal, summary: dict[str, Any]) -> str | None:
    """Whether the broker's summary tells of another inspection under a number that was given here too, in words."""
    seq = summary.get("seq")
    if summary.get("epoch") != journal.epoch or not isinstance(seq, int) or not 0 < seq < 2**63:
        return None
    ours = journal.outbox.verdict(seq)
    if ours is None:
        return None
    verdict_id, payload = ours
    made_at = _fields(payload).get("ts_ms")  # None as well where it was pruned, or became a tombstone
    if summary.get("inspection_id", verdict_id) == verdict_id and (
        is_tombstone(payload or b"") or made_at is None or summary.get("ts_ms", made_at) == made_at
    ):
        return None
    return f"the broker has another inspection under seq {seq} of this epoch"


def _not_too_long(payload: bytes | None) -> bytes | None:
    return None if payload is None or len(payload) > _LONGEST_KEPT else payload


def _fields(payload: bytes | None) -> dict[str, Any]:
    if payload is None:
        return {}
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _kept(payload: bytes | None, name_of_seq: str) -> list[Kept]:
    body = _fields(payload)
    epoch, seq, since = body.get("epoch"), body.get(name_of_seq), body.get("connected_at")
    if not isinstance(epoch, str) or not _UUID.fullmatch(epoch):
        return []
    number = seq if isinstance(seq, int) and not isinstance(seq, bool) else None
    moment = since if isinstance(since, str) and _MOMENT.fullmatch(since) else None
    return [Kept(epoch, number, moment)]


def _drop_older_summary(journal: Journal, summary: bytes | None) -> None:
    """A summary that was stored before the state was copied must not take the place of a newer one."""
    ours = journal.outbox.summary()
    if ours is None or ours.sent:
        return
    mine, kept = _fields(ours.payload), _fields(summary)
    made_at, kept_at = mine.get("ts_ms"), kept.get("ts_ms")
    if mine.get("epoch") == kept.get("epoch") or not (isinstance(made_at, int) and isinstance(kept_at, int)):
        return
    if made_at < kept_at:
        journal.outbox.summary_sent(ours.seq)


def _rewritten(unsent: Unsent) -> Verdict:
    """The same verdict under its new number."""
    new_id = renumbered_id(
        unsent.verdict_id,
        old_epoch=unsent.old_epoch,
        epoch=unsent.epoch,
        path=unsent.path,
        revision=unsent.revision,
        run=unsent.run,
        kind=unsent.kind,
    )
    return Verdict(new_id, unsent.kind, tuple(_under(message, unsent, new_id) for message in unsent.messages))


def _under(message: Message, unsent: Unsent, new_id: str) -> Message:
    topic, payload = message.topic.replace(unsent.verdict_id, new_id), message.payload
    if message.role == "overlay" or payload is None:
        return replace(message, topic=topic)
    try:
        payload = renumbered(payload, epoch=unsent.epoch, seq=unsent.seq, old_id=unsent.verdict_id, new_id=new_id)
    except ValueError as error:  # not ours: it is sent as it stands
        log.warning("%s of %s keeps its old number: %s", message.role, unsent.verdict_id, error)
    return replace(message, topic=topic, payload=payload)
