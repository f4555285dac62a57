"""The compose file as far as it goes without a registry: read by docker compose, its files, names and settings followed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge import config
from tests import ROOT
from tests.fakes.brokers import needs_mosquitto
from tests.plant import telegraf

yaml = pytest.importorskip("yaml")

PLANT = ROOT / "docs" / "plant"
FILE = PLANT / "compose.yaml"
PASSWORDS = {"DASHBOARD_PASSWORD": "one", "GRAFANA_PASSWORD": "two"}
MADE_BY_THE_READER = {"mosquitto/passwd", "mosquitto/certs", "mosquitto/certs/ca.crt", "mosquitto/sem-01.password"}


def composed() -> dict[str, Any]:
    """With its variables replaced."""
    text = FILE.read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: PASSWORDS[found[1]], text)
    read: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
    return read


SERVICES: dict[str, dict[str, Any]] = composed()["services"]


def mounted(service: str) -> dict[str, str]:
    """What is mounted there, by the place in the container."""
    pairs = [volume.removesuffix(":ro").split(":") for volume in SERVICES[service].get("volumes", ())]
    return {inside: outside for outside, inside in pairs}


def test_docker_compose_reads_it_and_asks_for_the_passwords(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("there is no docker-compose here (apt-get install docker-compose)")
    command = [program, "-f", str(FILE), "--project-directory", str(PLANT), "config"]
    refused = subprocess.run(command, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **PASSWORDS}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert set(yaml.safe_load(told.stdout)["services"]) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_file_that_is_mounted_is_there_or_made_by_the_steps(service: str) -> None:
    page = (ROOT / "docs" / "use" / "plant.md").read_text(encoding="utf-8")
    for outside in mounted(service).values():
        if outside.startswith("/"):
            continue
        if not outside.startswith("."):
            assert outside in composed()["volumes"]
        elif outside.removeprefix("./") in MADE_BY_THE_READER:
            assert outside.removeprefix("./").removesuffix("/ca.crt") in page
        else:
            assert (PLANT / outside).is_file(), outside
    for other in SERVICES[service].get("depends_on", ()):
        assert other in SERVICES


def test_the_daemon_takes_its_settings_and_the_file_beside_them() -> None:
    edge = SERVICES["edge"]
    settings = config.load(PLANT / mounted("edge")["/etc/sem-corrosion-edge/config.toml"], edge["environment"])
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.tls) == ("mosquitto", 8883, True)
    inside = {str(settings.watch.folder), str(settings.state.folder), settings.mqtt.ca_file}
    assert inside <= set(mounted("edge"))
    assert settings.mqtt.password_file == f"/run/secrets/{edge['secrets'][0]}"
    assert (PLANT / edge["build"]["context"] / edge["build"]["dockerfile"]).resolve() == ROOT / "containers" / "cpu.Dockerfile"
    assert not (ROOT / "containers").exists() or (ROOT / "containers" / "cpu.Dockerfile").is_file()
    assert settings.device.id == settings.mqtt.username, "the rights of a microscope are those of the user of its name"


def test_the_broker_finds_what_its_configuration_names_and_its_ports_are_open() -> None:
    text = (PLANT / "mosquitto.conf").read_text(encoding="utf-8")
    places = mounted("mosquitto")
    for named in re.findall(r"^\w+ (/\S+)$", text, re.MULTILINE):
        assert any(named == place or named.startswith(f"{place}/") or named == f"{place}/" for place in places), named
    ports = {published.split(":")[1] for published in SERVICES["mosquitto"]["ports"]}
    assert ports == {number for number, rest in re.findall(r"^listener (\d+)(.*)$", text, re.MULTILINE) if not rest}


def test_telegraf_is_told_where_by_its_environment() -> None:
    environment = SERVICES["telegraf"]["environment"]
    assert set(environment) == set(re.findall(r"\$\{(\w+)", telegraf.TEXT))
    there = telegraf.configured(**environment)
    for consumer in there["inputs"]["mqtt_consumer"]:
        assert consumer["servers"] == ["ssl://mosquitto:8883"]
        assert consumer["tls_ca"] in mounted("telegraf")
        assert (consumer["username"], consumer["password"]) == ("dashboard", "one")
    assert there["outputs"]["influxdb"][0]["urls"] == ["http://influxdb:8086"]
    here = telegraf.configured()
    assert here["inputs"]["mqtt_consumer"][0]["servers"] == ["tcp://localhost:1883"]
    assert not here["inputs"]["mqtt_consumer"][0]["username"]


def test_grafana_finds_the_data_and_the_dashboard() -> None:
    places = mounted("grafana")
    (source,) = yaml.safe_load((PLANT / places["/etc/grafana/provisioning/datasources/plant.yaml"]).read_text())["datasources"]
    written = telegraf.CONFIGURATION["outputs"]["influxdb"][0]
    assert source["jsonData"]["dbName"] == written["database"] == SERVICES["influxdb"]["environment"]["INFLUXDB_DB"]
    assert (source["type"], source["url"]) == ("influxdb", "http://influxdb:8086")
    (provider,) = yaml.safe_load((PLANT / places["/etc/grafana/provisioning/dashboards/plant.yaml"]).read_text())["providers"]
    dashboards = [outside for inside, outside in places.items() if inside.startswith(f"{provider['options']['path']}/")]
    assert [json.loads((PLANT / outside).read_text())["uid"] for outside in dashboards] == ["sem-corrosion-edge-influxdb"]


@needs_mosquitto
def test_the_steps_of_the_page_make_what_is_mounted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "use" / "plant.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## Containers\n.*?```\n(.*?)```", page, re.DOTALL)
    steps = [line for line in block.splitlines() if not line.startswith(("sudo ", "docker "))]
    assert len(block.splitlines()) - len(steps) == 2
    folder = tmp_path / "docs" / "plant"
    shutil.copytree(PLANT, folder)
    subprocess.run(["sh", "-e", "-c", "\n".join(steps)], cwd=folder, check=True, capture_output=True)
    for made in MADE_BY_THE_READER:
        assert (folder / made).exists()
    users = {line.partition(":")[0] for line in (folder / "mosquitto" / "passwd").read_text().splitlines()}
    assert users == {SERVICES["edge"]["environment"]["EDGE_MQTT__USERNAME"], "dashboard"}
    told = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    assert set(told) == {*PASSWORDS, "EXPORT_FOLDER"}
