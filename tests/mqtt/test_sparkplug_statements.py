"""Every statement of Sparkplug 3.0.0 that can be seen of an edge node: one test for each, with the specification's own id.

Each is checked on the packets of two lives before a real broker, and of the first one under both versions of MQTT. Which
statements are about others, or about what this node never says, stands in `tests.wire.sparkplug_statements`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from edge.wire.sparkplug_b_pb2 import Payload
from edge.wire.sparkplug_metrics import DEVICE_METRICS
from tests.fakes.brokers import needs_mosquitto
from tests.mqtt.sparkplug_life import COMMAND, DEVICE, GROUP, NODE, Life, Link, life_with_a_host, whole_life
from tests.wire.sparkplug_session import Said
from tests.wire.sparkplug_statements import NOT_OURS

pytestmark = needs_mosquitto

Check = Callable[[Life], None]
CHECKS: dict[str, Check] = {}
HOST_CHECKS: dict[str, Check] = {}

BIRTHS, ALL_KINDS = ("NBIRTH", "DBIRTH"), {"NBIRTH", "DBIRTH", "DDATA", "DDEATH", "NDEATH"}
INT64, BOOLEAN, STRING = 4, 11, 12


def states(*ids: str) -> Callable[[Check], Check]:
    """These statements are checked by this function, on the whole life."""

    def note(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(ids, check))
        return check

    return note


def states_of_host(*ids: str) -> Callable[[Check], Check]:
    """The same on the life with a primary host."""

    def note(check: Check) -> Check:
        HOST_CHECKS.update(dict.fromkeys(ids, check))
        return check

    return note


@pytest.fixture(scope="module", params=[5, 311])
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return whole_life(tmp_path_factory.mktemp("life"), request.param)


@pytest.fixture(scope="module")
def host_life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return life_with_a_host(tmp_path_factory.mktemp("hosted"))


def each(life: Life, *kinds: str) -> Iterator[tuple[Link, Said]]:
    for link in life.links:
        for said in link.said:
            if said.kind in kinds:
                yield link, said


def numbered(link: Link) -> list[int]:
    return [said.payload.seq for said in link.said if said.kind != "NDEATH"]


# ------------------------------------------------------------------------------------------------------ topics and packets


@states("tck-id-topic-structure", "tck-id-topic-structure-namespace-a")
def topics_have_the_namespace_and_its_levels(life: Life) -> None:
    assert {said.kind for said in life.said} == ALL_KINDS
    for said in life.said:
        namespace, group, kind, node, *device = said.publication.topic.split("/")
        assert (namespace, group, node) == ("spBv1.0", GROUP, NODE)
        assert device == ([DEVICE] if kind.startswith("D") else [])


@states(
    *("tck-id-intro-group-id-string", "tck-id-intro-edge-node-id-string", "tck-id-intro-device-id-string"),
    *("tck-id-intro-group-id-chars", "tck-id-intro-edge-node-id-chars", "tck-id-intro-device-id-chars"),
    *("tck-id-topic-structure-namespace-valid-group-id", "tck-id-topic-structure-namespace-valid-edge-node-id"),
    "tck-id-topic-structure-namespace-valid-device-id",
)
def ids_are_text_that_a_topic_can_hold(life: Life) -> None:
    """Other ids are refused by the settings: tests/test_config.py."""
    for part in (GROUP, NODE, DEVICE):
        assert not set("/+#") & set(part)
        assert part.encode("utf-8")


@states(
    "tck-id-topic-structure-namespace-device-id-associated-message-types",
    "tck-id-topic-structure-namespace-device-id-non-associated-message-types",
)
def device_ids_stand_in_topics_of_devices_alone(life: Life) -> None:
    for said in life.said:
        assert (said.publication.topic.count("/") == 4) == (said.kind in ("DBIRTH", "DDATA", "DDEATH"))


def _topic(kind: str) -> Check:
    def check(life: Life) -> None:
        device = f"/{DEVICE}" if kind.startswith("D") else ""
        topics = {said.publication.topic for said in life.of(kind)}
        assert topics == {f"spBv1.0/{GROUP}/{kind}/{NODE}{device}"}

    return check


for _kind in ALL_KINDS:
    states(f"tck-id-topics-{_kind.lower()}-topic")(_topic(_kind))
states("tck-id-message-flow-edge-node-birth-publish-nbirth-topic")(_topic("NBIRTH"))
states("tck-id-message-flow-device-birth-publish-dbirth-topic")(_topic("DBIRTH"))
states("tck-id-message-flow-device-birth-publish-dbirth-match-edge-node-topic")(_topic("DBIRTH"))


def _qos_0_not_retained(kind: str) -> Check:
    def check(life: Life) -> None:
        assert life.of(kind)
        assert {(said.publication.qos, said.publication.retain) for said in life.of(kind)} == {(0, False)}

    return check


for _kind in ("NBIRTH", "DBIRTH", "DDATA", "DDEATH"):
    states(f"tck-id-topics-{_kind.lower()}-mqtt")(_qos_0_not_retained(_kind))
for _kind in ("NBIRTH", "DBIRTH", "DDATA"):
    states(f"tck-id-payloads-{_kind.lower()}-qos", f"tck-id-payloads-{_kind.lower()}-retain")(_qos_0_not_retained(_kind))
for _name, _kind in (("edge-node-birth-publish-nbirth", "NBIRTH"), ("device-birth-publish-dbirth", "DBIRTH")):
    states(f"tck-id-message-flow-{_name}-qos", f"tck-id-message-flow-{_name}-retained")(_qos_0_not_retained(_kind))


@states("tck-id-principles-persistence-clean-session-311", "tck-id-principles-persistence-clean-session-50")
def sessions_begin_and_end_with_their_connection(life: Life) -> None:
    assert {(link.clean, link.session_expiry_s) for link in life.links} == {(True, 0)}
    assert {link.version for link in life.links} <= {4, 5}


@states("tck-id-message-flow-edge-node-ncmd-subscribe")
def commands_are_listened_to_with_qos_1(life: Life) -> None:
    assert all(link.topics == {COMMAND: 1} for link in life.links)


# ------------------------------------------------------------------------------------------------------ births and deaths


@states(
    "tck-id-principles-birth-certificates-order",
    "tck-id-message-flow-edge-node-birth-publish-connect",
    "tck-id-message-flow-device-birth-publish-nbirth-wait",
    *("tck-id-payloads-dbirth-order", "tck-id-payloads-ddata-order"),
)
def births_come_first(life: Life) -> None:
    for link in life.links:
        order = [kind for kind in link.order if kind != "SUBSCRIBE"]
        assert order[0] == "NBIRTH"
        alive = False
        for kind in order:
            if kind in ("NBIRTH", "DDEATH"):
                alive = False
            alive = alive or kind == "DBIRTH"
            assert kind != "DDATA" or alive


@states(
    *("tck-id-topics-nbirth-seq-num", "tck-id-payloads-nbirth-seq", "tck-id-payloads-sequence-num-zero-nbirth"),
    "tck-id-message-flow-edge-node-birth-publish-nbirth-payload-seq",
)
def a_nodes_birth_has_number_0(life: Life) -> None:
    assert {(said.payload.HasField("seq"), said.payload.seq) for said in life.of("NBIRTH")} == {(True, 0)}


@states(
    *("tck-id-topics-dbirth-seq", "tck-id-topics-ddata-seq-num", "tck-id-topics-ddeath-seq-num"),
    *("tck-id-payloads-dbirth-seq", "tck-id-payloads-dbirth-seq-inc", "tck-id-payloads-ddata-seq"),
    *("tck-id-payloads-ddata-seq-inc", "tck-id-payloads-ddeath-seq", "tck-id-payloads-ddeath-seq-inc"),
    *("tck-id-payloads-ddeath-seq-number", "tck-id-payloads-sequence-num-incrementing"),
    "tck-id-message-flow-device-birth-publish-dbirth-payload-seq",
)
def numbers_rise_by_one_and_begin_again_after_255(life: Life) -> None:
    assert 255 in numbered(life.links[0])
    for link in life.links:
        before = -1
        for said in link.said:
            if said.kind == "NDEATH":
                continue
            expected = 0 if said.kind == "NBIRTH" else (before + 1) % 256
            assert said.payload.seq == expected, said.kind
            before = said.payload.seq


@states("tck-id-payloads-sequence-num-always-included")
def all_but_the_nodes_death_have_a_number(life: Life) -> None:
    assert all(said.payload.HasField("seq") == (said.kind != "NDEATH") for said in life.said)


@states(
    *("tck-id-topics-nbirth-timestamp", "tck-id-topics-dbirth-timestamp", "tck-id-topics-ddata-timestamp"),
    *("tck-id-payloads-nbirth-timestamp", "tck-id-payloads-dbirth-timestamp", "tck-id-payloads-ddata-timestamp"),
    *("tck-id-payloads-ddeath-timestamp", "tck-id-payloads-timestamp-in-UTC"),
)
def messages_have_the_time_when_they_were_sent(life: Life) -> None:
    times = [said.payload.timestamp for said in life.said if said.kind != "NDEATH"]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000  # ms since 1970
    assert times[-1] - times[0] < 600_000


@states(
    *("tck-id-topics-nbirth-metrics", "tck-id-topics-dbirth-metrics", "tck-id-payloads-metric-datatype-req"),
    *("tck-id-operational-behavior-data-publish-nbirth-values", "tck-id-operational-behavior-data-publish-dbirth-values"),
)
def births_have_name_datatype_and_value_or_null(life: Life) -> None:
    for _, said in each(life, *BIRTHS):
        for one in said.payload.metrics:
            assert one.name
            assert one.HasField("datatype")
            assert one.is_null == (one.WhichOneof("value") is None)


@states(
    *("tck-id-topics-nbirth-metric-reqs", "tck-id-topics-dbirth-metric-reqs"),
    *("tck-id-operational-behavior-data-publish-nbirth", "tck-id-operational-behavior-data-publish-dbirth"),
)
def births_declare_all_that_is_ever_said(life: Life) -> None:
    for _, said in each(life, "DBIRTH"):
        assert set(said.metrics) == set(DEVICE_METRICS)
    assert set().union(*(said.metrics for said in life.of("DDATA"))) <= set(DEVICE_METRICS)
    nodes = {"bdSeq", "Node Control/Rebirth", "Properties/Software", "Properties/Version"}
    assert all(set(said.metrics) == nodes for said in life.of("NBIRTH"))


@states(
    *("tck-id-topics-nbirth-bdseq-included", "tck-id-payloads-nbirth-bdseq", "tck-id-topics-nbirth-bdseq-matching"),
    *("tck-id-payloads-ndeath-bdseq", "tck-id-payloads-nbirth-bdseq-repeat"),
    "tck-id-message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
    "tck-id-operational-behavior-data-commands-rebirth-action-3",
)
def births_and_the_will_of_a_connection_have_one_bdseq(life: Life) -> None:
    assert len(life.links[0].of("NBIRTH")) == 2
    for link, said in each(life, "NBIRTH"):
        assert said.metrics["bdSeq"].datatype == INT64
        assert said.values["bdSeq"] == link.bdseq


@states(
    "tck-id-topics-nbirth-bdseq-increment",
    "tck-id-message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
)
def bdseq_begins_at_0_and_rises_at_each_connect(life: Life) -> None:
    """That 0 follows on 255 is seen in tests/wire/test_sparkplug.py."""
    assert [link.bdseq for link in life.links] == [0, 1]
    assert {link.will.metrics["bdSeq"].datatype for link in life.links} == {INT64}


@states(
    *("tck-id-topics-nbirth-rebirth-metric", "tck-id-payloads-nbirth-rebirth-req"),
    *(f"tck-id-operational-behavior-data-commands-rebirth-{part}" for part in ("name", "datatype", "value")),
    "tck-id-operational-behavior-data-commands-rebirth-name-aliases",
)
def births_offer_a_rebirth(life: Life) -> None:
    for _, said in each(life, "NBIRTH"):
        one = said.metrics["Node Control/Rebirth"]
        assert (one.datatype, one.boolean_value, one.HasField("alias")) == (BOOLEAN, False, False)


@states(
    "tck-id-operational-behavior-data-commands-rebirth-action-1",
    "tck-id-operational-behavior-data-commands-rebirth-action-2",
)
def a_rebirth_is_a_whole_sequence_of_births(life: Life) -> None:
    order = life.links[0].order
    second = order.index("NBIRTH", order.index("NBIRTH") + 1)
    assert order[second : second + 3] == ["NBIRTH", "DBIRTH", "DDATA"]


def _protobuf(life: Life) -> None:
    for said in [*life.said, *(link.will for link in life.links)]:
        assert Payload.FromString(said.publication.payload).SerializeToString() == said.publication.payload


states(
    "tck-id-message-flow-edge-node-birth-publish-nbirth-payload",
    "tck-id-message-flow-device-birth-publish-dbirth-payload",
    "tck-id-message-flow-edge-node-birth-publish-will-message-payload",
)(_protobuf)


@states(
    "tck-id-message-flow-edge-node-birth-publish-will-message",
    "tck-id-message-flow-edge-node-birth-publish-will-message-topic",
    "tck-id-message-flow-edge-node-birth-publish-will-message-qos",
    "tck-id-message-flow-edge-node-birth-publish-will-message-will-retained",
    *(f"tck-id-payloads-ndeath-will-message{part}" for part in ("", "-qos", "-retain")),
)
def every_connect_has_the_death_as_its_will(life: Life) -> None:
    for link in life.links:
        assert link.will.publication.topic == f"spBv1.0/{GROUP}/NDEATH/{NODE}"
        assert (link.will_qos, link.will_retain) == (1, False)
    deaths = [said for said in life.heard if said.kind == "NDEATH"]
    assert deaths[0].values == {"bdSeq": 0}  # by the broker, when the connection was lost


@states("tck-id-topics-ndeath-payload", "tck-id-topics-ndeath-seq", "tck-id-payloads-ndeath-seq")
def a_nodes_death_says_its_bdseq_alone(life: Life) -> None:
    for said in [*life.of("NDEATH"), *(link.will for link in life.links)]:
        assert set(said.metrics) == {"bdSeq"}
        assert not said.payload.HasField("seq")


@states(
    "tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath",
    "tck-id-operational-behavior-edge-node-intentional-disconnect-packet",
    "tck-id-payloads-ndeath-will-message-publisher",
    "tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311",
)
def at_a_clean_end_the_death_is_said_and_then_goodbye(life: Life) -> None:
    last = life.links[-1]
    assert last.order[-2:] == ["NDEATH", "DISCONNECT"]
    assert last.of("NDEATH")[-1].values["bdSeq"] == last.bdseq
    assert last.of("NDEATH")[-1].publication.qos == 1


@states("tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50")
def under_mqtt_5_the_goodbye_has_the_will_published(life: Life) -> None:
    last = life.links[-1]
    assert last.ended == (4 if last.version == 5 else 0)


@states("tck-id-operational-behavior-device-ddeath")
def a_lost_device_dies_and_is_born_again(life: Life) -> None:
    kinds = [said.kind for said in life.said]
    death = kinds.index("DDEATH")
    assert "DDATA" not in kinds[death : kinds.index("DBIRTH", death)]
    assert not life.of("DDEATH")[0].payload.metrics


# ------------------------------------------------------------------------------------------------------------------- data


@states("tck-id-payloads-name-requirement", "tck-id-payloads-alias-data-cmd-requirement")
def data_have_aliases_and_no_names(life: Life) -> None:
    for _, said in each(life, "DDATA"):
        assert all(one.HasField("alias") and not one.HasField("name") for one in said.payload.metrics)


@states("tck-id-payloads-alias-birth-requirement", "tck-id-payloads-alias-uniqueness")
def births_give_each_name_an_alias_of_its_own(life: Life) -> None:
    for link in life.links:
        aliases: dict[str, int] = {}
        for said in link.said:
            if said.kind in BIRTHS:
                named = {one.name: one.alias for one in said.payload.metrics if one.name != "Node Control/Rebirth"}
                assert all(one.HasField("alias") for one in said.payload.metrics if one.name in named)
                aliases |= named
        assert len(set(aliases.values())) == len(aliases)


@states("tck-id-payloads-name-birth-data-requirement", "tck-id-payloads-metric-timestamp-in-UTC")
def every_metric_has_a_time(life: Life) -> None:
    for _, said in each(life, *BIRTHS, "DDATA"):
        assert all(one.timestamp > 1_700_000_000_000 for one in said.payload.metrics)


@states("tck-id-payloads-metric-datatype-value-type", "tck-id-payloads-metric-datatype-value")
def datatypes_are_those_of_the_list_and_of_the_value(life: Life) -> None:
    fields = {3: "int_value", 4: "long_value", 10: "double_value", 11: "boolean_value", 12: "string_value", 13: "long_value"}
    for _, said in each(life, *BIRTHS):
        for one in said.payload.metrics:
            assert one.WhichOneof("value") in (None, fields[one.datatype])


@states("tck-id-payloads-metric-datatype-not-req")
def data_have_no_datatypes(life: Life) -> None:
    assert not any(one.HasField("datatype") for said in life.of("DDATA") for one in said.payload.metrics)


@states(
    *("tck-id-topics-ddata-payload", "tck-id-operational-behavior-data-publish-dbirth-change"),
    "tck-id-principles-rbe-recommended",
)
def data_are_what_has_changed(life: Life) -> None:
    for link in life.links:
        known: dict[str, object] = {}
        for said in link.said:
            if said.kind == "DBIRTH":
                known = dict(said.values)
            elif said.kind == "DDATA" and not said.historical:
                assert said.values
                assert all(name not in known or known[name] != value for name, value in said.values.items())
                known |= said.values
    assert any(said.historical for said in life.of("DDATA"))


@states("tck-id-operational-behavior-data-publish-dbirth-order")
def present_values_come_in_the_order_of_time(life: Life) -> None:
    for link in life.links:
        seqs = [said.values["seq"] for said in link.said if said.kind == "DDATA" and not said.historical]
        assert seqs == sorted(seqs)
        for said in link.of("DDATA"):
            assert len({one.timestamp for one in said.payload.metrics}) == 1


@states("tck-id-operational-behavior-data-publish-nbirth-order")
def a_nodes_birth_has_one_time(life: Life) -> None:
    assert all(len({one.timestamp for one in said.payload.metrics}) == 1 for said in life.of("NBIRTH"))


@states(
    *("tck-id-payloads-propertyset-keys-array-size", "tck-id-payloads-propertyset-values-array-size"),
    *(f"tck-id-payloads-metric-propertyvalue-type-{part}" for part in ("type", "value", "req")),
)
def units_are_properties_with_their_type(life: Life) -> None:
    units = [one.properties for said in life.of("DBIRTH") for one in said.payload.metrics if one.HasField("properties")]
    assert units
    for properties in units:
        assert list(properties.keys) == ["engUnit"]
        assert [(value.type, bool(value.string_value)) for value in properties.values] == [(STRING, True)]


@states("tck-id-case-sensitivity-sparkplug-ids", "tck-id-case-sensitivity-metric-names")
def no_two_names_differ_by_case_alone(life: Life) -> None:
    names = {name for _, said in each(life, *BIRTHS) for name in said.metrics}
    assert len({name.lower() for name in names}) == len(names)


# ----------------------------------------------------------------------------------------------------------- primary host


@states_of_host(
    "tck-id-message-flow-edge-node-birth-publish-phid-wait",
    "tck-id-message-flow-edge-node-birth-publish-phid-wait-id",
    "tck-id-message-flow-edge-node-birth-publish-phid-wait-online",
    "tck-id-operational-behavior-edge-node-birth-sequence-wait",
    "tck-id-operational-behavior-primary-application-state-with-multiple-servers-state-subs",
)
def nothing_is_said_before_the_primary_host_is_online(life: Life) -> None:
    assert all(link.topics["spBv1.0/STATE/scada"] == 1 for link in life.links)
    assert {said.kind for said in life.state["said while it was away"]} == {"NCMD"}
    assert life.links[0].order[:4] == ["SUBSCRIBE", "SUBSCRIBE", "NBIRTH", "DBIRTH"]


@states_of_host(
    "tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp",
    "tck-id-operational-behavior-edge-node-termination-host-offline-timestamp",
)
def an_old_state_does_not_count(life: Life) -> None:
    assert life.state["links after an old death"] == 1
    assert life.links[0].order.index("NDEATH") > 5


@states_of_host(
    "tck-id-message-flow-edge-node-birth-publish-phid-offline",
    "tck-id-operational-behavior-edge-node-termination-host-offline",
)
def when_the_primary_host_goes_the_node_says_its_death_and_disconnects(life: Life) -> None:
    assert life.links[0].order[-2:] == ["NDEATH", "DISCONNECT"]
    assert life.links[0].of("NDEATH")[0].values == {"bdSeq": 0}
    assert life.state["waits"]


@states_of_host("tck-id-operational-behavior-edge-node-termination-host-offline-reconnect")
def it_connects_anew_and_waits(life: Life) -> None:
    assert len(life.links) == 2
    assert life.links[1].bdseq == 1
    assert life.links[1].order[:5] == ["SUBSCRIBE", "SUBSCRIBE", "NBIRTH", "DBIRTH", "DDATA"]
    assert life.links[1].of("DDATA")[0].historical


@states_of_host("tck-id-operational-behavior-primary-application-state-with-multiple-servers-single-server")
def it_is_never_connected_twice(life: Life) -> None:
    assert life.links[0].ended is not None


# -------------------------------------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("statement", sorted(CHECKS))
def test_statement(statement: str, life: Life) -> None:
    CHECKS[statement](life)


@pytest.mark.parametrize("statement", sorted(HOST_CHECKS))
def test_statement_with_a_primary_host(statement: str, host_life: Life) -> None:
    HOST_CHECKS[statement](host_life)


def test_no_statement_is_both_checked_and_left_out() -> None:
    assert not (CHECKS.keys() | HOST_CHECKS.keys()) & NOT_OURS.keys()
    assert all(re.fullmatch(r"tck-id-[A-Za-z0-9-]+", one) for one in (*CHECKS, *HOST_CHECKS, *NOT_OURS))
