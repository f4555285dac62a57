"""One file, whatever it is, never stops the service: it becomes a verdict, and the next good image still comes."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from edge.commands.demo import embedded_broker
from tests.fakes.brokers import Listener, eventually, free_port
from tests.sem.making import overlapping_tiff, png_header
from tests.service.running_daemon import PREFIX, Service, by_name, png, statuses, verdicts, wait_until_online

RESTARTS = 3
INSPECTED = {"after_2262.png": 10_000_000_000, "before_1970.png": -1_000_000_000}
"""Whole images that are only dated oddly, by their time of modification in seconds since 1970."""
FAILING = {
    "padding.jpg": b"\xff\xd8" + b"\xff" * (4 << 20),
    "segments.jpg": b"\xff\xd8" + b"\xff\xe0\0\2" * (1 << 20),
    "chunks.png": png_header(8, 8)[:33] + b"\0\0\0\0teXt\0\0\0\0" * (1 << 18),
}
EITHER = {
    "overlap.tif": overlapping_tiff(2, range(40000, 40900), b"AP_X\r\nv = 1\r\n" * 5_000),
    "elements.tif": overlapping_tiff(1, [34683], b"<PixelSize>" * 50_000),
}
"""What is looked at in bounded time: whether the 8x8 pixels in them are worth an inspection is not asked here."""


def deep_link(folder: Path) -> None:
    """A link to a link to a link …, further than Python's stack is deep."""
    target = "nowhere"
    for number in range(1500):
        (folder / f"{number}.link").symlink_to(target)
        target = f"{number}.link"
    (folder / "deep.png").symlink_to(target)


def test_no_class_of_poison_stops_the_next_good_image_over_three_restarts(tmp_path: Path) -> None:
    with embedded_broker(free_port()) as port, Listener(port, f"{PREFIX}/#", protocol=311) as dashboard:
        service = Service(tmp_path, port, mqtt={"protocol": 311})
        for name, when_s in INSPECTED.items():
            service.put(name, png(len(name)))
            os.utime(service.folder / name, (when_s, when_s))
        for name, data in (FAILING | EITHER).items():
            service.put(name, data)
        deep_link(service.folder)
        poison = {*INSPECTED, *FAILING, *EITHER, "deep.png"}
        with service:
            wait_until_online(dashboard)
            for restart in range(RESTARTS):
                service.put(f"good_{restart}.png", png(restart))
                eventually(lambda: f"good_{restart}.png" in by_name(dashboard), 60, "the next good image")  # noqa: B023
                if restart == 0:
                    eventually(lambda: by_name(dashboard).keys() >= poison, 90, "a verdict on each")
                assert service.stop() == 0
                service.start()
            service.put("last.png", png(99))
            eventually(lambda: "last.png" in by_name(dashboard), 60, "the last good image")
        found = by_name(dashboard)
    told = Counter((verdict["image"]["name"], verdict["image"].get("page")) for verdict in verdicts(dashboard))
    assert set(told.values()) == {1}
    failed = {name for name, verdict in found.items() if verdict["schema"] == "edge.failure/1"}
    assert failed - EITHER.keys() == {*FAILING, "deep.png"}
    assert "degraded" not in statuses(dashboard)[-1:]
