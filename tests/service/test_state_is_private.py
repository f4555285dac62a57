"""What the daemon writes belongs to its user alone, whatever umask it was started with."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.running_daemon import COMMAND, PREFIX, Service, by_name, modes, png


@pytest.mark.parametrize("umask", ["0", "022", "0777"])
def test_every_file_of_the_state_folder_is_closed_to_others(umask: str, tmp_path: Path, broker: Mosquitto) -> None:
    state = tmp_path / "made" / "by the daemon" / "state"
    command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *COMMAND]
    service = Service(tmp_path, broker.port, command=command, state={"folder": str(state)})
    service.put("a.png", png(1))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: "a.png" in by_name(dashboard), 60)
        eventually(lambda: list((state / "pictures").iterdir()), 60)
        found = modes(state)
        assert {
            "journal.sqlite3",
            "journal.sqlite3-wal",
            "journal.sqlite3-shm",
            "lock",
            "witness",
            "reserve",
            "pictures",
        } <= set(found)
        assert not {name: oct(mode) for name, mode in found.items() if mode & 0o077}
        for parent in (state.parent, state.parent.parent):
            assert not stat.S_IMODE(parent.stat().st_mode) & 0o022, (
                "whoever may write there could put another state in its place"
            )
