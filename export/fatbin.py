"""The CUDA kernels' source in, one fat binary for every GPU that the installed nvcc knows out: `python -m export.fatbin`.

The binary is a product of the machine that builds it and is never committed. PTX of the oldest target goes in as well, so
that a driver can compile the kernels itself for a GPU that is newer than nvcc.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.backends.tensorrt.cuda import SOURCES, kernels_name
from edge.errors import EdgeError

TARGETS = (75, 80, 86, 87, 89, 90, 100, 110, 120, 121)
"""Compute capabilities times ten: Turing (75), Ampere (80, 86; 87 is Jetson Orin), Ada (89), Hopper (90), Blackwell (100,
120, 121; 110 is Jetson Thor)."""
MISSING = "there is no nvcc: install the CUDA toolkit, or name its compiler in the environment variable NVCC"


class FatbinError(EdgeError):
    """The kernels cannot be compiled."""


def find_nvcc() -> str | None:
    """The compiler: $NVCC, else of the PATH, else where NVIDIA's packages put it."""
    return os.environ.get("NVCC") or shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


def targets_of(nvcc: str) -> tuple[int, ...]:
    """Those of `TARGETS` that this nvcc compiles for. Raises FatbinError."""
    known = {int(number) for number in re.findall(r"^sm_(\d+)$", _output(nvcc, "--list-gpu-code"), re.MULTILINE)}
    targets = tuple(target for target in TARGETS if target in known)
    if not targets:
        raise FatbinError(f"{nvcc} compiles for none of {', '.join(f'sm_{target}' for target in TARGETS)}")
    return targets


def build(folder: Path, nvcc: str) -> Path:
    """Compile into `folder`; returns the file, which has its name only when it is complete. Raises FatbinError."""
    targets = targets_of(nvcc)
    codes = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in targets]
    codes.append(f"-gencode=arch=compute_{targets[0]},code=compute_{targets[0]}")
    target = folder / kernels_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            fresh = Path(work) / target.name
            # Without fused multiply-add the numbers are those of the CPU.
            _output(nvcc, "-fatbin", "-O3", "-fmad=false", "-std=c++17", *codes, "-o", str(fresh), str(SOURCES[0]))
            fresh.chmod(0o644)
            fresh.replace(target)
    except OSError as error:
        raise FatbinError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise FatbinError(f"{command[0]} cannot be run: {error.strerror or error}") from error
    if done.returncode:
        raise FatbinError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """0 built, or skipped by --check; 1 the kernels do not compile; 2 there is no nvcc."""
    parser = argparse.ArgumentParser(prog="python -m export.fatbin", description="Compile the CUDA kernels for every GPU.")
    parser.add_argument(
        "--out", type=Path, default=SOURCES[0].parent, metavar="DIR", help="folder for the file (default: beside the source)"
    )
    parser.add_argument("--check", action="store_true", help="only see whether they compile; skip where there is no nvcc")
    arguments = parser.parse_args(argv)
    nvcc = find_nvcc()
    if nvcc is None:
        print(f"export.fatbin: {'skipped: ' if arguments.check else ''}{MISSING}", file=sys.stderr)
        return 0 if arguments.check else 2
    try:
        if arguments.check:
            with tempfile.TemporaryDirectory() as folder:
                _say(build(Path(folder), nvcc), nvcc, "compiles")
        else:
            _say(build(arguments.out, nvcc), nvcc, "written")
    except FatbinError as error:
        print(f"export.fatbin: {error}", file=sys.stderr)
        return 1
    return 0


def _say(path: Path, nvcc: str, done: str) -> None:
    targets = " ".join(f"sm_{target}" for target in targets_of(nvcc))
    print(f"{path.name} {done}: {path.stat().st_size} bytes for {targets}")


if __name__ == "__main__":
    sys.exit(main())
