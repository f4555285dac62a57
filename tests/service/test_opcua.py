"""What OPC UA clients are served: real clients at a real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.errors import ConfigError, ImageError
from edge.journal import Journal
from edge.records import Failure, Inspection
from edge.service.daemon import open_opcua
from edge.service.shared import Shared
from edge.wire.channel import Numbered
from edge.wire.opcua_nodes import nodes
from edge.wire.summary import encode_summary
from tests import ROOT
from tests.fakes.brokers import eventually, free_port
from tests.service.running_daemon import Service, png
from tests.wire.examples import AT, DEVICE, EPOCH, ID, abstained, classified_only, example

pytest.importorskip("asyncua")
from asyncua import Client, ua

from edge.service.opcua import NAMESPACE, Space, Stored, application_uri

PAGE = ROOT / "docs" / "use" / "opc-ua.md"
WAIT_S = 120.0
GOOD, NO_DATA, NOTHING_YET = ua.StatusCodes.Good, ua.StatusCodes.BadNoData, ua.StatusCodes.BadWaitingForInitialData


def settings(port: int, **opcua: str) -> config.Settings:
    raw = {
        "device": {"site": "plant-1", "area": "lab", "id": "sem-01"},
        "watch": {"folder": "/nowhere/export"},
        "opcua": {"listen": f"127.0.0.1:{port}", **opcua},
    }
    return config.parse(raw, {})


def summary(inspection: Inspection) -> bytes:
    return encode_summary(inspection, inspection_id=ID, epoch=EPOCH, seq=1, device=DEVICE)


class Seen:
    """What a subscription brought."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.values: dict[str, list[ua.DataValue]] = {}

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.setdefault(str(node.nodeid.Identifier), []).append(data.monitored_item.Value)


@contextlib.asynccontextmanager
async def served(wanted: config.Settings) -> AsyncIterator[Space]:
    space = await Space.made(wanted)
    await space.server.start()
    try:
        yield space
    finally:
        await space.server.stop()


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[tuple[Client, int]]:
    async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=30) as one:
        yield one, await one.get_namespace_index(NAMESPACE)


async def value(one: Client, index: int, name: str) -> ua.DataValue:
    found: ua.DataValue = await one.get_node(ua.NodeId(name, index)).read_data_value(raise_on_bad_status=False)
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async def look() -> None:
        while not await condition():
            await asyncio.sleep(0.1)

    await asyncio.wait_for(look(), WAIT_S)


async def subscribed(one: Client, index: int, seen: Seen, *names: str, source: Any = None) -> None:
    subscription = await one.create_subscription(50, seen)
    for name in names:
        await subscription.subscribe_data_change(one.get_node(ua.NodeId(name, index)))
    event_type = one.get_node(ua.NodeId("SeverityEventType", index))
    await subscription.subscribe_events(source or one.get_node(ua.NodeId("microscope", index)), event_type)


def test_each_key_of_a_summary_is_a_variable_with_type_unit_and_description() -> None:
    port = free_port()

    async def look() -> None:
        async with served(settings(port)) as space, client(port) as (one, index):
            await space.show(summary(example()), tell=False)
            microscope = await one.nodes.objects.get_child([f"{index}:sem-01"])
            names = [(await node.read_browse_name()).Name for node in await microscope.get_variables()]
            assert len(names) == len(set(names)) == 42
            fraction = await microscope.get_child([f"{index}:area_fraction"])
            assert await fraction.read_data_type_as_variant_type() == ua.VariantType.Double
            assert "corroded share" in (await fraction.read_description()).Text
            size = await microscope.get_child([f"{index}:pixel_size_nm"])
            unit = await (await size.get_child(["0:EngineeringUnits"])).read_value()
            assert (unit.DisplayName.Text, unit.UnitId) == ("nm", int.from_bytes(b"C45", "big"))
            for name, kind, wanted in (
                ("abstained", ua.VariantType.Boolean, False),
                ("severity_index", ua.VariantType.Int64, 1),
                ("severity", ua.VariantType.String, "moderate"),
                ("alarm", ua.VariantType.Boolean, False),
                ("pixel_size_nm", ua.VariantType.Double, 250.0),
            ):
                found = await value(one, index, name)
                assert (found.StatusCode.value, found.Value.VariantType, found.Value.Value) == (GOOD, kind, wanted)
                assert found.SourceTimestamp == AT.astimezone(timezone.utc).replace(microsecond=123000)
            at = await value(one, index, "ts")
            assert at.Value.VariantType == ua.VariantType.DateTime

    asyncio.run(look())


