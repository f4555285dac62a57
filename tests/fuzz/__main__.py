"""A reader's name and minutes in; inputs that break it out, led by what they cover of the code (atheris, libFuzzer).

    python -m tests.fuzz tiff --minutes 10 [--seed 7] [--corpus DIR]
    python -m tests.fuzz all --minutes 10

An input that breaks a reader is written to `tests/fuzz/found/READER/`, where the tests try it at every run, and the exit
status is 1. Atheris is the extra `fuzz`: Python 3.11 on Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOUND = Path(__file__).parent / "found"
RAM_MIB = 2048
"""Atheris 3.0.0 keeps the result of each comparison of arrays for ever, so a reader of pixels reaches this in minutes and is
begun again with what it has found."""


def main(arguments: list[str]) -> int:
    """Run each reader in a process of its own; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("reader", help="a reader's name, or all")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, which is printed")
    parser.add_argument("--corpus", type=Path, help="where inputs that reached something new are kept, and begun with")
    parser.add_argument("--once", type=Path, help="try this one input")
    parser.add_argument("--led", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.led:
        return _led(asked.reader, asked.minutes, asked.seed, asked.corpus)
    if asked.once:
        return _once(asked.reader, asked.once)
    from tests.fuzz.readers import BY_NAME

    names = list(BY_NAME) if asked.reader == "all" else [asked.reader]
    if unknown := set(names) - set(BY_NAME):
        parser.error(f"unknown reader {', '.join(unknown)}; known: {', '.join(BY_NAME)}")
    seed = asked.seed or int.from_bytes(os.urandom(3), "big") + 1
    worst = 0
    for name in names:
        corpus = (asked.corpus or Path(tempfile.mkdtemp(prefix="edge-fuzz-corpus-"))) / name
        corpus.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        worst = max(worst, _in_a_process(name, asked.minutes, seed, corpus))
        print(
            f"{name}: seed {seed}, {time.monotonic() - began:.0f} s, {len(list(corpus.iterdir()))} inputs in {corpus}",
            flush=True,
        )
    return worst


def _in_a_process(name: str, minutes: float, seed: int, corpus: Path) -> int:
    """One reader, begun again where only the sum of many inputs took too much memory; 1 when an input breaks it."""
    until = time.monotonic() + 60 * minutes
    under_way = corpus.parent / f"{name}-input"
    while (left := until - time.monotonic()) > 1:
        options = ["--led", "--minutes", str(left / 60), "--seed", str(seed), "--corpus", str(corpus)]
        done = subprocess.run([sys.executable, "-m", "tests.fuzz", name, *options], check=False)
        if not done.returncode:
            return 0
        alone = subprocess.run([sys.executable, "-m", "tests.fuzz", name, "--once", str(under_way)], check=False)
        if alone.returncode:
            data = under_way.read_bytes()
            kept = FOUND / name / hashlib.sha256(data).hexdigest()[:12]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
            print(f"{name}: exit status {done.returncode}: {kept}", flush=True)
            return 1
        print(f"{name}: exit status {done.returncode}, but not by this input alone: begun again", flush=True)
        seed += 1
    return 0


def _once(name: str, path: Path) -> int:
    """One input, without being led; whatever it raises ends the process."""
    from tests.fuzz.limits import bounded
    from tests.fuzz.readers import BY_NAME

    bounded(BY_NAME[name].run, BY_NAME[name].allowed, path.read_bytes())
    return 0


def _led(name: str, minutes: float, seed: int, corpus: Path) -> int:
    """In the child: libFuzzer chooses the inputs; each is left in a file while it runs, for a death without a word."""
    import atheris

    with atheris.instrument_imports(include=["edge", "tomllib"]):
        import tests.fuzz.readers as table

    from tests.fuzz.limits import bounded

    reader = table.BY_NAME[name]
    for number, start in enumerate(reader.seeds()):
        (corpus / f"seed-{number}").write_bytes(start)
    words = corpus.parent / f"{name}-words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in reader.tokens))
    under_way = corpus.parent / f"{name}-input"

    def one(data: bytes) -> None:
        under_way.write_bytes(data)
        bounded(reader.run, reader.allowed, data)

    limits = [f"-max_total_time={round(60 * minutes)}", f"-rss_limit_mb={RAM_MIB}", "-timeout=60", "-max_len=65536"]
    quiet = ["-verbosity=1", "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/{name}-"]
    atheris.Setup(["tests.fuzz", *limits, *quiet, f"-seed={seed}", f"-dict={words}", str(corpus)], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
