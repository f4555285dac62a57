"""Settings and what is to be said in; a connection that is made anew whenever it ends, in a thread of its own, out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from edge.config import MqttSettings
from edge.errors import BrokerError, StateError, in_words
from edge.journal import Outbox
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import Connection
from edge.mqtt.content import Content
from edge.mqtt.memory import Memory
from edge.mqtt.rivals import Rivals
from edge.mqtt.session import Session
from edge.mqtt.threads import Connectivity, ThreadSignals

log = logging.getLogger(__name__)


class StandingConnection:
    """Keeps one connection to the broker, says on it what `Content` holds, and empties the outbox into it.

    Safe to call from any thread. It never gives up: whatever goes wrong is logged, shown in `last_error`, and
    tried again after 1 to 30 s. The content, the memory and the backoff belong to its own thread.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str | Callable[[], str],
        content: Content,
        outbox: Outbox,
        *,
        connectivity: Connectivity,
        shortest_wait_s: float,
        longest_wait_s: float,
        thread_name: str,
        on_trouble: Callable[[str, str | None], None] = lambda _name, _problem: None,
    ) -> None:
        """Prepare; nothing is done before `start`.

        client_id: the same at every connect, so that the broker ends a half-open older connection (and publishes its last
            will) before it takes the new one in. Asked for at each connect where it is a function.
        on_trouble: gets what is wrong beside the connection, under a name for each kind of trouble, and None when it is over.
            Called in the publisher's thread at every change; it must neither block nor raise.
        """
        self._settings, self._content, self._outbox = settings, content, outbox
        self._client_id = client_id if callable(client_id) else lambda: client_id
        self._connectivity = connectivity
        self._signals = ThreadSignals()
        self._told: dict[str, str | None] = {}
        self._on_trouble = on_trouble
        self._memory = Memory(
            Backoff(shortest_wait_s, longest_wait_s), rivals=Rivals(lambda: self._client_id()), tell=self._tell
        )
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)

    def start(self) -> None:
        """Begin to connect and publish."""
        self._thread.start()

    def wake(self) -> None:
        """The outbox has something new."""
        self._signals.wake()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Wait for what is in flight, say goodbye, disconnect; True when all that was done within the time."""
        self.begin_stop(timeout_s)
        return self.stopped()

    def begin_stop(self, timeout_s: float) -> None:
        """Have all that done within the time and return at once, so that several connections end side by side."""
        self._signals.stop(timeout_s)

    def stopped(self) -> bool:
        """Wait for the end of what `begin_stop` began; False when its time is over before."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._signals.give_up_at - time.monotonic()))
        if self._thread.is_alive():
            return False
        self._signals.close()
        return True

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false only before `start`, after `stop`, or through a defect."""
        return self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in and the connection stands."""
        return self._connectivity.connected

    @property
    def since(self) -> datetime:
        """When `connected` last changed, in UTC."""
        return self._connectivity.since

    @property
    def last_error(self) -> str | None:
        """Why there is no connection, or what the broker refused last; None when all is well."""
        return self._connectivity.last_error

    def _tell(self, name: str, problem: str | None) -> None:
        if self._told.get(name) != problem:
            self._told[name] = problem
            if problem is not None:
                log.warning("MQTT: %s", problem)
            self._on_trouble(name, problem)

    def _run(self) -> None:
        stopping = self._signals.stopping
        while not stopping.is_set():
            try:
                self._connect_and_serve()
            except (BrokerError, StateError) as error:
                self._connectivity.report(connected=False, error=str(error))
            except Exception as error:  # a defect must neither end the thread nor stay unseen
                log.exception("publishing failed; connecting anew")
                self._connectivity.report(connected=False, error=f"internal error: {in_words(error)}")
            if not stopping.is_set():
                stopping.wait(self._memory.backoff.next_s())

    def _connect_and_serve(self) -> None:
        # Taken before the attempt: when that fails, there is an outage, and the message was not to blame.
        possible_poison, self._memory.possible_poison = self._memory.possible_poison, None
        will = self._content.connecting()
        connection = Connection(self._settings, self._client_id(), will, self._memory.keepalive_s)
        self._content.connect_sent()
        try:
            Session(
                connection,
                self._content,
                self._outbox,
                self._memory,
                signals=self._signals,
                connectivity=self._connectivity,
                possible_poison=possible_poison,
            ).run()
        finally:
            connection.close()
