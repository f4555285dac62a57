"""The proxy between daemon and broker: what passes, and what does not."""

from __future__ import annotations

import socket

import pytest

from tests.fakes.brokers import eventually
from tests.faults.chaos import Chaos, packet_length

PUBACK, PINGRESP = b"\x40\x02\x00\x01", b"\xd0\x00"


def test_packets_are_measured_by_their_header() -> None:
    assert packet_length(PUBACK) == 4
    assert packet_length(b"\x30\x80\x01" + bytes(128)) == 131
    assert packet_length(b"\x30\x80") is None
    assert packet_length(b"") is None


@pytest.fixture
def pair() -> object:
    """A proxy, the daemon's end and the broker's end of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, Chaos(server.getsockname()[1]) as chaos:
        near = socket.create_connection(("127.0.0.1", chaos.port))
        far, _ = server.accept()
        eventually(lambda: chaos.connections == 1)
        with near, far:
            near.settimeout(20)
            far.settimeout(20)
            yield chaos, near, far


def test_a_deaf_daemon_hears_all_but_acknowledgements(pair: tuple[Chaos, socket.socket, socket.socket]) -> None:
    chaos, near, far = pair
    chaos.deaf = True
    far.sendall(PUBACK[:2])
    far.sendall(PUBACK[2:] + PINGRESP)
    assert near.recv(100) == PINGRESP
    chaos.calm()
    far.sendall(PUBACK)
    assert near.recv(100) == PUBACK


def test_nothing_is_lost_while_a_connection_stalls(pair: tuple[Chaos, socket.socket, socket.socket]) -> None:
    chaos, near, far = pair
    chaos.stalled = True
    near.sendall(b"a")
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(1)
    far.settimeout(20)
    chaos.calm()
    assert far.recv(1) == b"a"


def test_a_cut_is_told_to_both_and_a_half_open_connection_to_the_daemon_alone(
    pair: tuple[Chaos, socket.socket, socket.socket],
) -> None:
    chaos, near, far = pair
    chaos.half_open()
    assert near.recv(1) == b""
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(1)


def test_a_cut_ends_both_sides(pair: tuple[Chaos, socket.socket, socket.socket]) -> None:
    chaos, near, far = pair
    chaos.cut()
    assert near.recv(1) == far.recv(1) == b""


def test_a_refusing_proxy_takes_no_connection(pair: tuple[Chaos, socket.socket, socket.socket]) -> None:
    chaos, _near, _far = pair
    chaos.refusing = True
    with socket.create_connection(("127.0.0.1", chaos.port)) as refused:
        refused.settimeout(20)
        assert refused.recv(1) == b""
    assert chaos.connections == 1
