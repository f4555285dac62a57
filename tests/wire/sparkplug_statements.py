"""The statements of Sparkplug 3.0.0 that no test here can be about, each with its reason.

Those that are tested stand in `tests/mqtt/test_sparkplug_statements.py`. The specification's text is in the repository
eclipse-sparkplug/sparkplug.
"""

from __future__ import annotations

from typing import Final

HOST: Final = "what a host application does"
BROKER: Final = "what an MQTT server does"
COMMANDER: Final = "how a host application writes its commands"
NO_NDATA: Final = "no metric of the node ever changes, so it sends no NDATA"
NO_DCMD: Final = "the device has nothing that can be written to"
NO_TEMPLATE: Final = "no template is sent"
NO_DATASET: Final = "no data set is sent"
UNIQUE: Final = "a plant gives its ids; the defaults differ where site, area or id do"
ONE_SERVER: Final = "one server is configured, so there is no next one"
GOOD: Final = "every value that is sent is good; what is unknown is null"


def _ids(prefix: str, names: str) -> list[str]:
    return [f"tck-id-{prefix}{name}" for name in names.split()]


_REASONS: Final[dict[str, list[str]]] = {
    HOST: [
        *_ids("", "intro-sparkplug-host-state components-ph-state conformance-primary-host"),
        *_ids("host-topic-phid-birth-", "message qos retain topic sub-required required payload payload-timestamp"),
        *_ids("host-topic-phid-death-", "qos retain topic required payload payload-connect payload-disconnect-clean"),
        *_ids("host-topic-phid-death-", "payload-disconnect-with-no-disconnect-packet"),
        *_ids("message-flow-phid-sparkplug-", "clean-session-311 clean-session-50 subscription state-publish"),
        *_ids("message-flow-phid-sparkplug-", "state-publish-payload state-publish-payload-timestamp"),
        *_ids("message-flow-hid-sparkplug-", "state-message-delivered"),
        *_ids("operational-behavior-edge-node-termination-host-action-", "ndeath-node-offline ndeath-node-tags-stale"),
        *_ids("operational-behavior-edge-node-termination-host-action-", "ndeath-devices-offline ndeath-devices-tags-stale"),
        *_ids("operational-behavior-edge-node-termination-host-action-", "ddeath-devices-offline ddeath-devices-tags-stale"),
        *_ids("operational-behavior-host-reordering-", "param start rebirth success"),
        *_ids("operational-behavior-primary-application-state-with-multiple-servers-", "state"),
        *_ids("operational-behavior-host-application-", "host-id connect-will connect-will-topic connect-will-payload"),
        *_ids("operational-behavior-host-application-", "connect-will-qos connect-will-retained connect-birth"),
        *_ids("operational-behavior-host-application-connect-birth-", "topic payload qos retained"),
        *_ids("operational-behavior-host-application-", "multi-server-timestamp termination death-topic death-payload"),
        *_ids("operational-behavior-host-application-", "death-qos death-retained disconnect-intentional"),
        *_ids("payloads-state-", "will-message will-message-qos will-message-retain will-message-payload subscribe"),
        *_ids("payloads-state-", "birth birth-payload"),
    ],
    BROKER: [
        *_ids("conformance-mqtt-", "qos0 qos1 will-messages retained aware-basic aware-store aware-nbirth-mqtt-topic"),
        *_ids("conformance-mqtt-", "aware-nbirth-mqtt-retain aware-dbirth-mqtt-topic aware-dbirth-mqtt-retain"),
        *_ids("conformance-mqtt-", "aware-ndeath-timestamp"),
    ],
    COMMANDER: [
        *_ids("topics-ncmd-", "topic mqtt timestamp payload"),
        *_ids("payloads-ncmd-", "timestamp seq qos retain"),
        *_ids("", "payloads-name-cmd-requirement"),
        *_ids("operational-behavior-data-commands-", "ncmd-rebirth-verb ncmd-rebirth-name ncmd-rebirth-value ncmd-verb"),
        *_ids("operational-behavior-data-commands-", "ncmd-metric-name ncmd-metric-value"),
    ],
    NO_NDATA: [
        *_ids("topics-ndata-", "topic mqtt seq-num timestamp payload"),
        *_ids("payloads-ndata-", "timestamp seq seq-inc order qos retain"),
        *_ids("operational-behavior-data-publish-nbirth-", "change"),
    ],
    NO_DCMD: [
        *_ids("topics-dcmd-", "topic mqtt timestamp payload"),
        *_ids("payloads-dcmd-", "timestamp seq qos retain"),
        *_ids("operational-behavior-data-commands-dcmd-", "verb metric-name metric-value"),
        *_ids("message-flow-device-", "dcmd-subscribe"),
    ],
    NO_TEMPLATE: [
        *_ids("", "topics-nbirth-templates"),
        *_ids("payloads-template-definition-", "nbirth-only is-definition ref members nbirth parameters parameters-default"),
        *_ids("payloads-template-instance-", "is-definition ref members members-birth members-data parameters"),
        *_ids("payloads-template-", "version ref-definition ref-instance is-definition is-definition-definition"),
        *_ids("payloads-template-", "is-definition-instance parameter-name-required parameter-name-type"),
        *_ids("payloads-template-parameter-", "value-type type-value type-req value"),
    ],
    NO_DATASET: [
        *_ids("payloads-dataset-", "column-size column-num-headers types-def types-num types-type types-value"),
        *_ids("payloads-", "dataset-parameter-type-req template-dataset-value"),
    ],
    UNIQUE: [
        *_ids("", "intro-edge-node-id-uniqueness topic-structure-namespace-unique-edge-node-descriptor"),
        *_ids("", "topic-structure-namespace-unique-device-id payloads-nbirth-edge-node-descriptor"),
        *_ids("", "topic-structure-namespace-duplicate-device-id-across-edge-node"),
    ],
    ONE_SERVER: _ids("operational-behavior-primary-application-state-with-multiple-servers-", "walk"),
    GOOD: _ids("payloads-propertyset-quality-value-", "type value"),
}

NOT_OURS: Final = {statement: reason for reason, statements in _REASONS.items() for statement in statements}
"""By id, why no test bears it."""
