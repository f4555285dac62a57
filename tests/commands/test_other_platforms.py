"""What runs where Linux's own modules are not, and what says that it does not: see `tests.fakes.other_platform`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal
from tests import ROOT

SAMPLES = ROOT / "edge" / "samples"


def there(place: Path, module: str, function: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of ours in a process that has no more than Windows has."""
    command = [sys.executable, "-m", "tests.fakes.other_platform", f"edge.commands.{module}", function, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(place)}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("windows")
    images = (str(SAMPLES / "AN_60_1h_009.tif"), str(SAMPLES / "AN_120_21days_002.jpg"))
    done = there(place, "cli", "inspect", *images, "--out", "results", "--csv", "results.csv", "--json")
    assert done.returncode == 0, done.stderr
    (place / "said.jsonl").write_text(done.stdout)
    return place


def test_edge_inspect_runs_without_what_is_linuxs_own(inspected: Path) -> None:
    said = [json.loads(line) for line in (inspected / "said.jsonl").read_text().splitlines()]
    assert [one["schema"] for one in said] == ["edge.inspection/2"] * 2
    assert [one["image"]["name"] for one in said] == ["AN_60_1h_009.tif", "AN_120_21days_002.jpg"]
    written = sorted(path.name for path in (inspected / "results").iterdir())
    assert written == [
        *(f"AN_120_21days_002.{kind}" for kind in ("inspection.json", "overlay.png")),
        *(f"AN_60_1h_009.{kind}" for kind in ("inspection.json", "overlay.png")),
    ]
    assert len((inspected / "results.csv").read_text().splitlines()) == 3


def test_edge_report_makes_a_page_of_results_there(inspected: Path) -> None:
    for library in ("jinja2", "matplotlib", "scipy", "statsmodels", "sklearn", "pandas", "pyarrow"):
        pytest.importorskip(library)
    done = there(inspected, "report", "report", "--from", "results", "--out", "report.html")
    assert done.returncode == 0, done.stderr
    assert "AN_60_1h_009.tif" in (inspected / "report.html").read_text(encoding="utf-8")


def test_edge_review_reads_a_journal_there(tmp_path: Path) -> None:
    Journal.open(tmp_path / "state").close()
    done = there(tmp_path, "cli", "review", "list", "--state", "state", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["quarantine"] == []


def test_edge_teach_fits_and_judges_there(inspected: Path) -> None:
    first = json.loads((inspected / "said.jsonl").read_text().splitlines()[0])
    image = {key: first["image"][key] for key in ("name", "path", "sha256", "page", "revision")}
    review = {
        "schema": "edge.review/1", "review_id": "r1", "ts": "2026-01-01T08:00:00.000Z", "ts_ms": 1767254400000,
        "reviewer": "anna", "image": image,
        "brushed": [
            {"class": "corrosion", "points_px": [[30, 80], [33, 95]], "radius_px": 4},
            {"class": "background", "points_px": [[40, 30], [120, 31]], "radius_px": 6},
        ],
    }  # fmt: skip
    (inspected / "reviews.jsonl").write_text(json.dumps(review) + "\n")
    done = there(inspected, "cli", "teach", "--reviews", "reviews.jsonl", "--images", str(SAMPLES), "--out", "plant.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((inspected / "plant.json").read_text(encoding="utf-8"))


def test_a_journal_is_not_opened_for_writing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.journal.lock.fcntl", None)
    with pytest.raises(StateError, match="Linux alone"):
        Journal.open(tmp_path / "state")


@pytest.mark.parametrize(
    ("command", "arguments"), [("daemon", ("--config", "config.toml")), ("doctor", ()), ("demo", ()), ("bench", ())]
)
def test_what_needs_linux_says_so_in_one_line(tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    done = there(tmp_path, "cli", command, *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"edge-{command}: it runs on Linux alone; edge-inspect, edge-report, edge-review and edge-teach run here, too"
    ]
