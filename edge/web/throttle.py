"""Wrong passwords in, how long the next try waits out: guessing costs time, and locks out nobody who was here before."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

MOST: Final = 10_000
"""So many counts, and so many who were here before, are remembered; the oldest go first."""
FORGOTTEN_S: Final = 3600.0
LONGEST_NAME: Final = 64


class Count(NamedTuple):
    """What wrong tries are counted by. free: so many cost nothing.  longest_s: the longest that the next one waits."""

    key: str
    free: int
    longest_s: float


class Throttle:
    """Thread-safe. Wrong tries are counted three ways, and each further one doubles the wait.

    By name and address; by address, for one who tries many names; by name, for one who tries from many addresses. The last
    wait is short, for whoever makes it long would lock the user out. A browser that this user has logged in with before, by
    what it was given then, has a count of its own and none of the others; from an address that the user has logged in from
    before, only the first one counts.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds that never go back."""
        self._clock = clock
        self._mutex = threading.Lock()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._browsers: OrderedDict[str, str] = OrderedDict()
        self._places: OrderedDict[str, None] = OrderedDict()

    def counts(self, name: str, address: str, browser: str | None) -> tuple[Count, ...]:
        """By which a try is counted. browser: a hash of what it was given at an earlier login, None where it shows nothing."""
        name, network = name[:LONGEST_NAME], _network(address)
        here = Count(f"{name} at {network}", 5, 900.0)
        with self._mutex:
            if browser is not None and self._browsers.get(browser) == name:
                return (Count(f"browser {browser}", 5, 900.0),)
            if here.key in self._places:
                return (here,)
        return (here, Count(f"address {network}", 20, 900.0), Count(f"name {name}", 20, 60.0))

    def wait_s(self, counts: Sequence[Count]) -> float:
        """How long a try counted so has to wait; 0 or less where it may be made now."""
        with self._mutex:
            return max(self._waits_s(count) for count in counts)

    def wrong(self, counts: Sequence[Count]) -> None:
        """Such a try was wrong."""
        now = self._clock()
        with self._mutex:
            for count in counts:
                tries, at = self._tries.pop(count.key, (0, 0.0))
                self._tries[count.key] = (1 if now - at > FORGOTTEN_S else tries + 1, now)
                _bound(self._tries)

    def right(self, name: str, address: str, counts: Sequence[Count], browser: str) -> None:
        """Such a try was right. browser: a hash of what the browser is given to be known by from now on."""
        with self._mutex:
            self._tries.pop(counts[0].key, None)
            self._browsers[browser] = name
            place = f"{name[:LONGEST_NAME]} at {_network(address)}"
            self._places.pop(place, None)
            self._places[place] = None
            _bound(self._browsers)
            _bound(self._places)

    def is_known(self, counts: Sequence[Count]) -> bool:
        """Whether these are the counts of one who was here before."""
        return len(counts) == 1

    def _waits_s(self, count: Count) -> float:
        tries, at = self._tries.get(count.key, (0, 0.0))
        if tries < count.free:
            return 0.0
        return at + min(2.0 ** min(tries - count.free + 1, 30), count.longest_s) - self._clock()


def _network(address: str) -> str:
    """The address; of IPv6 the 64 bits of its network, in which one machine may have any address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return str(found if found.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def _bound(remembered: OrderedDict[str, tuple[int, float]] | OrderedDict[str, str] | OrderedDict[str, None]) -> None:
    while len(remembered) > MOST:
        remembered.popitem(last=False)
