"""What every command line has in common: its version, an example, one line for what is wrong, an exit status."""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import NoReturn

from edge import __version__
from edge.errors import ConfigError, EdgeError, ModelError
from edge.wording import shown

DONE, SOME_FAILED, WRONG_USAGE = 0, 1, 2


def as_command(function: Callable[[Sequence[str] | None], int]) -> Callable[[Sequence[str] | None], int]:
    """Turn our own errors into one line on stderr and an exit status."""

    @wraps(function)
    def run(argv: Sequence[str] | None = None) -> int:
        _print_any_name()
        try:
            return function(argv)
        except (ConfigError, ModelError) as error:
            print(f"edge-{function.__name__}: {error}", file=sys.stderr)
            return WRONG_USAGE
        except EdgeError as error:
            print(f"edge-{function.__name__}: {error}", file=sys.stderr)
            return SOME_FAILED
        except BrokenPipeError:
            # The reader of our output has gone (`| head`): keep the interpreter from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return SOME_FAILED
        except KeyboardInterrupt:
            return 130
        except OSError as error:  # of a name that was typed: the rooms translate what they meet themselves
            where = f"{error.filename}: " if error.filename is not None else ""
            print(f"edge-{function.__name__}: {where}{error.strerror or error}", file=sys.stderr)
            return SOME_FAILED

    return run


def _print_any_name() -> None:
    """A file's name that is no UTF-8 is printed with its bytes as \\xNN, in place of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and where help is, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print and exit with status 2."""
        self.exit(WRONG_USAGE, f"{self.prog}: {message}; {self.prog} --help shows how\n")


def whole_number(text: str) -> int:
    """A whole number. Raises ArgumentTypeError."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) is None:
        raise argparse.ArgumentTypeError(f"must be a whole number (got {shown(text)})")
    return int(text)


def number(text: str) -> float:
    """A finite number. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number (got {shown(text)})")
    return value


def length_nm(text: str) -> float:
    """A length above zero in nanometres. Raises ArgumentTypeError."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, in nanometres (got {shown(text)})")
    return value


def new_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser with an example below its help, and `--version`; what is wrong is told in one line, with status 2."""
    parser = Parser(
        name, description=description, epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser
