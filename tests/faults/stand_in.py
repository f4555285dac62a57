"""A command line in; `edge-daemon` out whose two networks answer in a millisecond what the real ones once answered.

    python tests/faults/stand_in.py [--clock FILE] --config CONFIG

The real networks are loaded, and each is run once for each shape of its input. From then on a run waits for a
millisecond and gives those outputs again. So everything but the two networks is the product's own: reading, masks,
measures, journal, MQTT.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.backends.network import Arrays

RUN_S: Final = 0.001


def stand_in() -> None:
    """Let ONNX Runtime's networks of this process be stand-ins."""
    from edge.backends.onnx_session import OnnxSession

    real = OnnxSession.run
    known: dict[tuple[int, tuple[int, ...]], Arrays] = {}

    def run(network: OnnxSession, image: NDArray[np.uint8]) -> Arrays:
        key = id(network), image.shape
        if key not in known:
            known[key] = real(network, image)
        time.sleep(RUN_S)
        return {name: values.copy() for name, values in known[key].items()}

    OnnxSession.run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "--clock":
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from tests.faults.clocked import pass_by, shift

        shift(Path(sys.argv[2]))
        pass_by(Path(sys.argv[2]))
        del sys.argv[1:3]
    stand_in()
    from edge.commands.cli import daemon

    sys.exit(daemon())
