"""What is typed in, values out: a parser that says in one line what is wrong, and the numbers that people type.

Below all rooms, so that `edge-train` and `edge-export` answer like the others.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Final, NoReturn, TypeAlias

from edge import __version__
from edge.errors import ConfigError, EdgeError

WRONG_USAGE = 2


_OURS: Final = (
    (r"invalid int value: (.*)", r"must be a whole number (got \1)"),
    (r"invalid float value: (.*)", r"must be a number (got \1)"),
    (r"invalid (\w+) value: (.*)", r"must be a \1 (got \2)"),
    (r"invalid choice: (.*) \(choose from (.*)\)", r"must be one of \2 (got \1)"),
    (r"unrecognized arguments: (.*)", r"does not know \1"),
    (r"the following arguments are required: (.*)", r"needs \1"),
)
"""What argparse says, and what we say."""


class _Help(argparse.HelpFormatter):
    """Wraps what is told, and keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("example") else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and where help is, without the whole usage before it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As argparse has it. Each parser, a subcommand's too, knows `--version`, and shows its examples line by line."""
        named.setdefault("formatter_class", _Help)
        head, colon, examples = (named.get("epilog") or "").partition(": ")
        if colon and head in ("example", "examples"):
            named["epilog"] = "\n  ".join([f"{head}:", *examples.split("; ")])
        super().__init__(*arguments, **named)
        self.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print the version")

    def error(self, message: str) -> NoReturn:
        """Print and exit with status 2."""
        for told, ours in _OURS:
            message = re.sub(told, ours, message)
        self.exit(WRONG_USAGE, f"{self.prog}: {message}; {self.prog} --help shows how\n")


Actions: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What `add_subparsers` of a `Parser` returns."""


def _shown(text: str) -> str:
    from edge.wording import shown  # loads pydantic, which `--help` needs not wait for

    return shown(text)


def whole_number(text: str) -> int:
    """A whole number. Raises ArgumentTypeError."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) is None:
        raise argparse.ArgumentTypeError(f"must be a whole number (got {_shown(text)})")
    return int(text)


def number(text: str) -> float:
    """A finite number. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number (got {_shown(text)})")
    return value


def length_nm(text: str) -> float:
    """A length above zero in nanometres. Raises ArgumentTypeError."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, in nanometres (got {_shown(text)})")
    return value


def day(text: str) -> datetime:
    """The midnight, UTC, that a day such as 2026-01-31 begins with. Raises ArgumentTypeError."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()) is None:
            raise ValueError
        return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a day such as 2026-01-31 (got {_shown(text)})") from None


def new_parser(name: str, description: str, example: str) -> Parser:
    """A command's parser with an example below its help."""
    return Parser(name, description=description, epilog=f"example:\n  {example}")


def new_action(actions: Actions, name: str, about: str, example: str) -> Parser:
    """A subcommand, its first sentence in the list of all of them, with the option `--config` of the daemon."""
    action = actions.add_parser(name, description=about, help=about.partition(". ")[0], epilog=f"example:\n  {example}")
    action.add_argument("--config", metavar="FILE", help="the daemon's TOML file")
    return action


def status_of_training(program: str, command: str, work: Callable[[], int]) -> int:
    """Run a subcommand that needs the extra `training`; its exit status, with one line on stderr for what is wrong."""
    try:
        return int(work())
    except ImportError as error:
        print(f"{program} {command} needs more: install sem-corrosion-edge[training] ({error})", file=sys.stderr)
        return WRONG_USAGE
    except EdgeError as error:
        print(f"{program} {command}: {error}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, ConfigError) else 1