def test_what_is_null_is_bad_and_never_the_value_before() -> None:
    port = free_port()

    async def look() -> None:
        async with served(settings(port)) as space, client(port) as (one, index):
            assert (await value(one, index, "severity_index")).StatusCode.value == NOTHING_YET
            seen = Seen()
            await subscribed(one, index, seen, "severity_index", "severity", "alarm")
            await space.show(summary(example()), tell=True)
            await space.show(summary(abstained()), tell=True)
            for name in ("severity_index", "severity", "severity_confidence"):
                found = await value(one, index, name)
                assert (found.StatusCode.value, found.Value.Value) == (NO_DATA, None), name
            assert (await value(one, index, "alarm")).Value.Value is True

            async def told() -> bool:
                return len(seen.events) == 2 and seen.values["severity_index"][-1].StatusCode.value == NO_DATA

            await until(told)
            assert seen.values["severity_index"][-1].Value.Value is None
            first, second = seen.events
            assert (first.Severity, first.severity_index, first.abstained, first.alarm) == (500, 1, False, False)
            assert (second.Severity, second.severity_index, second.abstained, second.alarm) == (700, None, True, True)
            assert second.Message.Text.startswith(f"{abstained().source.name}: not judged")

    asyncio.run(look())


def test_an_event_is_heard_at_the_microscope_and_at_the_server() -> None:
    port = free_port()

    async def look() -> None:
        async with served(settings(port)) as space, client(port) as (one, index):
            here, there = Seen(), Seen()
            await subscribed(one, index, here)
            await subscribed(one, index, there, source=one.nodes.server)
            await space.show(summary(example()), tell=True)

            async def told() -> bool:
                return bool(here.events and there.events)

            await until(told)
            for event in (here.events[0], there.events[0]):
                assert event.SourceName == "sem-01"
                assert event.image_name == example().source.name
                assert event.inspection_id == ID
                assert event.area_fraction == pytest.approx(example().measures.area_fraction, abs=1e-5)
                assert event.Time == AT.astimezone(timezone.utc).replace(microsecond=123000)

    asyncio.run(look())


def test_nobody_can_change_anything_whatever_their_name() -> None:
    port = free_port()

    async def look() -> None:
        async with served(settings(port)) as space, client(port) as (one, index):
            await space.show(summary(example()), tell=False)
            node = one.get_node(ua.NodeId("severity_index", index))
            for attempt in (
                lambda: node.write_value(ua.Variant(0, ua.VariantType.Int64)),
                lambda: node.set_writable(),
                lambda: one.get_node(ua.NodeId("status.state", index)).write_value("online"),
                lambda: one.nodes.objects.add_variable(index, "mine", 1),
                lambda: one.delete_nodes([node]),
            ):
                with contextlib.suppress(ua.UaError):
                    (results,) = [await attempt()]
                    assert results is not None, "it was taken"
                    assert all(not code.is_good() for code in results[1])
            assert (await value(one, index, "severity_index")).Value.Value == 1
            admin = Client(f"opc.tcp://127.0.0.1:{port}/", timeout=30)
            admin.set_user("admin")
            with pytest.raises(Exception):  # noqa: B017 - the library's own words differ by version
                await admin.connect()
            with contextlib.suppress(Exception):
                await admin.disconnect()

    asyncio.run(look())


def certificate(folder: Path, name: str, uri: str, key_name: str) -> tuple[str, str]:
    cert, key = folder / f"{name}.pem", folder / key_name
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    for extension in (
        f"subjectAltName=URI:{uri},IP:127.0.0.1",
        "keyUsage=digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment",
        "extendedKeyUsage=serverAuth,clientAuth",
    ):
        command += ["-addext", extension]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return str(cert), str(key)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_with_a_certificate_nobody_is_served_in_the_clear(tmp_path: Path) -> None:
    port = free_port()
    uri = application_uri(DEVICE)
    cert, key = certificate(tmp_path, "server", uri, "server.key")
    own, own_key = certificate(tmp_path, "client", "urn:tried:client", "client.key.pem")

    async def look() -> None:
        async with served(settings(port, cert_file=cert, key_file=key)) as space:
            await space.show(summary(example()), tell=False)
            with pytest.raises(Exception):  # noqa: B017 - the library's own words differ by version
                async with client(port):
                    pass
            one = Client(f"opc.tcp://127.0.0.1:{port}/", timeout=30)
            one.application_uri = "urn:tried:client"
            await one.set_security_string(f"Basic256Sha256,SignAndEncrypt,{own},{own_key},{cert}")
            async with one:
                index = await one.get_namespace_index(NAMESPACE)
                assert (await value(one, index, "severity")).Value.Value == "moderate"

    asyncio.run(look())


def test_a_verdict_counts_once_it_is_stored() -> None:
    told = Stored(DEVICE)
    one, other = example(), abstained()
    told.on_verdict(Numbered(one, ID, EPOCH, 1))
    told.on_verdict(Numbered(one, ID, EPOCH, 2))  # the disk was full at the first try
    assert not told.summaries
    told.stored([one], 1.0)
    assert [b'"seq":2' in summary for summary in told.summaries] == [True]
    told.on_verdict(Numbered(other, ID, EPOCH, 3))
    told.on_verdict(Numbered(Failure(other.source, "internal", "x", datetime.now(timezone.utc)), ID, EPOCH, 3))
    told.stored([other], 1.0)
    told.stored(ImageError("damaged", "half"), 1.0)
    assert len(told.summaries) == 1


