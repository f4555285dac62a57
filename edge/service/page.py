"""The live page's process: started with the settings, started anew when it ends or hangs, and never in the way.

It reads the journal and leaves requests, so it needs nothing of this process but that it lives: its standard input is a pipe
from here, and when that closes it ends. It writes a byte each few seconds; one that falls silent is killed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from typing import IO, Final

from edge import config_text
from edge.service.worker import Worker

log = logging.getLogger(__name__)

SILENT_S: Final = 60.0
"""So long it may say nothing: reading 10,000 verdicts for the first time takes seconds."""
STILL_STARTING: Final = "it is still starting, for the machine is busy"
STARTING_S: Final = 900.0
"""So long it may take to start: of lesser rank than all else, on a busy machine it waits minutes for the processor."""
LOOK_S: Final = 0.5
ENDED_S: Final = 10.0
"""So long one may take to end that has closed its output."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
STEADY_S: Final = 120.0
"""One that has run for so long is started again at once."""
WRONG_USAGE: Final = 2
"""How it ends where its last line says what is wrong with the settings."""
COMMAND: Final = (sys.executable, "-m", "edge.web")


class PageKeeper(Worker):
    """Keeps one process running."""

    name = "page"
    command: tuple[str, ...] = COMMAND

    def run(self) -> None:
        """Start it, watch it, start it again; end it with the service."""
        pause_s = FIRST_PAUSE_S
        while not self.shared.stopping.is_set():
            began = time.monotonic()
            try:
                why = self._one_life()
            except OSError as error:
                why = f"it cannot be started: {error.strerror or error}"
            except subprocess.TimeoutExpired:
                why = "it closed its output and did not end"
            if why is None:
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > STEADY_S else min(2 * pause_s, LONGEST_PAUSE_S)
            self.report(f"the live page does not run: {why}")
            self.shared.stopping.wait(pause_s)

    def _one_life(self) -> str | None:
        """Until it ends, and why it did; None when the service stops."""
        with subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            last: deque[str] = deque(maxlen=1)
            teller = threading.Thread(target=tell, args=(process.stderr, last), name="page's log", daemon=True)
            teller.start()
            try:
                try:
                    process.stdin.write(json.dumps(config_text.written(self.settings)).encode() + b"\n")
                    process.stdin.flush()
                except BrokenPipeError:  # it ended at once; its last line says why
                    pass
                silent_s = self._silent_or_ended(process, process.stdout)
                if silent_s is not None:
                    return f"it said nothing for {silent_s:.0f} s and was ended"
            finally:
                end(process)
        teller.join(5.0)
        if self.shared.stopping.is_set():
            return None
        return last[0] if last and process.returncode == WRONG_USAGE else f"it ended with status {process.returncode}"

    def _silent_or_ended(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> float | None:
        """Watch it; for how many seconds it said nothing, where it hangs. None when it ended or the service stops."""
        heard, patience_s, slow = time.monotonic(), STARTING_S, False
        while not self.shared.stopping.is_set():
            ready, _, _ = select.select([said], [], [], LOOK_S)
            now = time.monotonic()
            if ready:
                if not os.read(said.fileno(), 4096):
                    process.wait(ENDED_S)
                    return None
                self.report(None)
                heard, patience_s = now, SILENT_S
            elif now - heard > patience_s:
                return now - heard
            elif now - heard > SILENT_S and not slow:
                slow = True
                self.report(f"the live page does not run: {STILL_STARTING}")
        return None


def environment() -> dict[str, str]:
    """Of the page's process: one thread for what it computes, and nothing to tell systemd with."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def tell(lines: IO[bytes], last: deque[str]) -> None:
    """Its log into ours; `last` keeps the newest line."""
    for line in lines:
        text = line.decode("utf-8", "backslashreplace").strip()
        if text:
            last.append(text)
            log.info("page: %.500s", text)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and kill it where it does not within a second."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # what was not yet written
        process.stdin.close()
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
