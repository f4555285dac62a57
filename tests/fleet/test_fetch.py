"""Fetching a release: from a real web server or a folder, in whatever way it fails, and what is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from edge.config_fleet import FleetSettings
from edge.errors import ModelError, StateFullError
from edge.fleet import fetch as fetching
from edge.fleet.announcement import Announcement
from edge.fleet.fetch import fetch, is_whole
from edge.fleet.shelf import Shelf
from edge.fleet.source import open_source
from edge.sinks.sink import NotNowError
from tests.fakes.http_server import HttpServer, answer
from tests.fleet.making import make_release, sign
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")

Says = Callable[[BaseHTTPRequestHandler, Path], bool]


class Plant:
    """A signed release, a web server that has it, and a box's shelf. says: answers in place of the server, where it does."""

    def __init__(self, base: Path) -> None:
        self.signer, self.made = Signer(), base / "made"
        self.release = make_release(self.made, self.signer, heavy=False)
        (base / "state").mkdir()
        self.shelf = Shelf(base / "state")
        self.server = HttpServer()
        self.server.says = self._serve
        self.says: Says = lambda _handler, _path: False

    def _serve(self, handler: BaseHTTPRequestHandler, _number: int) -> None:
        release, _, name = handler.path.removeprefix("/models/").partition("/")
        path = self.made / name
        if self.says(handler, path):
            return
        if release != self.release or not path.is_file():
            answer(handler, 404)
            return
        data = path.read_bytes()
        begin = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if begin >= len(data) and begin:
            answer(handler, 416)
            return
        send(
            handler,
            data[begin:],
            206 if begin else 200,
            **({"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}),
        )

    def fetch(self, source: str = "", **fleet: Any) -> Path:
        settings = FleetSettings(source=source or f"http://127.0.0.1:{self.server.port}/models", **fleet)
        signature = (self.made / "SHA256SUMS.minisig").read_bytes()
        told = Announcement(self.release, signature, 1, None)
        return fetch(told, self.shelf, open_source(settings), self.signer.public_key, lambda: False)

    @property
    def asked(self) -> list[str]:
        return [one.target.rpartition("/")[2] for one in self.server.asked]


def send(handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> bool:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(data)
    handler.close_connection = True
    return True


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    with made.server:
        yield made


def whole(plant: Plant, folder: Path) -> bool:
    return (
        is_whole(folder, (plant.made / "SHA256SUMS").read_bytes())
        and plant.shelf.add(folder, plant.release).id == plant.release
    )


def test_a_release_comes_from_a_web_server_its_list_first(plant: Plant) -> None:
    folder = plant.fetch()
    assert plant.asked[0] == "SHA256SUMS"
    assert sorted(plant.asked[1:]) == ["classifier.json", "classifier.onnx", "regions.json", "segmenter.json", "segmenter.onnx"]
    assert whole(plant, folder)


def test_a_release_comes_from_a_folder(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / plant.release).symlink_to(plant.made)
    assert whole(plant, plant.fetch(str(tmp_path / "share")))


def test_a_link_in_a_folder_is_not_followed(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / plant.release).symlink_to(plant.made)
    (plant.made / "regions.json").rename(tmp_path / "elsewhere")
    (plant.made / "regions.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotNowError, match="cannot be read"):
        plant.fetch(str(tmp_path / "share"))


def test_until_the_list_is_the_signed_one_nothing_else_is_asked_for(plant: Plant) -> None:
    listed = (plant.made / "SHA256SUMS").read_bytes()
    (plant.made / "SHA256SUMS").write_bytes(listed + b"\n")
    with pytest.raises(NotNowError, match="another SHA256SUMS"):
        plant.fetch()
    (plant.made / "SHA256SUMS").write_bytes(listed)
    plant.signer = Signer()
    with pytest.raises(ModelError, match="not what was signed"):
        plant.fetch()
    assert set(plant.asked) == {"SHA256SUMS"}


def test_a_file_with_other_bytes_is_thrown_away_and_asked_for_anew(plant: Plant) -> None:
    right = (plant.made / "segmenter.onnx").read_bytes()
    (plant.made / "segmenter.onnx").write_bytes(b"X" * len(right))
    with pytest.raises(NotNowError, match="hash differs"):
        plant.fetch()
    (plant.made / "segmenter.onnx").write_bytes(right)
    asked = len(plant.asked)
    assert whole(plant, plant.fetch())
    assert "classifier.onnx" not in plant.asked[asked:]  # it was there


def test_half_an_answer_goes_on_where_it_ended(plant: Plant) -> None:
    data = (plant.made / "segmenter.json").read_bytes()
    plant.says = lambda handler, path: path.name == "segmenter.json" and send(handler, data[:1000], length=len(data))
    with pytest.raises(NotNowError, match="only 1000 of"):
        plant.fetch()
    plant.says = lambda _handler, _path: False
    assert whole(plant, plant.fetch())
    assert [one.headers.get("range") for one in plant.server.asked if "segmenter.json" in one.target] == [None, "bytes=1000-"]


def test_a_server_without_ranges_begins_anew(plant: Plant) -> None:
    data = (plant.made / "segmenter.json").read_bytes()
    plant.says = lambda handler, path: path.name == "segmenter.json" and send(handler, data[:1000], length=len(data))
    with pytest.raises(NotNowError):
        plant.fetch()
    plant.says = lambda handler, path: path.name == "segmenter.json" and send(handler, data)
    assert whole(plant, plant.fetch())


def test_another_part_than_was_asked_for_is_not_taken(plant: Plant) -> None:
    data = (plant.made / "segmenter.json").read_bytes()
    plant.says = lambda handler, path: path.name == "segmenter.json" and send(handler, data[:1000], length=len(data))
    with pytest.raises(NotNowError):
        plant.fetch()
    part = {"Content-Range": f"bytes 5-{len(data) - 1}/{len(data)}"}
    plant.says = lambda handler, path: path.name == "segmenter.json" and send(handler, data[5:], 206, **part)
    with pytest.raises(NotNowError, match="another part of the file"):
        plant.fetch()


@pytest.mark.parametrize(
    ("status", "why"),
    [(302, "sends us elsewhere"), (401, "fleet.user and fleet.password_file"), (404, "named by its id"), (503, "answers 503")],
)
def test_what_the_server_refuses_is_said_with_what_to_look_at(plant: Plant, status: int, why: str) -> None:
    def says(handler: BaseHTTPRequestHandler, _path: Path) -> bool:
        answer(handler, status, Location="http://elsewhere.invalid/") if status == 302 else answer(handler, status)
        return True

    plant.says = says
    with pytest.raises(NotNowError, match=why):
        plant.fetch()
    assert plant.shelf.candidate() is None


def test_a_server_that_says_nothing_is_not_waited_for_for_long(plant: Plant) -> None:
    import threading

    over = threading.Event()
    plant.says = lambda _handler, _path: over.wait(30)
    with pytest.raises(NotNowError, match=r"fleet\.timeout_s"):
        plant.fetch(timeout_s=0.3)
    over.set()


def test_a_file_that_is_too_large_is_refused_before_it_is_fetched(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MOST_FILE", 100)
    with pytest.raises(ModelError, match="a file may have 100"):
        plant.fetch()
    assert not list(plant.shelf.folder.glob(".fetch-*/*.onnx"))


def test_a_disk_without_room_gives_back_what_was_fetched(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LEAVE_FREE", 1 << 60)
    with pytest.raises(StateFullError, match="no room"):
        plant.fetch()
    assert not list(plant.shelf.folder.glob(".fetch-*"))


def test_a_user_and_a_password_are_sent_to_who_the_settings_name(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n")
    plant.fetch(user="box", password_file=str(tmp_path / "secret"))
    assert {one.headers.get("authorization") for one in plant.server.asked} == {"Basic Ym94OndvcmQ="}


def test_a_file_that_is_listed_and_vanished_is_waited_for(plant: Plant) -> None:
    kept = (plant.made / "regions.json").read_bytes()
    (plant.made / "regions.json").unlink()
    with pytest.raises(NotNowError, match=r"no regions\.json"):
        plant.fetch()
    (plant.made / "regions.json").write_bytes(kept)
    assert whole(plant, plant.fetch())


def test_what_an_earlier_list_had_is_not_in_the_release(plant: Plant) -> None:
    folder = plant.fetch()
    (folder / "leftover.engine.json").write_text(json.dumps({}))
    assert not (plant.fetch() / "leftover.engine.json").exists()


def test_a_release_that_is_signed_anew_is_the_same_release(plant: Plant) -> None:
    assert sign(plant.made, plant.signer, at=1_800_000_000) == plant.release
    assert whole(plant, plant.fetch())
