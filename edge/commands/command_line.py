"""What every command line has in common: its version, an example, one line for what is wrong, an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps

from edge.errors import ConfigError, EdgeError, ModelError

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


def need_linux() -> None:
    """Raises ConfigError elsewhere: systemd, inotify, /proc and locks of folders are Linux's."""
    if sys.platform != "linux":
        raise ConfigError("it runs on Linux alone; edge-inspect, edge-report, edge-review and edge-teach run here, too")


def _print_any_name() -> None:
    """A file's name that is no UTF-8 is printed with its bytes as \\xNN, in place of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
