"""Steps 3 and 4 of docs/fleet.md as they are written: certificates, a server that wants them, and a box with its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge import config
from edge.commands.doctor_kserve import look_at_server
from edge.models.card import BUILTIN_FOLDER
from tests import ROOT
from tests.fakes.v2_server import V2Server, grpc
from tests.pages import Block, blocks

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib  # type: ignore[import-not-found,no-redef]

ETC = "/etc/sem-corrosion-edge/"


def ours() -> list[Block]:
    return [block for block in blocks(ROOT / "docs" / "fleet.md") if block.by and block.by.endswith("test_fleet_walk.py")]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_box_with_its_certificate_is_served_and_one_without_is_not(tmp_path: Path) -> None:
    commands, settings = ours()
    shutil.copy(ROOT / "docs" / "plant" / "certificates.sh", tmp_path)
    text = commands.text.replace("certs gpu-box", "certs localhost")
    subprocess.run(["sh", "-euc", text], cwd=tmp_path, check=True, capture_output=True)
    made = {name: (tmp_path / "certs" / name).read_bytes() for name in ("ca.crt", "server.crt", "server.key")}
    wanted = grpc.ssl_server_credentials([(made["server.key"], made["server.crt"])], made["ca.crt"], True)
    with V2Server(BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx", tls=wanted) as server:
        box = settings.text.replace("gpu-box:8001", server.url).replace(ETC, f"{tmp_path / 'certs'}/")
        nameless = "\n".join(line for line in box.splitlines() if not line.startswith(("cert_file", "key_file")))
        with_one, without = (
            list(look_at_server(config.parse({**tomllib.loads(toml), "watch": {"folder": str(tmp_path)}}, {})))
            for toml in (box, nameless)
        )
    assert [one.level for one in with_one] == ["ok", "ok"], with_one
    assert {one.level for one in without} == {"problem"}
    assert "does it want a certificate of ours?" in without[0].text


def test_a_client_takes_no_name_of_another_file(tmp_path: Path) -> None:
    script = ["sh", str(ROOT / "docs" / "plant" / "certificates.sh"), "--client", str(tmp_path), "ca"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the name of another file" in done.stderr
