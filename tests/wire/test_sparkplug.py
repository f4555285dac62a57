"""A Sparkplug edge node: births with what is known, data with what is new, history for what waited, numbers that are kept."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from edge.config import parse
from edge.records import Failure, Inspection
from edge.wire.channel import Numbered
from edge.wire.sparkplug import STATE_FILE, UNNOTICED_S, Sparkplug, identifiers
from edge.wire.sparkplug_metrics import DEVICE_METRICS
from edge.wire.summary import encode_summary
from edge.wire.table import CHANNELS
from tests.wire.examples import DEVICE, EPOCH, ID, abstained, example, failure
from tests.wire.sparkplug_session import NOW_S, Connection, Outbox, Said, opened, settings

OTHER_EPOCH = "00000000-8a41-4a55-9c2d-6f6f0a1b2c3d"


def numbered(seq: int, verdict: Inspection | Failure) -> Numbered:
    return Numbered(verdict, ID, EPOCH, seq)


def bdseq(said: Said) -> int:
    number: int = said.values["bdSeq"]
    return number


def test_it_is_opened_where_it_is_wanted(tmp_path: Path) -> None:
    (row,) = (row for row in CHANNELS if row.name == "sparkplug")
    assert row.wanted(settings(tmp_path))
    assert not row.wanted(parse({"watch": {"folder": "/images"}}, {}))
    assert isinstance(row.open(settings(tmp_path)), Sparkplug)


def test_ids_have_defaults_that_differ_where_microscopes_do(tmp_path: Path) -> None:
    assert identifiers(settings(tmp_path)) == ("plant-1", "lab:sem-01", "sem-01")
    named = settings(tmp_path, sparkplug_group="G", sparkplug_node="N", sparkplug_device="D")
    assert identifiers(named) == ("G", "N", "D")


def test_a_node_is_born_with_its_device_and_then_says_data(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(1)
    connection.conclude(2, abstained())
    connection.conclude(3, failure())
    assert connection.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDATA"]
    assert [one.payload.seq for one in connection.said] == [0, 1, 2, 3, 4]
    assert connection.said[2].values["area_fraction"] == pytest.approx(0.01025)
    assert "area_fraction" not in connection.said[3].values
    assert connection.said[4].values.keys() == {"seq", *(name for name in DEVICE_METRICS if name.startswith("failure/"))}
    assert not any(one.historical for one in connection.said[2:])


def test_all_is_sent_now_and_taken_then(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(1)
    data = connection.last("DDATA")
    assert data.payload.timestamp == int(NOW_S * 1000)
    assert {one.timestamp for one in data.payload.metrics} == {data.values["ts"]}


def test_what_waited_is_history_and_the_births_have_the_newest(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path), Outbox()
    channel.will()
    for seq, verdict in ((1, example()), (2, abstained())):
        outbox.rows += channel.on_verdict(numbered(seq, verdict))
    connection = Connection(channel, outbox)
    assert connection.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
    assert connection.last("DBIRTH").values["seq"] == 2
    assert [one.historical for one in connection.said[2:]] == [True, True]
    assert [one.values["seq"] for one in connection.said[2:]] == [1, 2]
    assert all(len(one.values) > 30 for one in connection.said[2:])
    connection.conclude(3)
    assert not connection.last("DDATA").historical


def test_after_a_restart_the_births_have_what_the_last_life_knew(tmp_path: Path) -> None:
    channel = opened(tmp_path)
    channel.recall(encode_summary(example(), inspection_id=ID, epoch=EPOCH, seq=7, device=DEVICE))
    connection = Connection(channel)
    assert connection.last("DBIRTH").values["seq"] == 7
    connection.conclude(7)  # it waited in the journal
    assert connection.last("DDATA").historical
    connection.conclude(8)
    assert not connection.last("DDATA").historical


def test_a_new_epoch_is_no_history_and_the_old_one_is(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(100)
    connection.conclude(1, epoch=OTHER_EPOCH)
    assert not connection.last("DDATA").historical
    assert connection.last("DDATA").values["epoch"] == OTHER_EPOCH
    connection.conclude(99)
    assert connection.last("DDATA").historical


def test_what_is_sent_again_on_a_new_connection_is_history(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path), Outbox()
    first = Connection(channel, outbox)
    first.conclude(1)
    outbox.rows += channel.on_verdict(numbered(1, example()))  # the answer of the broker did not come
    second = Connection(channel, outbox)
    assert second.kinds == ["NBIRTH", "DBIRTH", "DDATA"]
    assert second.last("DDATA").historical


def test_what_is_stored_of_a_verdict_depends_on_nothing_else(tmp_path: Path) -> None:
    channel = opened(tmp_path)
    for verdict in (example(), failure()):
        before = channel.on_verdict(numbered(7, verdict))
        Connection(channel)
        assert channel.on_verdict(numbered(7, verdict)) == before


def test_a_rebirth_is_asked_for_and_given(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(1)
    connection.rebirth()
    connection.conclude(2, abstained())
    assert connection.kinds == ["NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH", "DDATA"]
    assert [one.payload.seq for one in connection.said] == [0, 1, 2, 0, 1, 2]
    assert bdseq(connection.said[3]) == bdseq(connection.said[0])
    assert connection.said[4].values["seq"] == 1


def test_what_is_no_command_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection(opened(tmp_path))
    connection.hear("spBv1.0/plant-1/NCMD/lab:sem-01", b"\xff\xff")
    connection.hear("spBv1.0/plant-1/NCMD/lab:sem-01", b"")
    assert connection.kinds == ["NBIRTH", "DBIRTH"]
    assert "is ignored" in caplog.text


def test_each_connect_has_the_next_number_also_after_a_restart(tmp_path: Path) -> None:
    channel = opened(tmp_path)
    assert [bdseq(Connection(channel).will) for _ in range(3)] == [0, 1, 2]
    assert bdseq(Connection(opened(tmp_path)).will) == 3
    births = Connection(opened(tmp_path))
    assert bdseq(births.will) == bdseq(births.said[0]) == 4


def test_where_no_broker_was_reached_no_number_is_used_up(tmp_path: Path) -> None:
    channel = opened(tmp_path)
    assert [bdseq(Connection(channel, reached=False).will) for _ in range(3)] == [0, 0, 0]
    assert [bdseq(Connection(channel).will) for _ in range(2)] == [0, 1]


def test_after_255_the_numbers_begin_at_0(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text('{"bdSeq": 254}')
    channel = opened(tmp_path)
    assert [bdseq(Connection(channel).will) for _ in range(3)] == [255, 0, 1]


@pytest.mark.parametrize("text", ["", "[]", '{"bdSeq": "x"}', "\x00"])
def test_a_number_that_cannot_be_read_is_said_and_begins_anew(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert bdseq(Connection(opened(tmp_path)).will) == 0
    assert "bdSeq begins at 0" in caplog.text


def test_a_number_that_cannot_be_written_still_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    channel = opened(tmp_path / "gone")
    assert [bdseq(Connection(channel).will) for _ in range(2)] == [0, 1]
    assert "cannot be written" in caplog.text


def test_with_a_primary_host_nothing_is_said_before_it_is_there(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path, sparkplug_host="scada"), Outbox()
    connection = Connection(channel, outbox)
    connection.conclude(1)
    connection.rebirth()
    connection.host(False, 5)
    connection.host(True, 6, name="historian")
    assert connection.said == []
    assert connection.left is None
    connection.host(True, 6)
    connection.host(True, 7)
    connection.conclude(2, abstained())
    assert connection.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
    assert [one.historical for one in connection.said[2:]] == [True, False]


def test_when_the_primary_host_goes_the_node_goes_and_its_verdicts_wait(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path, sparkplug_host="scada"), Outbox()
    first = Connection(channel, outbox)
    first.host(True, 6)
    first.host(False, 5)  # older: of an earlier life
    assert first.left is None
    first.host(False, 6)
    assert first.left == "the primary host scada is offline"
    first.conclude(1)
    assert first.kinds == ["NBIRTH", "DBIRTH"]
    second = Connection(channel, outbox)
    assert second.said == []
    assert second.left is None
    second.host(True, 8)
    assert second.kinds == ["NBIRTH", "DBIRTH", "DDATA"]
    assert bdseq(second.said[0]) == bdseq(first.said[0]) + 1


def test_the_same_image_again_is_new_data(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(1)
    again = dataclasses.replace(example(), source=dataclasses.replace(example().source, run=2))
    connection.conclude(2, again)
    assert connection.last("DDATA").values == {"seq": 2, "image_run": 2}


def test_while_the_microscope_is_away_its_device_is_dead_and_its_verdicts_wait(tmp_path: Path) -> None:
    connection = Connection(opened(tmp_path))
    connection.conclude(1)
    connection.device("the folder is gone")
    connection.conclude(2, abstained())  # it was read before
    connection.rebirth()
    assert connection.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDEATH", "NBIRTH"]
    assert not connection.last("DDEATH").payload.metrics
    connection.device(None)
    assert connection.kinds[5:] == ["DBIRTH", "DDATA"]
    assert connection.last("DBIRTH").values["seq"] == 2
    assert connection.last("DDATA").historical
    assert [one.payload.seq for one in connection.said] == [0, 1, 2, 3, 0, 1, 2]


def test_a_node_may_be_born_without_its_device(tmp_path: Path) -> None:
    channel = opened(tmp_path, sparkplug_host="scada")
    connection = Connection(channel)
    connection.device("the folder is gone")
    connection.host(True, 1)
    assert connection.kinds == ["NBIRTH"]
    connection.device(None)
    assert connection.kinds == ["NBIRTH", "DBIRTH"]


def test_what_a_primary_host_may_have_missed_is_said_again(tmp_path: Path) -> None:
    """It was gone before the broker said so, and QoS 0 tells nobody."""
    now = [NOW_S]
    channel, outbox = Sparkplug(settings(tmp_path, sparkplug_host="scada"), lambda: now[0]), Outbox()
    first = Connection(channel, outbox)
    first.host(True, 1)
    first.conclude(1)
    now[0] += UNNOTICED_S + 1
    first.conclude(2, abstained())
    now[0] += UNNOTICED_S - 1
    first.host(False, 1)
    second = Connection(channel, outbox)
    second.conclude(3)
    second.host(True, 2)
    assert second.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
    assert [one.values["seq"] for one in second.said[2:]] == [2, 3]
    assert all(one.historical for one in second.said[2:])
    second.rebirth()
    assert second.kinds[4:] == ["NBIRTH", "DBIRTH"]


def test_what_was_missed_waits_for_a_connection_that_takes_it(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path, sparkplug_host="scada"), Outbox()
    first = Connection(channel, outbox)
    first.host(True, 1)
    first.conclude(1)
    first.host(False, 1)
    channel.will()
    channel.on_message("spBv1.0/STATE/scada", b'{"online":true,"timestamp":2}')  # and the connection is lost here
    second = Connection(channel, outbox)
    second.host(True, 2)
    assert second.kinds == ["NBIRTH", "DBIRTH", "DDATA"]


def test_it_is_said_again_when_the_microscope_is_back_too(tmp_path: Path) -> None:
    channel, outbox = opened(tmp_path, sparkplug_host="scada"), Outbox()
    first = Connection(channel, outbox)
    first.host(True, 1)
    first.conclude(1)
    first.host(False, 1)
    second = Connection(channel, outbox)
    second.device("the folder is gone")
    second.host(True, 2)
    assert second.kinds == ["NBIRTH"]
    second.device(None)
    assert second.kinds == ["NBIRTH", "DBIRTH", "DDATA"]
    second.device("the folder is gone")
    second.device(None)
    assert second.kinds[3:] == ["DDEATH", "DBIRTH"]


def test_what_it_waits_for_is_told(tmp_path: Path) -> None:
    channel = opened(tmp_path, sparkplug_host="scada")
    connection = Connection(channel)
    assert channel.waits() == "waits for the primary host scada, which is offline"
    connection.host(True, 1)
    assert channel.waits() is False
