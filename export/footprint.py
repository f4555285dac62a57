"""What is installed for the edge in, what each package takes on the disk out, as a table.

`make size` measures an environment that holds the edge and nothing else. A library that several need is counted once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT: Final = "sem-corrosion-edge"
MOST_MB: Final = 460
"""What the edge with ONNX Runtime may take."""
_MB: Final = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m export.footprint`: 0 it fits, 1 it is too large, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        "python -m export.footprint",
        description=__doc__,
        epilog="example: python -m export.footprint --extra web --most 460",
    )
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra that is installed, too")
    parser.add_argument("--most", type=int, metavar="MB", help=f"exit 1 above so many ({MOST_MB} without an extra)")
    arguments = parser.parse_args(argv)
    try:
        sizes = footprint(arguments.extra)
    except metadata.PackageNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install '{PRODUCT}[{','.join(arguments.extra)}]'")
    total = sum(sizes.values())
    for name, size in sorted(sizes.items(), key=lambda row: -row[1]):
        print(f"{name:28}{metadata.version(name):>14}{size / _MB:9.1f} MB")
    print(f"{'together':42}{total / _MB:9.1f} MB")
    most = arguments.most or (None if arguments.extra else MOST_MB)
    if most is not None and total > most * _MB:
        print(f"that is more than {most} MB: see which package grew", file=sys.stderr)
        return 1
    return 0


def footprint(extras: Iterable[str] = ()) -> dict[str, int]:
    """Bytes on the disk of each distribution that the edge needs with these extras, compiled modules included.

    Raises PackageNotFoundError for what is needed on this machine and not installed.
    """
    return {name: _size(metadata.distribution(name)) for name in needs(PRODUCT, frozenset(extras))}


def needs(top: str, extras: frozenset[str]) -> dict[str, set[str]]:
    """Every distribution that is needed on this machine, by its normal name, and which others each needs itself."""
    found: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(top, extras)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        needed = found.setdefault(name, set())
        for requirement in map(Requirement, metadata.requires(name) or []):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                other = canonicalize_name(requirement.name)
                if other != name:  # an extra may be made of others
                    needed.add(other)
                waiting.append((other, wanted | requirement.extras if other == name else frozenset(requirement.extras)))
    return found


def _size(distribution: metadata.Distribution) -> int:
    """In whole blocks, as `du` counts. An installer that compiled modules later has not written that down."""
    paths = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    paths |= {Path(cache_from_source(str(path))) for path in paths if path.suffix == ".py"}
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
