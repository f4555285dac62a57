"""The environment in; out, one in which ultralytics, ONNX Runtime and matplotlib talk to nobody and write only where we do.

ultralytics looks for the internet when it is imported, sends events about each run, looks for updates, installs what it
misses, and keeps its settings in the home folder. It honours `YOLO_OFFLINE`, `YOLO_AUTOINSTALL` and `YOLO_CONFIG_DIR`.
"""

from __future__ import annotations

import os

from edge.backends.quiet import silence_onnxruntime
from edge.cache import cache_folder


def silence() -> None:
    """Before any of them is imported; for this process and its children. What a user has set stays.

    Weights that are asked for by name (`--weights coco`) are downloaded all the same.
    """
    silence_onnxruntime()
    ours = cache_folder()
    for name, value in {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(ours),
        "MPLCONFIGDIR": str(ours / "matplotlib"),
    }.items():
        os.environ.setdefault(name, value)
