"""A command line in; `edge-daemon` out that is killed at a named point of its code, once.

    python tests/faults/killed_at.py FILE [--real] --config CONFIG

FILE is JSON: the `point` of `tests.faults.points` and the number of the `call`. Without the file nothing is killed. It is
renamed to FILE.reached just before the death, so the next start lives. --real: with the real networks.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]


class Death:
    """At one call of one function. Its calls may come from any thread."""

    def __init__(self, armed: Path) -> None:
        """armed: the file that says when. Wraps the functions."""
        from tests.faults.points import BY_NAME, found

        asked = json.loads(armed.read_text())
        point = BY_NAME[asked["point"]]
        self._armed, self._left, self._side = armed, int(asked["call"]), point.side
        self._counts = not point.since
        self._mutex = threading.Lock()
        self._wrap(*found(point.function), self._at)
        if point.since:
            self._wrap(*found(point.since), self._begin)

    def _wrap(self, owner: Any, name: str, around: Callable[[Callable[[], Any]], Any]) -> None:
        real = getattr(owner, name)

        @functools.wraps(real)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            return around(lambda: real(*arguments, **named))

        setattr(owner, name, wrapped)

    def _begin(self, call: Callable[[], Any]) -> Any:
        self._counts = True
        return call()

    def _at(self, call: Callable[[], Any]) -> Any:
        with self._mutex:
            self._left -= self._counts
            now = self._counts and self._left == 0
        if now and self._side == "before":
            self._die()
        result = call()
        if now:
            self._die()
        return result

    def _die(self) -> None:
        self._armed.rename(f"{self._armed}.reached")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__mp_main__" and "--real" not in sys.argv:  # a process that the daemon starts
    from tests.faults.stand_in import stand_in

    stand_in()

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    armed, *arguments = map(str, sys.argv[1:])
    if arguments[0] == "--real":
        del arguments[0]
    else:
        from tests.faults.stand_in import stand_in

        stand_in()
    if Path(armed).exists():
        Death(Path(armed))
    from edge.commands.cli import daemon

    sys.exit(daemon(arguments))
