"""A real server in, what its wire costs out: `python -m tests.backends.real_servers --server pytriton --python PYTHON`.

PYTHON is one that has nvidia-pytriton or MLServer, and onnxruntime: both want other versions of NumPy than ours. With `--url
HOST:PORT` in place of the two, a server that runs already is measured; it has to serve the shipped models (docs/fleet.md).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.backends import table
from edge.backends.network import Network
from edge.backends.server import Remote, ServerSettings
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER
from tests.fakes.brokers import free_port

PYTRITON = """
import hashlib, sys
import numpy as np, onnxruntime
from pathlib import Path
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

folder, port = Path(sys.argv[1]), int(sys.argv[2])
KINDS = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
SHAPES = {"boxes": (-1, 4), "scores": (-1,), "classes": (-1,), "coefficients": (-1, 32), "prototypes": (32, -1, -1),
          "logits": (-1,), "cam": (-1, -1, -1), "embedding": (-1,)}
server = Triton(config=TritonConfig(grpc_port=port, http_port=port + 1, metrics_port=port + 2))
for file in sorted(folder.glob("*.onnx")):
    name = f"{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    outputs = session.get_outputs()

    @batch
    def infer(image, session=session, names=[one.name for one in outputs]):
        return dict(zip(names, session.run(names, {"image": image})))

    server.bind(model_name=name, infer_func=infer, config=ModelConfig(max_batch_size=8),
                inputs=[Tensor(name="image", dtype=np.uint8, shape=(1, -1, -1))],
                outputs=[Tensor(name=one.name, dtype=KINDS[one.type], shape=SHAPES[one.name]) for one in outputs])
server.serve()
"""

MLSERVER = """
import asyncio, hashlib, sys
import onnxruntime
from pathlib import Path
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, MetadataTensor

class Onnx(MLModel):
    async def load(self):
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        self.outputs = [MetadataTensor(name=one.name, datatype="FP32", shape=[-1]) for one in self._session.get_outputs()]
        return True

    async def predict(self, payload):
        names = [one.name for one in payload.outputs]
        found = self._session.run(names, {"image": NumpyCodec.decode_input(payload.inputs[0])})
        outputs = [NumpyCodec.encode_output(name, values) for name, values in zip(names, found)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)

async def main(folder, port):
    server = MLServer(Settings(grpc_port=port, http_port=port + 1, metrics_port=port + 2, parallel_workers=0,
                               grpc_max_message_length=-1, debug=False))
    models = []
    for file in sorted(folder.glob("*.onnx")):
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        models.append(ModelSettings(name=file.stem, implementation=Onnx, versions=[sha256],
                                    parameters={"uri": str(file), "version": sha256}))
    await server.start(models)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""

PROGRAMS: Final = {"pytriton": PYTRITON, "mlserver": MLSERVER}
VIEW = np.random.default_rng(0).integers(0, 255, (1, 1, 640, 640), dtype=np.uint8)
FIELDS = np.random.default_rng(1).integers(0, 255, (9, 1, 224, 224), dtype=np.uint8)


class RealServer:
    """Triton or MLServer in processes of its own, with the shipped models, on one port for all its lives."""

    def __init__(self, program: str, python: str, folder: Path) -> None:
        """program: of `PROGRAMS`.  python: one that has it.  folder: for its program and its log."""
        self.port = free_port()
        self.url = f"localhost:{self.port}"
        self.log = folder / "server.log"
        (folder / "serve.py").write_text(PROGRAMS[program])
        self._command = [python, str(folder / "serve.py"), str(BUILTIN_FOLDER), str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RealServer:
        """Start it, and wait until it serves."""
        bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=bare, cwd=self.log.parent, start_new_session=True
            )
        try:
            furthest(self.url, 180.0)
        except BackendError as error:
            self.stop()
            raise BackendError(f"{error}\n{self.log.read_text(errors='replace')[-3000:]}") from error
        return self

    def stop(self) -> None:
        """As a power cut would end it, with all of its processes."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> RealServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def furthest(url: str, patience_s: float) -> dict[str, float]:
    """Of each output, the largest difference between the server's numbers and ONNX Runtime's here. Raises BackendError."""
    found: dict[str, float] = {}
    remote = Remote(ServerSettings(url=url, away="wait", timeout_s=300.0, patience_s=patience_s))
    for name, images in (("segmenter", VIEW), ("classifier", FIELDS)):
        model = BUILTIN_FOLDER / f"{name}.onnx"
        with table.open_network("kserve", model, remote=remote) as there, table.open_network("onnxruntime", model) as here:
            far, near = there.run(images), here.run(images)
            found |= {output: float(np.abs(far[output] - values).max()) for output, values in near.items()}
    return found


def least_ms(url: str, runs: int) -> dict[str, tuple[float, float]]:
    """Of each network, the least of `runs` milliseconds by the server and here, in turn, so that both meet the same machine."""
    found = {}
    remote = Remote(ServerSettings(url=url, away="wait", timeout_s=300.0))
    for name, image in (("segmenter", VIEW), ("classifier", FIELDS[:1])):
        model = BUILTIN_FOLDER / f"{name}.onnx"
        with table.open_network("kserve", model, remote=remote) as there, table.open_network("onnxruntime", model) as here:
            turns = [(_ms(there, image), _ms(here, image)) for _ in range(runs)]
        found[name] = min(far for far, _ in turns), min(near for _, near in turns)
    return found


def _ms(network: Network, image: NDArray[np.uint8]) -> float:
    started = time.perf_counter()
    network.run(image)
    return (time.perf_counter() - started) * 1e3


def _measure(url: str, runs: int) -> None:
    print(f"largest difference of any output: {max(furthest(url, 180.0).values()):.1e}")
    for name, (far, near) in least_ms(url, runs).items():
        print(f"{name}: {far:.0f} ms by the server, {near:.0f} ms here, {far / near:.2f} times (least of {runs} in turn)")


def main() -> None:
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a server that runs already")
    parser.add_argument("--server", choices=PROGRAMS)
    parser.add_argument("--python", default=sys.executable, help="what runs the server")
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args()
    if asked.url:
        _measure(asked.url, asked.runs)
    elif asked.server:
        with TemporaryDirectory() as folder, RealServer(asked.server, asked.python, Path(folder)) as server:
            _measure(server.url, asked.runs)
    else:
        parser.error("name a --server, or the --url of one")


if __name__ == "__main__":
    main()
