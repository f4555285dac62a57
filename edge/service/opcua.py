"""Stored verdicts and the service's own state in, what OPC UA clients browse and subscribe to out: `[opcua] listen`.

The server runs in a thread of its own, on an event loop of its own. It asks nobody, registers nowhere and writes no file.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final
from urllib.parse import quote

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.server.event_generator import EventGenerator

from edge import __version__
from edge.config import DeviceSettings, Settings, host_and_port
from edge.errors import ImageError, in_words
from edge.journal import Journal
from edge.records import Inspection
from edge.service.reports import reasons
from edge.service.shared import Shared
from edge.service.worker import RETRY_S, Worker
from edge.wire import opcua_nodes
from edge.wire.channel import Channel, Numbered, Publication
from edge.wire.summary import encode_summary

log = logging.getLogger(__name__)

NAMESPACE: Final = "urn:sem-corrosion-edge:nodes"
MICROSCOPE: Final = "microscope"
EVENT_TYPE: Final = "SeverityEventType"
LOOK_S: Final = 0.2
"""So often what was stored is looked for."""
STOP_S: Final = 1.0
WAITING: Final = 1000
"""Verdicts that are kept for a server that does not run yet; of older ones nobody was there to hear."""
MOST_CLIENTS: Final = 50
LONGEST_MESSAGE: Final = 4 * 2**20

UNECE_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
NO_VALUE: Final = {"Boolean": False, "Int64": 0, "Double": 0.0, "String": ""}


class Stored(Channel):
    """Takes summaries from the recorder's thread. Nothing of them is stored for us: what is kept for each is nothing."""

    name = "opcua"

    def __init__(self, device: DeviceSettings) -> None:
        self.summaries: deque[bytes] = deque(maxlen=WAITING)
        self._device = device
        self._begun: dict[int, bytes] = {}

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """Called inside the transaction, which may fail and come again: only `stored` makes it count."""
        verdict = numbered.verdict
        if isinstance(verdict, Inspection):
            self._begun[id(verdict)] = encode_summary(
                verdict, inspection_id=numbered.verdict_id, epoch=numbered.epoch, seq=numbered.seq, device=self._device
            )
        else:
            self._begun.clear()
        return ()

    def stored(self, outcome: Sequence[Inspection] | ImageError, latency_ms: float) -> None:
        """An image's verdicts were stored."""
        begun, self._begun = self._begun, {}
        if not isinstance(outcome, ImageError):
            self.summaries.extend(begun[id(one)] for one in outcome if id(one) in begun)


class OpcUa(Worker):
    """Serves while the service runs. Whatever goes wrong is in the status and tried again: it never ends an inspection."""

    name = "opcua"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        self.told = Stored(settings.device)
        # What a client does wrong would fill our log, and an address in use is told by the status.
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)

    def run(self) -> None:
        """Serve until the service stops."""
        listen = self.settings.opcua.listen
        while not self.shared.stopping.is_set():
            try:
                _bindable(*host_and_port(listen))
                asyncio.run(self._serve())
            except OSError as error:
                self.report(f"opcua.listen {listen} cannot be used: {error.strerror or error}")
            except Exception as error:  # a defect here must cost neither an image nor the service
                log.debug("the OPC UA server", exc_info=True)
                self.report(f"opcua.listen {listen} cannot be used: {in_words(error)}")
            self.shared.stopping.wait(RETRY_S)

    async def _serve(self) -> None:
        space = await Space.made(self.settings)
        self.told.summaries.clear()
        newest = self.journal.outbox.summary()  # what is stored from here on waits in `summaries`
        if newest is not None:
            await space.show(newest.payload, tell=False)
        await space.show_state(reasons(self.shared))
        await space.server.start()
        try:
            self.report(None)
            while not self.shared.stopping.is_set():
                while self.told.summaries:
                    await space.show(self.told.summaries.popleft(), tell=True)
                await space.show_state(reasons(self.shared))
                await asyncio.sleep(LOOK_S)
        finally:
            await asyncio.wait_for(space.server.stop(), STOP_S)


