"""A command line in; `edge-daemon` out whose two networks answer in a millisecond what the real ones once answered.

    python tests/faults/stand_in.py [--clock FILE] --config CONFIG

Each real network is run once for each shape of its input; what it answered is kept in a folder of this user's, for the next
daemon too. From then on a run waits for a millisecond and gives those outputs again. So everything but the two networks is
the product's own: reading, masks, measures, journal, MQTT.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.backends.network import Arrays

RUN_S: Final = 0.001


def stand_in() -> None:
    """Let ONNX Runtime's networks of this process be stand-ins, which load the real ones only for a shape that is new."""
    from edge.backends.onnx_session import OnnxSession

    load, answer, close = OnnxSession.__init__, OnnxSession.run, OnnxSession.close
    models: dict[int, tuple[Path, str]] = {}
    loaded: set[int] = set()
    known: dict[tuple[int, tuple[int, ...]], Arrays] = {}

    def init(network: OnnxSession, model: Path, precision: str = "float32") -> None:
        models[id(network)] = model, precision

    def run(network: OnnxSession, image: NDArray[np.uint8]) -> Arrays:
        key = id(network), image.shape
        if key not in known:
            known[key] = _kept(models[id(network)][0], image.shape) or first(network, image)
        time.sleep(RUN_S)
        return {name: values.copy() for name, values in known[key].items()}

    def first(network: OnnxSession, image: NDArray[np.uint8]) -> Arrays:
        if id(network) not in loaded:
            load(network, *models[id(network)])
            loaded.add(id(network))
        outputs = answer(network, image)
        _keep(models[id(network)][0], image.shape, outputs)
        return outputs

    def end(network: OnnxSession) -> None:
        if id(network) in loaded:
            close(network)
        for key in [key for key in known if key[0] == id(network)]:  # its id may be another one's soon
            del known[key]
        loaded.discard(id(network))

    OnnxSession.__init__ = init  # type: ignore[method-assign]
    OnnxSession.run = run  # type: ignore[method-assign]
    OnnxSession.close = end  # type: ignore[method-assign]


def _file(model: Path, shape: tuple[int, ...]) -> Path:
    status = model.stat()
    name = hashlib.sha256(repr((str(model.resolve()), status.st_size, status.st_mtime_ns, shape)).encode()).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"edge-stand-ins-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name[:32]}.npz"


def _kept(model: Path, shape: tuple[int, ...]) -> Arrays | None:
    import numpy as np

    file = _file(model, shape)
    if not file.exists():
        return None
    with np.load(file) as kept:
        return {name: kept[name] for name in kept.files}


def _keep(model: Path, shape: tuple[int, ...], outputs: Arrays) -> None:
    import numpy as np

    file = _file(model, shape)
    draft = file.with_name(f"{os.getpid()}-{file.name}")
    np.savez(draft, **outputs)  # type: ignore[arg-type]
    draft.replace(file)


if __name__ == "__mp_main__":  # a process that the daemon starts
    stand_in()

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
