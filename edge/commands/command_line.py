"""What every command line has in common: its version, an example, one line for what is wrong, an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps

from edge import __version__
from edge.errors import ConfigError, EdgeError, ModelError

DONE, SOME_FAILED, WRONG_USAGE = 0, 1, 2


def as_command(function: Callable[[Sequence[str] | None], int]) -> Callable[[Sequence[str] | None], int]:
    """Turn our own errors into one line on stderr and an exit status."""

    @wraps(function)
    def run(argv: Sequence[str] | None = None) -> int:
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

    return run


def new_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser with an example below its help, and `--version`."""
    parser = argparse.ArgumentParser(
        name, description=description, epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser
