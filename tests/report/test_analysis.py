"""Without the libraries of the analysis the page is made all the same, and says how to get them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from edge.report.analysis import chapters
from tests import ROOT
from tests.report.documents import inspection

PROGRAM = """
import sys
for name in ("pandas", "matplotlib", "scipy", "statsmodels", "sklearn", "pyarrow"):
    sys.modules[name] = None
from edge.commands.report import report
sys.exit(report(sys.argv[1:]))
"""


def test_missing_libraries_are_named_with_their_extra(tmp_path: Path) -> None:
    (tmp_path / "a.inspection.json").write_text(json.dumps(inspection()))
    command = [sys.executable, "-c", PROGRAM, "--from", str(tmp_path), "--out", str(tmp_path / "r.html")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "sem-corrosion-edge[report]" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert (tmp_path / "r.csv").exists()
    assert not (tmp_path / "r.parquet").exists()


def test_nothing_is_analysed_without_inspections() -> None:
    assert chapters((), [], surface_mm2=None)[0] == ()
