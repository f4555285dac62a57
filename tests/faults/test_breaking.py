"""What breaks things: small disks, injected errors and another clock do what they say, and nothing beside."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.faults.breaking import Clock, Injection, SmallDisk, Unavailable


def test_a_small_disk_is_seen_by_what_enters_it_and_by_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    try:
        disk = SmallDisk(folder, 2)
    except Unavailable as absent:
        pytest.skip(str(absent))
    try:
        (disk.inside / "a").write_bytes(b"here")
        disk.run("test", "-e", str(folder / "a"))
        assert not (folder / "a").exists()
        filler = disk.fill()
        with pytest.raises(OSError, match="No space"):
            (disk.inside / "b").write_bytes(bytes(1 << 16))
        disk.grow(4)
        (disk.inside / "b").write_bytes(bytes(1 << 16))
        filler.unlink()
        disk.cover()
        assert not list(disk.inside.iterdir())
        disk.uncover()
        assert (disk.inside / "a").read_bytes() == b"here"
    finally:
        disk.close()


READER = """
import sys
for line in sys.stdin:
    try:
        print(open(line.strip()).read(), flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


def test_an_injected_error_meets_the_named_files_alone_and_ends(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)

    with subprocess.Popen([sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def read(name: str) -> str:
            print(tmp_path / name, file=process.stdin, flush=True)
            assert process.stdout is not None
            return process.stdout.readline().strip()

        assert read("a") == "a"
        try:
            injection = Injection(process.pid, "read", "EIO", paths=(tmp_path / "a",))
        except Unavailable as absent:
            process.kill()
            pytest.skip(str(absent))
        assert (read("a"), read("b")) == ("Input/output error", "b")
        injection.stop()
        assert read("a") == "a"
        process.stdin.close()


def test_an_injection_into_a_process_that_has_ended_breaks_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while process.poll() is None:
        time.sleep(0.01)
    try:
        Injection(process.pid, "read", "EIO").stop()
    except Unavailable as absent:
        pytest.skip(str(absent))


def test_a_clock_jumps_for_one_process_and_its_monotonic_clock_does_not(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    script = (
        "import runpy, sys, time\n"
        "from pathlib import Path\n"
        f"shift = runpy.run_path({clock.command[1]!r})['shift']\n"
        "before = time.monotonic()\n"
        f"shift(Path({clock.command[2]!r}))\n"
        "from datetime import datetime, timezone\n"
        "print(time.time(), datetime.now(timezone.utc).timestamp(), time.time_ns() / 1e9, time.monotonic() - before < 3600)"
    )
    clock.jump(91 * 86400)
    now = datetime.now(timezone.utc).timestamp()
    *told, steady = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert all(abs(float(one) - now - 91 * 86400) < 3600 for one in told)
    assert steady == "True"
