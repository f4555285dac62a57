"""What the service manager hears."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from edge.service import systemd
from tests.fakes.brokers import Mosquitto
from tests.service.running_daemon import (
    Service,
)


def test_systemd_is_told_ready_alive_and_stopping(tmp_path: Path, broker: Mosquitto) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        service = Service(tmp_path, broker.port)
        with service:
            service.kill()
            service.start({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1500000"})
            heard = [manager.recv(4096).decode() for _ in range(3)]
            assert heard[0].startswith("READY=1\n")
            assert heard[1] == heard[2] == "WATCHDOG=1"
            assert service.stop() == 0
            manager.setblocking(False)
            rest = []
            while True:
                try:
                    rest.append(manager.recv(4096).decode())
                except BlockingIOError:
                    break
            assert "STOPPING=1" in rest


def test_a_service_manager_that_does_not_listen_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        telling = threading.Thread(target=lambda: [systemd.notify("WATCHDOG=1") for _ in range(2000)], daemon=True)
        telling.start()
        telling.join(30)
        assert not telling.is_alive()
