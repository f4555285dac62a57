"""The settings of the OPC UA server in, findings out: its library, its address, its certificate, and who can read along."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from edge.commands.doctor_metrics import answers, refused
from edge.commands.finding import Finding
from edge.config import Settings, host_and_port
from edge.journal import problems


def look_at_opcua(settings: Settings) -> Iterator[Finding]:
    """Nothing where nobody wants it."""
    wanted = settings.opcua
    if not wanted.listen:
        return
    if importlib.util.find_spec("asyncua") is None:
        yield Finding("opcua", "problem", "asyncua is not installed", "pip install 'sem-corrosion-edge[opcua]'")
        return
    for key, name in (("cert_file", wanted.cert_file), ("key_file", wanted.key_file)):
        if name and (why := _unreadable(name)):
            cure = "name a file that the service's user can read; docs/use/opc-ua.md has the command that makes one"
            yield Finding("opcua", "problem", f"opcua.{key} {name} cannot be read: {why}", cure)
            return
    told = problems.read(settings.state.folder)
    if told is not None and told.alive:  # then it is the service that listens there
        if any("opcua.listen" in text for text in told.problems):
            return  # it says so itself
        if not answers(wanted.listen):
            cure = "restart the service, or see what its log says"
            yield Finding("opcua", "problem", f"nothing answers at {wanted.listen}", cure)
            return
    elif why := refused(wanted.listen):
        cure = "stop what listens there (ss -ltnp shows it), or name another address of this machine"
        yield Finding("opcua", "problem", f"opcua.listen {wanted.listen} cannot be used: {why}", cure)
        return
    if wanted.cert_file:
        yield Finding("opcua", "ok", f"OPC UA clients read opc.tcp://{wanted.listen}/, signed and encrypted")
    elif _loopback(wanted.listen):
        yield Finding("opcua", "ok", f"OPC UA clients of this machine read opc.tcp://{wanted.listen}/")
    else:
        cure = "let a firewall decide who reaches the port, or name cert_file and key_file"
        yield Finding("opcua", "note", f"opc.tcp://{wanted.listen}/ is not encrypted: whoever reaches it can read", cure)


def _loopback(listen: str) -> bool:
    host, _ = host_and_port(listen)
    return host in ("localhost", "::1") or re.fullmatch(r"127\.\d+\.\d+\.\d+", host) is not None


def _unreadable(name: str) -> str | None:
    try:
        with Path(name).open("rb") as stream:
            stream.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return None
