"""This machine in; out comes how many bytes of memory are free for a process of ours: what the kernel and its cgroups leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

SHARE: Final = 0.5
"""Of what is free; the rest is for the networks' work on the image and for the images that are waiting."""
LEAST: Final = 256 << 20
"""Bytes that reading an image may always take: what is full now may be free soon, and a refusal is for good."""
UNLIMITED: Final = 1 << 60


def allowance(root: Path = Path("/")) -> int:
    """Bytes that reading one image may take here and now."""
    return max(LEAST, int(SHARE * spare_bytes(root)))


def spare_bytes(root: Path = Path("/")) -> int:
    """Bytes that are free for this process. root: of the file system, where `proc` and `sys` are."""
    return min([int(psutil.virtual_memory().available), *_of_cgroups(root)])


def _of_cgroups(root: Path) -> Iterator[int]:
    """What the limits of this process's control groups, and of those above them, leave: version 2, then version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        group = top / path.strip("/")
        # In a container the path may be that of the machine outside; its own limit then stands at the top.
        for folder in (group, *group.parents):
            left = _left(folder, *names)
            if left is not None:
                yield left
            if folder == top:
                break


def _left(folder: Path, limit: str, used: str, reclaimable: str) -> int | None:
    """What one group may still take; None where it has no limit. The page cache of files gives way."""
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        if most == "max" or int(most) >= UNLIMITED:
            return None
        taken = int((folder / used).read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, int(most) - taken + int(statistics.get(reclaimable, 0)))
    except (OSError, ValueError):
        return None
