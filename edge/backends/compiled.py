"""A compiled network's bytes and what they depend on in, the same bytes at the next start out, if nothing of it has changed.

Compiling takes most of a start. What is remembered is one file for each model and precision, in a folder of this user
alone; it begins with a hash of everything behind it. A file that is damaged, or of other models, libraries or processors, is
none, and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.whole_file import write_whole

log = logging.getLogger(__name__)

LEAST_FREE: Final = 1 << 30
"""Bytes that must stay free: what saves a second is never worth the room that a verdict needs."""
_HASH: Final = 64
_CPU_FACTS: Final = ("model name", "vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part")


def remembered(folder: Path, name: str, key: Sequence[str]) -> bytes | None:
    """What was kept under this name for this key; None where it is missing, damaged, or was made for another key."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_HASH:]).hexdigest().encode("ascii") != data[:_HASH]:
        log.warning("%s is damaged: the network is compiled anew", path)
        return None
    stored, _, compiled = data[_HASH:].partition(b"\n")
    return compiled if stored == _line(key) else None


def remember(folder: Path, name: str, key: Sequence[str], compiled: bytes) -> None:
    """Best effort: what cannot be stored, or would leave less than `LEAST_FREE`, is compiled again at the next start."""
    body = b"\n".join((_line(key), compiled))
    path = folder / name
    try:
        if shutil.disk_usage(folder).free - len(body) < LEAST_FREE:
            log.info("%s is not written: its disk has little room", path)
            return
        write_whole(path, hashlib.sha256(body).hexdigest().encode("ascii") + body)
    except OSError as error:
        log.info("cannot remember the compiled network in %s: %s", path, error)


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """A hash of what compiled code depends on: which processor this is, and what it says that it can."""
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        first = ""
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    return hashlib.sha256(json.dumps([facts.get(name) for name in _CPU_FACTS]).encode()).hexdigest()


def _line(key: Sequence[str]) -> bytes:
    return json.dumps(list(key)).encode("ascii")
