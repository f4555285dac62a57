"""What people type: every command and subcommand has an example, a version, and one line for what is wrong."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterator

import pytest

from edge import __version__
from edge.arguments import length_nm, number, status_of_training, whole_number
from edge.commands import cli
from edge.commands.dashboard import dashboard
from edge.commands.report import report
from edge.errors import ConfigError, ModelError
from export.cli import main as export_main
from tests import ROOT
from training.cli import main as train_main

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "edge-inspect": cli.inspect, "edge-daemon": cli.daemon, "edge-doctor": cli.doctor, "edge-review": cli.review,
    "edge-demo": cli.demo, "edge-bench": cli.bench, "edge-teach": cli.teach, "edge-train": train_main,
    "edge-export": export_main, "edge-report": report, "edge-dashboard": dashboard,
}  # fmt: skip
SUBCOMMANDS = {
    "edge-review": ("list", "retry", "add", "reviews", "export"),
    "edge-teach": ("next", "install"),
    "edge-train": ("synthesize", "prepare", "annotate", "samples", "segmenter", "classifier", "evaluate", "score"),
    "edge-export": ("onnx", "parity", "tensorrt"),
}
ALL = [(name,) for name in COMMANDS] + [(name, sub) for name, subs in SUBCOMMANDS.items() for sub in subs]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        COMMANDS[words[0]](list(words[1:]))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def takes(monkeypatch: pytest.MonkeyPatch, line: str) -> str | None:
    """What a command line is refused with, None where it is taken; nothing is run."""
    words = shlex.split(line, comments=True)
    refused: list[str] = []

    class Parsed(Exception):  # noqa: N818 - it is none
        pass

    real = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *arguments: object) -> argparse.Namespace:
        real(self, *arguments)  # type: ignore[call-overload]
        raise Parsed

    def error(self: argparse.ArgumentParser, message: str) -> None:
        refused.append(message)
        raise Parsed

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        patched.setattr("edge.arguments.Parser.error", error)
        with pytest.raises(Parsed):
            COMMANDS[words[0]](words[1:])
    return refused[0] if refused else None


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_ends_with_an_example_that_the_command_takes(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = told(capsys, *words, "--help")
    assert code == 0
    examples = re.findall(rf"(?m)^  ({words[0]} .*)$", out.partition("\nexample")[2])
    assert examples, out
    assert not [refused for line in examples if (refused := takes(monkeypatch, line))]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_each_says_its_version(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, *words, "--version")[:2] == (0, f"{' '.join(words)} {__version__}\n")


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_what_is_wrong_is_one_line_and_status_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, *words, "--no-such-option")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(words[0])
    assert "invalid" not in err


def documented() -> Iterator[tuple[str, str]]:
    """Every command line in a fenced block of a page, and where; placeholders in capitals are values like any other."""
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        if page.name == "CHANGELOG.md":
            continue
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in re.sub(r"[\[\]]", "", block.replace("\\\n", " ")).splitlines():
                found = re.match(r"(?:\$ |sudo |nice |[A-Z_]+=\S+ |-u \S+ |\S*/bin/)*(edge-[a-z]+)\b( .*)?$", line.strip())
                if found and found[1] in COMMANDS:
                    yield str(page.relative_to(ROOT)), re.split(r" [|>&]|;| 2>", f"{found[1]}{found[2] or ''}")[0]


@pytest.mark.parametrize(("page", "line"), list(dict.fromkeys(documented())))
def test_every_command_line_on_a_page_is_taken(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert takes(monkeypatch, line) is None, page


def test_pages_and_help_name_one_place_for_the_configuration() -> None:
    sources = [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        *(ROOT / "edge").rglob("*.py"),
        *(ROOT / "systemd").iterdir(),
    ]
    named = {
        name
        for path in sources
        if path.is_file() and path.name != "CHANGELOG.md"
        for name in re.findall(r"/etc/sem-[\w/.-]*\.toml", path.read_text(encoding="utf-8"))
    }
    assert named == {"/etc/sem-corrosion-edge/config.toml"}


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1,5", "0x10", "9" * 400])
def test_what_is_no_number_is_told(text: str) -> None:
    for reader in (number, whole_number, length_nm):
        if reader is not number or text != "9" * 400:
            with pytest.raises(argparse.ArgumentTypeError, match=r"must be a|must be more"):
                reader(text)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("no such folder"), 2, "edge-train score: no such folder"),
        (ModelError("it is damaged"), 1, "edge-train score: it is damaged"),
        (ImportError("no torch"), 2, "edge-train score needs more: install sem-corrosion-edge[training] (no torch)"),
    ],
)
def test_what_a_subcommand_of_training_lacks_is_one_line_and_a_status(
    error: Exception, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert status_of_training("edge-train", "score", work) == status
    assert capsys.readouterr().err == f"{said}\n"