class Space:
    """The nodes of one microscope, in a server that is not started yet."""

    def __init__(self, server: Server, index: int) -> None:
        self.server = server
        self._index = index
        self._state: tuple[str, ...] | None = None
        self._events: list[EventGenerator] = []

    @classmethod
    async def made(cls, settings: Settings) -> Space:
        """All nodes, without a value as yet."""
        server = Server()
        await server.init()
        listen, device = settings.opcua.listen, settings.device
        server.set_endpoint(f"opc.tcp://{listen}/")
        server.set_server_name(f"sem-corrosion-edge {device.id}")
        server.application_type = ua.ApplicationType.Server
        server.product_uri = "urn:sem-corrosion-edge"
        await server.set_application_uri(application_uri(device))
        await server.set_build_info(
            server.product_uri, "sem-corrosion-edge", "sem-corrosion-edge", __version__, __version__, datetime.now(timezone.utc)
        )
        await _make_read_only(server, settings)
        space = cls(server, await server.register_namespace(NAMESPACE))
        await space._build(device.id)
        return space

    async def show(self, summary: bytes, *, tell: bool) -> None:
        """Write one verdict into the nodes. tell: with its event."""
        said = opcua_nodes.parsed(summary)
        at, known = opcua_nodes.made_at(said), opcua_nodes.values(said)
        for node in opcua_nodes.nodes():
            await self._write(node.name, _data_value(known[node.name], node.datatype, at))
        event = opcua_nodes.event(said) if tell else None
        if event is None:
            return
        for generator in self._events:
            generator.event.Severity = event.severity
            for name, value in event.fields.items():
                setattr(generator.event, name, value)
            await generator.trigger(at, event.message)

    async def show_state(self, why: tuple[str, ...]) -> None:
        """Write the service's own state, where it is another one."""
        if why == self._state:
            return
        self._state, now = why, datetime.now(timezone.utc)
        await self._write("status.state", _data_value("degraded" if why else "online", "String", now))
        await self._write("status.reasons", _data_value(list(why), "String", now))

    async def _write(self, name: str, value: ua.DataValue) -> None:
        await self.server.get_node(self._id(name)).write_value(value)

    def _id(self, name: str) -> ua.NodeId:
        return ua.NodeId(name, self._index)

    def _called(self, name: str) -> ua.QualifiedName:
        return ua.QualifiedName(name, self._index)

    async def _build(self, device_id: str) -> None:
        objects = self.server.nodes.objects
        microscope = await objects.add_object(self._id(MICROSCOPE), self._called(device_id))
        for node in opcua_nodes.nodes():
            await self._add(MICROSCOPE, node.name, node)
        status = await microscope.add_object(self._id("status"), self._called("status"))
        state = opcua_nodes.Node("state", "String", "online, or degraded: then reasons say why")
        why = opcua_nodes.Node("reasons", "String", "why the state is degraded; none when all is well")
        for node, rank in ((state, ua.ValueRank.Scalar), (why, ua.ValueRank.OneDimension)):
            await self._add(str(status.nodeid.Identifier), f"status.{node.name}", node, rank)
        base = self.server.get_node(ua.ObjectIds.BaseEventType)
        event_type = await base.add_object_type(self._id(EVENT_TYPE), self._called(EVENT_TYPE))
        for name, datatype in opcua_nodes.EVENT_FIELDS.items():
            nothing = ua.Variant(NO_VALUE[datatype], ua.VariantType[datatype])
            field = await event_type.add_property(self._id(f"{EVENT_TYPE}.{name}"), self._called(name), nothing)
            await field.set_modelling_rule(True)
        # A client subscribes to the microscope, or, as most do by default, to the server: each hears it from where it asked.
        for emitting in (microscope, self.server.nodes.server):
            generator = EventGenerator(self.server.iserver.isession)
            await generator.init(event_type, emitting_node=emitting)
            generator.event.SourceNode, generator.event.SourceName = microscope.nodeid, device_id
            self._events.append(generator)

    async def _add(self, parent: str, name: str, node: opcua_nodes.Node, rank: ua.ValueRank = ua.ValueRank.Scalar) -> None:
        """A variable that clients may read. Before its first value it is Bad: the server waits for it."""
        about = ua.VariableAttributes()
        about.DisplayName = ua.LocalizedText(node.name, "en")
        about.Description = ua.LocalizedText(node.description, "en")
        about.DataType = ua.NodeId(getattr(ua.ObjectIds, node.datatype))
        about.ValueRank = rank
        about.AccessLevel = about.UserAccessLevel = ua.AccessLevel.CurrentRead.mask
        about.Value = ua.Variant(None, ua.VariantType.Null)
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = self._id(name)
        item.BrowseName = self._called(node.name)
        item.NodeClass = ua.NodeClass.Variable
        item.ParentNodeId = self._id(parent)
        item.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasComponent)
        item.TypeDefinition = ua.NodeId(ua.ObjectIds.AnalogUnitType if node.unit else ua.ObjectIds.BaseDataVariableType)
        item.NodeAttributes = about
        (result,) = await self.server.iserver.isession.add_nodes([item])
        result.StatusCode.check()
        await self._write(name, ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)))
        if node.unit:
            unit = ua.Variant(_engineering_unit(node.unit), ua.VariantType.ExtensionObject)
            called = ua.QualifiedName("EngineeringUnits", 0)
            await self.server.get_node(self._id(name)).add_property(
                self._id(f"{name}.EngineeringUnits"), called, unit, datatype=ua.NodeId(ua.ObjectIds.EUInformation)
            )


