"""Every command answers at once how it is used, and says in one sentence what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge import __version__
from edge.commands import cli

COMMANDS = [cli.inspect, cli.daemon, cli.doctor, cli.review, cli.demo, cli.bench]
Command = Callable[[Sequence[str] | None], int]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_its_version_and_shows_an_example(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"edge-{command.__name__}"
    for option, expected in (("--version", f"{name} {__version__}\n"), ("--help", f"example:\n  {name} ")):
        with pytest.raises(SystemExit) as ended:
            command([option])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (cli.inspect, [], "needs PATH"),
        (cli.inspect, ["a.tif", "--stages", "none"], "argument --stages: must be one of"),
        (cli.daemon, [], "needs --config"),
        (cli.review, [], "needs {list,retry,dead-letters,add,reviews,export}"),
        (cli.review, ["retry"], "name PATHs, or --all, or --code"),
        (cli.review, ["retry", "a.tif", "--all"], "name PATHs, or --all, or --code"),
        (cli.demo, ["--images", "many"], "argument --images: must be a whole number"),
        (cli.bench, ["--duration", "0"], "--duration must be more than 0"),
        (cli.bench, ["--plot", "a.png"], "name it .svg"),
    ],
)
def test_wrong_arguments_are_status_2_and_a_sentence(
    command: Command, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert sentence in printed.err


@pytest.mark.parametrize("command", [cli.daemon, cli.doctor])
def test_a_configuration_that_is_not_there_is_status_2_and_one_line(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.toml"
    assert command(["--config", str(missing)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edge-{command.__name__}: ")
    assert str(missing) in line


def test_under_systemd_a_record_begins_with_its_level_and_has_no_time() -> None:
    program = (
        "import logging\nfrom edge.commands.cli import log_to_stderr\nlog_to_stderr()\n"
        "logging.error('lost')\nlogging.info('found')\nlogging.debug('looked')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"JOURNAL_STREAM": "8:1"}, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == ["<3>lost", "<6>found"]


def test_the_help_of_bench_imports_nothing_heavy() -> None:
    program = (
        "import contextlib, sys\nfrom edge.commands.cli import bench\n"
        "with contextlib.suppress(SystemExit): bench(['--help'])\nassert 'numpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
