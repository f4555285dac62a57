"""A proxy between daemon and broker that cuts, stalls, slows, loses acknowledgements or leaves connections half open."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Final

CHUNK: Final = 4096
SLOW_BYTES_S: Final = 20_000
PUBACK: Final = 4


class Chaos:
    """Passes everything on until it is told otherwise.

    stalled: nothing passes in either direction, connections stay.  slow: `SLOW_BYTES_S` pass.
    deaf: the broker's PUBACKs are swallowed.  refusing: new connections are closed at once.
    """

    def __init__(self, broker_port: int) -> None:
        self.stalled = self.slow = self.deaf = self.refusing = False
        self.connections = 0
        self.broker_port = broker_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._mutex = threading.Lock()
        self._near: set[socket.socket] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        _hang_up(self._server)
        self._server.close()
        self.calm()
        self.cut()

    def calm(self) -> None:
        """Pass everything on again."""
        self.stalled = self.slow = self.deaf = self.refusing = False

    def cut(self) -> None:
        """End every connection; both sides are told."""
        with self._mutex:
            ends = list(self._near)
        for end in ends:
            _hang_up(end)

    def half_open(self) -> None:
        """End every connection towards the daemon; the broker is not told, and keeps its end for a while."""
        with self._mutex:
            ends = list(self._near)
            self._near.clear()  # `_copy` then leaves the other end alone
        for end in ends:
            _hang_up(end)

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.broker_port), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._mutex:
                self._near.add(near)
            self.connections += 1
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        """One connection until it ends."""
        up = threading.Thread(target=self._copy, args=(near, far, False), daemon=True)
        up.start()
        self._copy(far, near, True)
        up.join()
        near.close()
        far.close()

    def _copy(self, source: socket.socket, sink: socket.socket, downwards: bool) -> None:
        near = sink if downwards else source
        rest = b""
        with suppress(OSError):
            while data := source.recv(CHUNK):
                while self.stalled and not self._ended:
                    time.sleep(0.02)
                if self.slow:
                    time.sleep(len(data) / SLOW_BYTES_S)
                if downwards:
                    data, rest = self._heard(rest + data)
                sink.sendall(data)
        with self._mutex:
            told = near in self._near
            self._near.discard(near)
        if told:
            _hang_up(source)
            _hang_up(sink)
        elif not downwards:  # half open: the broker's end stays until it gives up by itself, or we do
            with suppress(OSError):
                sink.settimeout(20)
                while sink.recv(CHUNK):
                    pass
            _hang_up(sink)

    def _heard(self, data: bytes) -> tuple[bytes, bytes]:
        """Whole packets of the broker, without PUBACKs while deaf, and the beginning of the next."""
        passed = bytearray()
        while (length := packet_length(data)) is not None and length <= len(data):
            if not (self.deaf and data[0] >> 4 == PUBACK):
                passed += data[:length]
            data = data[length:]
        return bytes(passed), data


def packet_length(data: bytes) -> int | None:
    """Bytes of the MQTT packet at the beginning of `data` (MQTT 5.0, 1.5.5); None where its header is not whole."""
    length = 0
    for number, byte in enumerate(data[1:5]):
        length |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return 2 + number + length
    return None


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
