"""What Prometheus scrapes: counted once a verdict, read from the journal, and known to the dashboard that we give away."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.errors import ConfigError, ImageError
from edge.journal import Journal
from edge.service.daemon import open_metrics
from edge.service.shared import Shared
from tests import ROOT
from tests.fakes.brokers import Mosquitto, eventually, free_port
from tests.service.running_daemon import Service, png
from tests.wire.examples import abstained, classified_only, example, segmented_only

pytest.importorskip("prometheus_client")
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.service.metrics import Counted

DASHBOARD = ROOT / "docs" / "plant" / "grafana-prometheus.json"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return parsed(answer.read().decode())


def test_each_verdict_is_counted_once_by_what_it_says() -> None:
    counted = Counted()
    counted.stored([example(), abstained()], 120.0)
    counted.stored([segmented_only()], 80.0)
    counted.stored(ImageError("damaged", "half of it is missing"), 5.0)
    found = parsed(generate_latest(counted.registry).decode())
    inspections = {labels[0][1]: value for (name, labels), value in found.items() if name == "sem_corrosion_inspections_total"}
    assert inspections == {"low": 0, "moderate": 1, "severe": 0, "abstained": 1, "not_run": 1}
    assert found["sem_corrosion_failures_total", (("code", "damaged"),)] == 1
    assert found["sem_corrosion_latency_seconds_count", ()] == 3
    assert found["sem_corrosion_latency_seconds_sum", ()] == pytest.approx(0.205)


def test_a_stage_that_did_not_run_has_no_time() -> None:
    counted = Counted()
    counted.stored([classified_only()], 10.0)
    stages = {
        dict(labels)["stage"]
        for name, labels in parsed(generate_latest(counted.registry).decode())
        if "_sum" in name and labels
    }
    timing = classified_only().timing
    assert stages == {
        stage for stage in ("read", "decode", "segment", "masks", "measure", "classify") if getattr(timing, stage)
    }


def test_a_daemon_is_scraped_with_what_its_journal_knows(tmp_path: Path, broker: Mosquitto) -> None:
    port = free_port()
    with Service(tmp_path, broker.port, metrics={"prometheus": f"127.0.0.1:{port}"}) as service:
        service.put("a.png", png(1))
        service.put("b.png", b"no image at all")
        eventually(lambda: "(seq 2)" in service.log_text(), 90, "two verdicts")
        eventually(lambda: scraped(port).get(("sem_corrosion_unsent_messages", ())) == 0)
        found = scraped(port)
        assert sum(value for (name, _), value in found.items() if name == "sem_corrosion_inspections_total") == 1
        assert sum(value for (name, _), value in found.items() if name == "sem_corrosion_failures_total") == 1
        assert found["sem_corrosion_broker_connected", ()] == 1
        assert found["sem_corrosion_images_given_up", ()] == 1
        assert found["sem_corrosion_last_image_timestamp_seconds", ()] > 0
        assert found["process_resident_memory_bytes", ()] > 0
        (info,) = (dict(labels) for name, labels in found if name == "sem_corrosion_info")
        assert info["device"] == "s1"
        the_dashboard_asks_for_what_is_there({name for name, _ in found})
        assert service.stop() == 0


def the_dashboard_asks_for_what_is_there(names: set[str]) -> None:
    asked = asked_for(json.loads(DASHBOARD.read_text(encoding="utf-8")))
    assert len(asked) > 10
    absent_when_idle = {"sem_corrosion_oldest_unsent_seconds"}
    assert asked - absent_when_idle <= names


def asked_for(dashboard: dict[str, Any]) -> set[str]:
    expressions = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    return set(re.findall(r"\b(?:sem_corrosion|process)_[a-z_]+", expressions))


def test_an_address_in_use_is_told_and_taken_when_it_is_free(tmp_path: Path, broker: Mosquitto) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Service(tmp_path, broker.port, metrics={"prometheus": f"127.0.0.1:{port}"}) as service:
            eventually(lambda: f"metrics.prometheus 127.0.0.1:{port} cannot be used" in service.log_text(), 60)
            taken.close()
            eventually(lambda: f"over: metrics.prometheus 127.0.0.1:{port}" in service.log_text(), 60)
            assert scraped(port)
            assert service.stop() == 0


def test_nobody_who_does_not_ask_needs_its_library(tmp_path: Path, journal: Journal, shared: Shared) -> None:
    settings = config.parse({"watch": {"folder": str(tmp_path)}}, {})
    assert open_metrics(settings, journal, shared, lambda: True) is None


def test_a_missing_library_names_the_extra(
    tmp_path: Path, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "edge.service.metrics", None)
    settings = config.parse({"watch": {"folder": str(tmp_path)}, "metrics": {"prometheus": "127.0.0.1:9464"}}, {})
    with pytest.raises(ConfigError, match=r"sem-corrosion-edge\[metrics\]"):
        open_metrics(settings, journal, shared, lambda: True)
