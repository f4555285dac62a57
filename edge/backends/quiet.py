"""A library that reports to its maker in, the same library without that out: we talk to what is configured and to nobody else.

OpenVINO's Python package reports each import to Google Analytics where `openvino_telemetry` is installed, which its
wheel asks for. ONNX Runtime's wheels for Linux report to Microsoft from native code (seen in 1.31), and keep a
device id in the home folder. Neither asks before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TELEMETRY: Final = "openvino_telemetry"


def silence_onnxruntime() -> None:
    """Has ONNX Runtime report nothing, in this process and its children, when it is imported later.

    What a user has set stays. `onnxruntime.disable_telemetry_events` would come too late: the import reports already.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Within it, `import openvino` does not find what it reports with, and takes its own empty stand-in.

    Afterwards everything is as before: a user's own `import openvino_telemetry` works, and an OpenVINO that was imported
    earlier stays as it is.
    """
    before = {TELEMETRY: sys.modules[TELEMETRY]} if TELEMETRY in sys.modules else {}
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # Python's own sign for "this import fails"
    try:
        yield
    finally:
        del sys.modules[TELEMETRY]
        sys.modules.update(before)
