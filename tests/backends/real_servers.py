"""A real server in, what its wire costs out: `python -m tests.backends.real_servers --url HOST:PORT`.

It has to serve the shipped models (docs/use/fleet.md). `PYTRITON` and `MLSERVER` below serve them: each is run by a Python that
has nvidia-pytriton or MLServer, which want other versions of NumPy than ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from edge.backends import table
from edge.backends.server import Remote, ServerSettings
from edge.models.card import BUILTIN_FOLDER

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

VIEW = np.random.default_rng(0).integers(0, 255, (1, 1, 640, 640), dtype=np.uint8)
FIELDS = np.random.default_rng(1).integers(0, 255, (9, 1, 224, 224), dtype=np.uint8)


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


def _timed(run: Callable[[], Any], runs: int) -> str:
    spent = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        spent.append((time.perf_counter() - started) * 1e3)
    return f"{min(spent):.0f} ms at least, {median(spent):.0f} ms in the middle"


def main() -> None:
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args()
    print("largest difference:", furthest(asked.url, 10.0))
    remote = Remote(ServerSettings(url=asked.url, away="wait", timeout_s=300.0))
    for name, images in (("segmenter", VIEW), ("classifier", FIELDS[:1])):
        for backend in ("kserve", "onnxruntime"):
            with table.open_network(backend, BUILTIN_FOLDER / f"{name}.onnx", remote=remote) as network:
                print(f"{name} on {backend}: {_timed(lambda network=network, images=images: network.run(images), asked.runs)}")


if __name__ == "__main__":
    main()
