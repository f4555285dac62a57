"""`edge-export tensorrt` as people type it: its arguments, its exit status, what it prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge.arguments import Parser
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.config import InspectionSettings

DESCRIPTION = """\
Turn the models into FP16 engines of TensorRT for the GPU of this machine, where nothing fitting is there already.
An engine that is not FP16, or whose answers differ from float32, is refused; what was there before stays.
Where nvcc is there, the CUDA kernels that draw the networks' input are compiled as well.
On a machine without an NVIDIA GPU there is nothing to do, which is no failure; one that is there and cannot be used is one.
"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `tensorrt` to the commands of `edge-export`; its function is the parsed arguments' `run`."""
    parser = commands.add_parser(
        "tensorrt",
        help="ONNX to TensorRT engines, on the machine that will use them",
        description=DESCRIPTION,
        epilog="example: edge-export tensorrt --config /etc/sem-corrosion-edge/config.toml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's configuration: which models and thresholds")
    parser.add_argument("--segmenter", metavar="MODEL", help='instead of the configured one: a path, or "builtin"')
    parser.add_argument("--classifier", metavar="MODEL", help='instead of the configured one: a path, or "builtin"')
    parser.add_argument("--workspace", type=_positive, metavar="MIB", help="GPU memory for a layer (half of what is free)")
    parser.add_argument("--level", type=int, choices=range(6), default=3, help="how long to search for kernels (%(default)s)")
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help="where measured kernels are remembered")
    parser.add_argument("--again", action="store_true", help="build also where a fitting engine is there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say: 0 done or nothing to do, 1 an engine was refused or not built, or the GPU cannot be used.

    Raises ConfigError.
    """
    settings = _settings(arguments)
    models = settings.models
    if models.backend not in ("auto", "tensorrt"):
        print(f"nothing to build: the configuration asks for {models.backend}", file=sys.stderr)
        return 0
    from edge.backends.tensorrt.device import choose as choose_gpu
    from edge.cache import cache_folder
    from edge.models.card import resolve
    from export.engine_build import BuildOptions
    from export.to_tensorrt import NoTensorRtError, make_engine, provide_kernels, this_machine

    choose_gpu(models.device)
    options = BuildOptions(
        workspace_mib=arguments.workspace,
        level=arguments.level,
        timing_cache=arguments.timing_cache or cache_folder() / "tensorrt-timing.cache",
        again=arguments.again,
    )
    say = partial(print, file=sys.stderr, flush=True)
    jobs = []
    failed = False
    for task, name in _jobs(settings):
        try:
            jobs.append((task, name, resolve(name, task)))
        except EdgeError as error:
            say(f"{name} ({task}): {error}")
            failed = True
    try:
        this_machine()
        if jobs:
            say(provide_kernels([model for _, _, model in jobs]))  # first, so that engines are compared on what they draw
        for task, name, model in jobs:
            try:
                made = make_engine(model, task, settings, options, say)
            except NoTensorRtError:
                raise
            except EdgeError as error:
                say(f"{name} ({task}): {error}")
                failed = True
            else:
                print(f"{made.engine} {'built' if made.built else 'is there already'}")
    except NoTensorRtError as error:
        return _nothing_to_build_with(str(error), say)
    return 1 if failed else 0


def _nothing_to_build_with(why: str, say: Callable[[str], None]) -> int:
    """Exit status without TensorRT or a GPU: no failure, unless the kernel sees NVIDIA hardware that cannot be used."""
    from edge.backends.tensorrt import device

    hardware = device.hardware()
    if hardware is None:
        say(f"nothing to build: {why}")
        return 0
    found = device.first_gpu()
    say(f"{hardware} cannot be used: {found.why if isinstance(found, device.NoGpu) else why}")
    return 1


def _settings(arguments: argparse.Namespace) -> InspectionSettings:
    from edge.config import InspectionSettings, load_for_command

    settings = load_for_command(arguments.config) if arguments.config else InspectionSettings()
    named = {role: value for role in ("segmenter", "classifier") if (value := getattr(arguments, role)) is not None}
    return settings.model_copy(update={"models": settings.models.model_copy(update=named)})


def _jobs(settings: InspectionSettings) -> list[tuple[Literal["segment", "classify"], str]]:
    jobs: list[tuple[Literal["segment", "classify"], str]] = []
    if settings.inspect.stages != "classify":
        jobs.append(("segment", settings.models.segmenter))
    if settings.inspect.stages != "segment":
        jobs.append(("classify", settings.models.classifier))
    return jobs


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