def application_uri(device: DeviceSettings) -> str:
    """The name of this server, which its certificate must hold."""
    return "urn:sem-corrosion-edge:" + ":".join(quote(level, safe="") for level in (device.site, device.area, device.id))


async def _make_read_only(server: Server, settings: Settings) -> None:
    """Nobody who connects has more rights than reading, whatever name they give; and nobody may take too much."""
    server.allow_remote_admin(False)
    server.set_identity_tokens([ua.AnonymousIdentityToken])
    server.iserver.max_connections = MOST_CLIENTS
    buffer = 65535
    server.limits = TransportLimits(buffer, buffer, LONGEST_MESSAGE // buffer + 1, LONGEST_MESSAGE)
    policy = ua.SecurityPolicyType.NoSecurity
    if settings.opcua.cert_file:
        await server.load_certificate(*_read(settings.opcua.cert_file))
        key, form = _read(settings.opcua.key_file)
        await server.load_private_key(key, None, form)
        policy = ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt
    server.set_security_policy([policy])


def _read(name: str) -> tuple[bytes, str]:
    """A certificate or key with its form, which the library would take from the file's name."""
    content = Path(name).read_bytes()
    return content, "pem" if b"-----BEGIN" in content else "der"


def _data_value(value: opcua_nodes.Value | list[str], datatype: opcua_nodes.DataType, at: datetime) -> ua.DataValue:
    """Bad and null where nothing is known, so that no client shows an older value on."""
    if value is None:
        return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoData), SourceTimestamp=at)
    return ua.DataValue(ua.Variant(value, ua.VariantType[datatype]), SourceTimestamp=at)


def _engineering_unit(symbol: str) -> ua.EUInformation:
    number = opcua_nodes.unit_id(symbol)
    shown = ua.LocalizedText(symbol, "en")
    return ua.EUInformation(NAMESPACE if number < 0 else UNECE_NAMESPACE, number, shown, shown)


def _bindable(host: str, port: int) -> None:
    """Raises OSError where nobody can listen there. Asked first, for the nodes take a second to build."""
    for family, kind, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind(address)
            tried.listen()
