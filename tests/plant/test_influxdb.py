"""Telegraf's configuration applied to what a daemon said, and each query of the dashboard answered by a real InfluxDB."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.wire import schema
from tests import ROOT
from tests.fakes.brokers import Heard, eventually, free_port
from tests.plant.conftest import PREFIX
from tests.plant.telegraf import CONFIGURATION, CONSUMERS, Point, points
from tests.wire.examples import abstained, example, limited, segmented_only, summarised

DASHBOARD = json.loads((ROOT / "docs" / "plant" / "grafana-influxdb.json").read_text(encoding="utf-8"))
INFLUXD = shutil.which("influxd", path="/usr/sbin:/usr/bin:/usr/local/bin")
DATABASE = CONFIGURATION["outputs"]["influxdb"][0]["database"]


def told(inspection: Any) -> Point:
    (point,) = points(Heard(f"{PREFIX}/summary", json.dumps(summarised(inspection)).encode(), retained=False, correlation=None))
    return point


def test_what_telegraf_is_told_to_read_is_in_the_messages(said: list[Heard]) -> None:
    summaries, _ = CONSUMERS
    properties = schema.json_schema("summary")["properties"]
    assert {summaries["json_time_key"], *summaries["tag_keys"], *summaries["json_string_fields"]} <= set(properties)
    texts = {name for name, told in properties.items() if "string" in json.dumps(told)} - {"schema", "ts"}
    assert {*summaries["tag_keys"], *summaries["json_string_fields"]} == texts
    found = [point for message in said for point in points(message)]
    assert {point.name for point in found} == {"corrosion", "corrosion_health"}
    for point in found:
        assert set(point.tags.values()) >= {"plant-1", "lab", "sem-01"}
        assert abs(point.time_ms / 1000 - found[0].time_ms / 1000) < 3600


def test_nothing_that_is_known_of_an_inspection_is_lost_on_the_way() -> None:
    known = {name for name, value in summarised(example()).items() if value is not None}
    assert known - {"schema", "ts", "ts_ms", "site", "area", "device_id"} == set(told(example()).fields) - {"alarm"}


@pytest.mark.parametrize(
    ("inspection", "alarm"), [(example(), 0.0), (limited(), 1.0), (abstained(), 1.0), (segmented_only(), 0.0)]
)
def test_the_rule_alarms_on_severe_and_on_what_cannot_be_judged(inspection: Any, alarm: float) -> None:
    assert told(inspection).fields["alarm"] == alarm


def test_a_null_is_no_field_and_the_alarm_is_always_one() -> None:
    assert "severity_index" not in told(abstained()).fields
    assert "alarm" in told(abstained()).fields


def queries() -> list[tuple[str, str]]:
    """(panel or variable, query) of the dashboard, as Grafana asks when everything is chosen."""
    found = [(panel["title"], target["query"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    found += [(one["name"], one["query"]) for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    chosen = {"${site:regex}": "(plant-1)", "${microscope:regex}": "(sem-01|sem-02)", "$timeFilter": "time > now() - 3650d"}
    for name, value in chosen.items():
        found = [(title, query.replace(name, value)) for title, query in found]
    assert not [query for _, query in found if re.search(r"\$(?!/)", query)]
    return found


def test_the_dashboard_asks_for_what_telegraf_writes(said: list[Heard]) -> None:
    written = {(point.name, name) for message in said for point in points(message) for name in (*point.fields, *point.tags)}
    asked = set()
    for _, query in queries():
        if query.startswith("SELECT"):
            (measurement,) = re.findall(r'FROM "(\w+)"', query)
            asked |= {(measurement, name) for name in re.findall(r'"(\w+)"', query) if name != measurement}
    assert len(asked) > 20
    assert asked <= written


class InfluxDb:
    """A real one, 1.x, on free ports."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "log"
        places = {name: json.dumps(str(folder / name)) for name in ("meta", "data", "wal")}
        (folder / "influxdb.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n[meta]\ndir = {places["meta"]}\n[data]\n'
            f'dir = {places["data"]}\nwal-dir = {places["wal"]}\n[http]\nbind-address = "127.0.0.1:{self.port}"\n'
        )
        assert INFLUXD is not None
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([INFLUXD, "-config", str(folder / "influxdb.conf")], stdout=log, stderr=log)
        eventually(self._answers, 120, "InfluxDB")

    def write(self, lines: list[str]) -> None:
        """Points in line protocol, with times in ms."""
        self._ask(f"/write?db={DATABASE}&precision=ms", "\n".join(lines).encode())

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series of one query."""
        fields = urllib.parse.urlencode({"db": DATABASE, "epoch": "ms", "q": text})
        (result,) = json.loads(self._ask("/query", fields.encode()))["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def _ask(self, path: str, body: bytes) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=60) as answer:
            read: bytes = answer.read()
            return read

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(errors="replace")[-2000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, said: list[Heard]) -> Iterator[InfluxDb]:
    """With what a daemon said, written twice, as a broker may deliver it."""
    if INFLUXD is None:
        pytest.skip("influxd is not installed (apt-get install influxdb)")
    one = InfluxDb(tmp_path_factory.mktemp("influxdb"))
    try:
        one.query(f'CREATE DATABASE "{DATABASE}"')
        one.write([point.line() for message in said for point in points(message)] * 2)
        yield one
    finally:
        one.process.terminate()
        one.process.wait()


@pytest.mark.parametrize(("title", "query"), queries(), ids=[title for title, _ in queries()])
def test_a_panel_shows_what_was_said(title: str, query: str, database: InfluxDb) -> None:
    (series,) = database.query(query)
    assert series["values"], title
    shown = [value for row in series["values"] for value in row]
    assert any(value is not None for value in shown[1:]), title


def test_the_newest_image_decides_over_the_alarm_and_a_repeat_is_no_second_image(database: InfluxDb) -> None:
    asked = dict(queries())
    (alarm,) = database.query(asked["Alarm"])
    assert alarm["tags"] == {"site": "plant-1", "device_id": "sem-01"}
    assert alarm["values"][0][1] == 1
    (images,) = database.query(asked["Newest images"])
    rows = [dict(zip(images["columns"], row, strict=True)) for row in images["values"]]
    assert [row["image_name"] for row in rows] == ["blank.png", "AN_120_21days_007.tif"]
    assert (rows[0]["severity"], rows[0]["severity_state"], rows[0]["alarm"]) == (None, "abstained", 1)
    assert (rows[1]["severity"], rows[1]["severity_state"], rows[1]["alarm"]) == ("severe", "judged", 1)
