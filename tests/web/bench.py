"""How soon the live page is there with many inspections behind it: `python -m tests.web.bench --images 10000`.

A journal is filled with whole inspections, the page's process is started on it, and a Chromium opens it: once with an index
that is not there yet, then with a full one. Medians of the browser's own times, in ms, as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from edge.journal import Journal, Message, Verdict
from edge.records import Fingerprint
from tests.fakes.brokers import free_port
from tests.web.browser.conftest import CHROMIUM
from tests.web.documents import inspection

TIMES = """() => ({paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime, verdict: window.verdictAt})"""
WATCH = """new MutationObserver(() => {
    if (!window.verdictAt && document.querySelector("#verdict")) window.verdictAt = performance.now();
}).observe(document, {childList: true, subtree: true});"""


def fill(state: Path, images: int) -> None:
    """A journal of so many inspections, each of some tens of kilobytes."""
    document = inspection()
    document["regions"] = document["regions"][:1] * 60
    with Journal.open(state) as journal:
        for number in range(images):
            path = f"AN_{(60, 90, 120)[number % 3]}_{(1, 168, 336)[number // 3 % 3]}h_{number:05}.tif"
            journal.ledger.admit(path, Fingerprint(1, number + 1))
            journal.ledger.begin(path)
            document["inspection_id"], document["image"]["path"] = f"00000000-0000-5000-8000-{number:012}", path
            body = json.dumps(document).encode()
            verdict = Verdict(document["inspection_id"], "inspection", (Message("verdict", "inspection", body),))
            journal.ledger.conclude(path, lambda _seq, verdict=verdict: [verdict])  # type: ignore[misc]


def measured(config: Path, address: str, opens: int) -> dict[str, float]:
    """Medians over several openings of one process."""
    from playwright.sync_api import sync_playwright

    process = subprocess.Popen([sys.executable, "-m", "edge.web", "--config", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(address).close()
                break
            except OSError:
                time.sleep(0.05)
        found: list[dict[str, float]] = []
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
            for _ in range(opens):
                context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
                page = context.new_page()
                page.add_init_script(WATCH)
                page.goto(address)
                page.wait_for_selector("#verdict")
                found.append(page.evaluate(TIMES))
                context.close()
            browser.close()
    finally:
        process.terminate()
        process.wait(20)
    return {name: round(statistics.median(one[name] for one in found)) for name in ("paint", "verdict")}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        (base / "export").mkdir()
        fill(base / "state", images)
        address = f"http://127.0.0.1:{free_port()}/"
        config = base / "config.toml"
        listen = address.removeprefix("http://").strip("/")
        config.write_text(
            f'[watch]\nfolder = "{base}/export"\n[state]\nfolder = "{base}/state"\n[web]\nlisten = "{listen}"\n',
            encoding="utf-8",
        )
        first, then = measured(config, address, 1), measured(config, address, 5)
        print(json.dumps({"images": images, "without_an_index": first, "with_one": then}))


if __name__ == "__main__":
    main()