def test_an_image_without_a_severity_changes_nodes_and_is_no_event() -> None:
    port = free_port()

    async def look() -> None:
        async with served(settings(port)) as space, client(port) as (one, index):
            seen = Seen()
            await subscribed(one, index, seen)
            unjudged = summary(classified_only()).replace(b'"judged"', b'"not_run"')
            await space.show(unjudged, tell=True)
            await space.show(summary(example()), tell=True)

            async def told() -> bool:
                return bool(seen.events)

            await until(told)
            assert len(seen.events) == 1

    asyncio.run(look())


def test_a_daemon_serves_its_verdicts_and_the_last_one_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()
    service = Service(tmp_path, 0, mqtt={"host": "", "port": 1883}, opcua={"listen": f"127.0.0.1:{port}"})
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: service.process and service.process.poll() is None and service.kill())
        service.start({"HOME": str(home)})
        eventually(lambda: reached(port), WAIT_S, "the server listens")

        async def first() -> str:
            async with client(port) as (one, index):
                seen = Seen()
                await subscribed(one, index, seen, "seq")
                service.put("a.png", png(1))

                async def told() -> bool:
                    return bool(seen.events)

                await until(told)
                (event,) = seen.events
                assert event.image_name == "a.png"
                assert (await value(one, index, "inspection_id")).Value.Value == event.inspection_id
                assert (await value(one, index, "device_id")).Value.Value == "s1"

                async def online() -> bool:
                    return (await value(one, index, "status.state")).Value.Value == "online"

                await until(online)
                assert (await value(one, index, "status.reasons")).Value.Value == []
                return str(event.inspection_id)

        before = asyncio.run(first())
        assert service.stop() == 0
        service.start({"HOME": str(home)})
        eventually(lambda: reached(port), WAIT_S, "the server listens again")

        async def again() -> ua.DataValue:
            async with client(port) as (one, index):
                return await value(one, index, "inspection_id")

        found = asyncio.run(again())
        assert (found.StatusCode.value, found.Value.Value) == (GOOD, before)
        assert service.stop() == 0
    assert not list(home.rglob("*")), "nothing is written at home"


def reached(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def test_an_address_in_use_is_told_and_taken_when_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = Service(tmp_path, 0, mqtt={"host": "", "port": 1883}, opcua={"listen": f"127.0.0.1:{port}"})
        service.start()
        eventually(lambda: f"opcua.listen 127.0.0.1:{port} cannot be used" in service.log_text(), WAIT_S)
        service.put("a.png", png(1))
        eventually(lambda: "(seq 1)" in service.log_text(), WAIT_S, "inspecting goes on")
    eventually(lambda: f"over: opcua.listen 127.0.0.1:{port}" in service.log_text(), WAIT_S)

    async def look() -> None:
        async with client(port) as (one, index):
            assert (await value(one, index, "image_name")).Value.Value == "a.png"

    asyncio.run(look())
    assert "Traceback" not in service.log_text()
    assert service.stop() == 0


def test_its_name_holds_the_device() -> None:
    device = config.DeviceSettings(site="Werk 1", area="lab", id="sem-01")
    assert application_uri(device) == "urn:sem-corrosion-edge:Werk%201:lab:sem-01"


def test_nobody_who_does_not_ask_needs_its_library(tmp_path: Path, journal: Journal, shared: Shared) -> None:
    assert open_opcua(config.parse({"watch": {"folder": str(tmp_path)}}, {}), journal, shared) is None


def test_a_missing_library_names_the_extra(journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "edge.service.opcua", None)
    with pytest.raises(ConfigError, match=r"sem-corrosion-edge\[opcua\]"):
        open_opcua(settings(4840), journal, shared)


def test_the_page_has_the_table_of_all_variables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    units = {"": "–"}
    rows = [f"| `{one.name}` | {one.datatype} | {units.get(one.unit, one.unit)} | {one.description} |" for one in nodes()]
    assert "\n".join(rows) in page


def test_the_client_of_the_page_hears_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    program, _, _ = block.rpartition("asyncio.run")
    names: dict[str, Any] = {}
    exec(program, names)

    async def look() -> None:
        async with served(settings(port)) as space:
            await space.show(summary(example()), tell=False)
            listening = asyncio.ensure_future(names["listen"](f"opc.tcp://127.0.0.1:{port}/", WAIT_S))
            said = ""
            while "500 " not in said and not listening.done():
                await space.show(summary(example()), tell=True)
                await asyncio.sleep(0.2)
                said += capsys.readouterr().out
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            assert "alarm False" in said
            assert f"500 {example().source.name}: moderate" in said

    asyncio.run(look())
