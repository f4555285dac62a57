"""Words for systemd in, datagrams to its notification socket out (sd_notify(3)); nothing where there is no systemd."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*lines: str) -> None:
    """Send lines such as "READY=1" or "STATUS=…" to the service manager, if one asked for them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # The manager's socket being full or gone must not stop the work.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, contextlib.suppress(OSError):
        door.setblocking(False)
        door.sendto("\n".join(lines).encode(), address)


def watchdog_s() -> float | None:
    """Seconds after which the manager kills a service that does not send "WATCHDOG=1"; None when it does not watch."""
    text, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or (process and process != str(os.getpid())):
        return None
    return int(text) / 1e6
