"""Why a test was skipped in, which promise stays untested and what to install out; with CI=true most skips are failures.

A green run must not be green by absence: a missing broker or a missing torch would otherwise hide the main promises.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Absence:
    """One thing that may be missing on a machine.

    reason: pattern of the words with which tests skip.  promise: what is not tested then.  cure: what to install or do.
    excused: no failure in continuous integration, because no machine of ours may have it.
    """

    reason: str
    promise: str
    cure: str
    excused: bool = False


ABSENCES: Final = (
    Absence("GPU|nvcc|TensorRT", "engines and kernels on an NVIDIA GPU", "`make gpu-check` on a machine that has one", True),
    Absence("make packages-check", "the .deb and the bundle, built, installed and removed", "make packages-check", True),
    Absence("beside this checkout", "further files of real microscopes", "they are not part of the project", True),
    Absence("real inference server", "Triton and MLServer themselves", "name a Python that has one: EDGE_PYTRITON_PYTHON",
            True),
    Absence("asyncua", "OPC UA with its own client", "pip install 'sem-corrosion-edge[opcua]'", True),
    Absence("'ray'", "edge-archive on Ray", "pip install 'sem-corrosion-edge[archive]'", True),
    Absence("root reads everything", "files that the service's user may not read", "run the tests as a user too", True),
    Absence("no package index|no package mirror", "packages, built and installed", "a machine that reaches one", True),
    Absence("debootstrap|unshare and the system's", "packages in a clean root and without a network",
            "run the tests as root, after apt-get install debootstrap python3-venv"),
    Absence("systemd in a namespace", "the hardened units, run by a real systemd",
            "run the tests as root, on a machine or with the rights to make namespaces", True),
    Absence("IPv6", "a broker and a page at an address of IPv6", "a machine that has it", True),
    Absence("COCO weights", "training that begins with COCO's weights", "they are not part of the project", True),
    Absence("grpc_tools|grpcio-tools", "generated code is what the compiler makes", "pip install grpcio-tools==1.76.0", True),
    Absence("pysparkplug", "Sparkplug read by others", "SPARKPLUG_PYTHON names a python with pysparkplug", True),
    Absence("by npm", "the flow in a real Node-RED, the AsyncAPI files by AsyncAPI's own parser",
            "make .venv/.node on a machine with npm and its index", True),
    Absence("influxd", "the Grafana dashboard's queries by a real InfluxDB", "apt-get install influxdb (1.x)", True),
    Absence("nginx|caddy", "the page behind a real nginx and Caddy", "apt-get install nginx caddy", True),
    Absence("docker-compose", "the compose file by docker compose", "apt-get install docker-compose", True),
    Absence("mkfs", "power cuts of the disk with the state", "apt-get install e2fsprogs xfsprogs"),
    Absence("images of disks|writes to a disk", "power cuts of the disk with the state",
            "run the tests as root, where there are loop devices and /dev/fuse", True),
    Absence("needs root|as root|only root|small disk", "a full disk", "run the tests as root too"),
    Absence("strace", "errors of the disk in the middle of work", "apt-get install strace"),
    Absence("mosquitto", "no verdict is lost with a real broker", "apt-get install mosquitto mosquitto-clients"),
    Absence("chromium|playwright", "the live page in a real browser", "apt-get install chromium; make .venv/.dev"),
    Absence("samba", "the share that a page shows, by Samba's own check", "apt-get install samba-common-bin"),
    Absence(r"\bjq\b", "the alarm's example for jq", "apt-get install jq"),
    Absence("minisign", "models that the real minisign signed", "apt-get install minisign"),
    Absence("systemd", "the service's units", "apt-get install systemd"),
    Absence("folder events", "files are seen at once", "a file system with inotify"),
    Absence("C\\+\\+ compiler", "the arithmetic of the GPU's kernels", "apt-get install g++"),
    Absence("torch|ultralytics|timm|safetensors|grad|pycocotools|matplotlib|scipy|tqdm", "training, export and the rival",
            "make training"),
    Absence("could not import|is not installed|no module named|only one backend", "what needs an optional package",
            "make .venv/.dev"),
)  # fmt: skip
UNKNOWN: Final = Absence("", "tests that skip for a reason of their own", "read the reason: python -m pytest -rs")


def strict() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("CI", "").lower() == "true"


def absence_of(reason: str) -> Absence:
    """Which absence the words of a skip are about."""
    return next((one for one in ABSENCES if re.search(one.reason, reason, re.IGNORECASE)), UNKNOWN)


def untested(reasons: Iterable[str]) -> list[str]:
    """One line in plain words for each promise that these skips left untested, the largest first."""
    counts = Counter(absence_of(reason) for reason in reasons)
    return [
        f"NOT TESTED: {one.promise} ({count} test{'s' * (count > 1)}). To test it: {one.cure}"
        for one, count in counts.most_common()
    ]
