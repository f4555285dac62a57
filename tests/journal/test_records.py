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


def test_a_message_has_the_role_of_a_channel_where_it_names_one_and_only_then_can_be_retained() -> None:
    with pytest.raises(ValueError, match="name both or neither"):
        Message("channel", "a/b", b"x")
    with pytest.raises(ValueError, match="name both or neither"):
        Message("verdict", "inspection", b"x", channel="a")
    with pytest.raises(ValueError, match="cannot be retained"):
        Message("verdict", "inspection", b"x", retain=True)
    with pytest.raises(ValueError, match="needs a payload"):
        Message("channel", "a/b", None, "a.png", channel="a")
