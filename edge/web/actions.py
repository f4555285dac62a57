"""What a person wants changed in, requests to the daemon out. Only the page of one service has them; a broker's page reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.errors import ReviewError
from edge.journal import page_requests, requests
from edge.journal.page_requests import Answer
from edge.web.asking import Asking
from edge.web.journal_source import JournalSource
from edge.web.reviewing import compose
from edge.web.source import Facts
from edge.web.teaching import Teaching
from edge.web.users import Role
from edge.web.vocabulary import in_order, spelled

COMMANDS: Final[Mapping[str, Role]] = {
    "inspect": "review",
    "pause": "command",
    "resume": "command",
    "rescan": "command",
}
"""What may be asked for on the page, and the least role that may; an adaptation by `Actions.taught`."""


class Actions:
    """Every method blocks until the daemon has answered or has the file, and raises an EdgeError with a sentence."""

    def __init__(self, source: JournalSource) -> None:
        self._source = source
        self._state = source.state
        self.teaching = Teaching(source.settings)
        self.asking = Asking(source)

    def review(self, clicked: Mapping[str, Any], who: str) -> Facts:
        """Hand over a review of an inspection; its id. It is stored within a second, and shown then."""
        document = self._source.document(str(clicked.get("inspection_id")))
        if document is None or "inspection_id" not in document:
            raise ReviewError("the inspection is not known here any more, so it cannot be reviewed: inspect the image again")
        review_id, line = compose(self._as_the_plant_writes(clicked), document, who, self._source.settings.device)
        requests.leave_review(self._state, line)
        return {"review_id": review_id}

    def _as_the_plant_writes(self, clicked: Mapping[str, Any]) -> Mapping[str, Any]:
        said = clicked.get("severity")
        if not isinstance(said, dict) or not isinstance(said.get("verdict"), str):
            return clicked
        return {**clicked, "severity": {**said, "verdict": spelled(said["verdict"], self.teaching.severities())}}

    def teach(self, asked: Mapping[str, Any]) -> None:
        """Begin to teach. asked: `classes` where somebody put them in order, see `vocabulary.in_order`."""
        self.teaching.start(in_order(asked["classes"]) if asked.get("classes") is not None else "")

    def command(self, name: str, fields: Mapping[str, Any], who: str) -> Facts:
        """Have a command carried out."""
        return _facts(page_requests.ask(self._state, name, fields, who))

    def taught(self, sha256: str | None, who: str) -> Facts:
        """Take an adaptation into use, the draft too, None: go back to none."""
        if sha256 is not None:
            draft = self.teaching.facts()["draft"]
            if draft is not None and draft["sha256"] == sha256:
                page_requests.leave_adaptation(self._state, self.teaching.draft())
        return self.command("taught", {"sha256": sha256}, who)


def _facts(answer: Answer) -> Facts:
    return {"ok": answer.ok, "error": answer.error, "result": answer.result}
