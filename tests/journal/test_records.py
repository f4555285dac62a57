"""What cannot be made."""

from __future__ import annotations

import pytest

from edge.journal import Message, Verdict


def test_a_message_needs_a_payload_and_only_an_overlay_may_be_a_picture() -> None:
    with pytest.raises(ValueError, match="either"):
        Message("verdict", "inspection", None)
    with pytest.raises(ValueError, match="only an overlay"):
        Message("verdict", "inspection", None, "a.png")
    with pytest.raises(ValueError, match="exactly one"):
        Verdict("v", "inspection", (Message("overlay", "overlay/v", b"png"),))
