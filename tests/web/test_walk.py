"""The way from the microscope's PC to the page, by the commands of docs/use/dashboard.md."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.web import users
from tests import ROOT
from tests.fakes.brokers import eventually, free_port

pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("openssl", "curl")), reason="openssl and curl are not installed"
)
PASSWORD = "long enough"


def documented() -> tuple[list[str], str]:
    """The commands, one a line, and the settings of [web]."""
    text = (ROOT / "docs/use/dashboard.md").read_text(encoding="utf-8")
    text = text[text.index("### TLS by the page itself, step by step") :]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:2] for line in block.splitlines()]
    settings = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert settings is not None
    return commands, settings[1]


def here(command: str, folder: Path, port: int) -> list[str]:
    """A command of the page as it can be run on this machine, without its accounts and services."""
    words = shlex.split(command.removeprefix("sudo ").replace("-u sem-corrosion-edge ", ""))
    program = Path(words[0]).name
    if program in ("edge-dashboard", "edge-daemon"):
        module, function = {"edge-dashboard": ("dashboard", "dashboard"), "edge-daemon": ("cli", "daemon")}[program]
        run = f"import sys; from edge.commands.{module} import {function}; sys.exit({function}())"
        return [sys.executable, "-c", run, *words[1:]]
    if program == "curl":
        name = f"edge-pc.plant.example:{port}"
        return ["curl", "--silent", "--resolve", f"{name}:127.0.0.1", *(word.replace("8443", str(port)) for word in words[1:])]
    return words


def typed(command: list[str], folder: Path) -> None:
    """Run what asks for a password twice on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    for question in (b"password:", b"again:"):
        seen = b""
        while question not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, PASSWORD.encode() + b"\n")
    assert process.wait(60) == 0
    os.close(ours)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_steps_to_a_page_with_tls_lead_to_one_that_answers(tmp_path: Path) -> None:
    commands, web = documented()
    folder, port = tmp_path / "etc", free_port()
    for name in ("etc", "export"):
        (tmp_path / name).mkdir()
    settings = web.replace("/etc/sem-corrosion-edge", str(folder)).replace("0.0.0.0:8443", f"127.0.0.1:{port}")
    (folder / "config.toml").write_text(
        f'[watch]\nfolder = "{tmp_path / "export"}"\n[state]\nfolder = "{tmp_path / "state"}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {free_port()}\n{settings}'
    )
    assert [shlex.split(command)[0] for command in commands].count("cd") == 1
    server: subprocess.Popen[bytes] | None = None
    try:
        for command in commands:
            run = here(command, folder, port)
            if run[0] in ("cd", "chown"):
                continue  # the test stands in the folder, and has no account for the service
            if run[0] == "systemctl":
                page = [sys.executable, "-m", "edge.web", "--config", "config.toml"]
                server = subprocess.Popen(page, cwd=folder, env=environment())
                eventually(lambda: answer(commands[-1], folder, port), 60.0, "an answer")
            elif "user" in run:
                typed(run, folder)
            else:
                done = subprocess.run(
                    run, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=200
                )
                if "--check" in run:  # which finds no broker here
                    assert f"the live page is https://127.0.0.1:{port}/; 1 user" in done.stdout + done.stderr
                else:
                    assert done.returncode == 0, done.stderr
        assert json.loads(answer(commands[-1], folder, port))["login"] is True
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
    assert users.verified(users.load(folder / "users"), "ann", PASSWORD) is not None
    assert (folder / "page.key").stat().st_mode & 0o077 == 0


def answer(command: str, folder: Path, port: int) -> str:
    return subprocess.run(here(command, folder, port), cwd=folder, capture_output=True, text=True, check=False).stdout
