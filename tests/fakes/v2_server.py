"""A server of the KServe v2 protocol in this process: gRPC and ONNX Runtime are real, its faults are made on demand."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.answer import MOST_BYTES
from edge.backends.kserve import served_name
from tests.fakes.brokers import free_port

grpc = pytest.importorskip("grpc")
service_pb2_grpc = pytest.importorskip("tritonclient.grpc.service_pb2_grpc")
from tritonclient.grpc import service_pb2  # noqa: E402 - after the libraries were found

KINDS = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class V2Server:
    """Serves the models of `files`, each under its stem and the begin of its hash; plain: under its stem alone.

    fault: "" or what is wrong: "busy", "internal", "slow", "short", or a name of `GARBLED`.
    slow_s: what "slow" waits before it answers.  largest_bytes: of a request that it takes, None for any.
    poison: an image that contains this grey value everywhere is refused.  told: parameters of the configuration by name, in
    place of the true hash.  extension: whether it tells configurations, as Triton does.  versions: as a model's metadata has
    them.  asked: names of the models that were asked for an answer.
    """

    def __init__(self, *files: Path, port: int = 0, tls: Any = None, **how: Any) -> None:
        import onnxruntime

        self.fault, self.poison, self.slow_s = "", None, 3600.0
        self.told: Mapping[str, str] | None = how.get("told")
        self.extension: bool = how.get("extension", True)
        self.versions: list[str] = how.get("versions", ["1"])
        self.most: int = how.get("most", 4)
        self.largest_bytes: int | None = how.get("largest_bytes")
        self.asked: list[str] = []
        self.largest = 0
        self.port = port
        self._tls = tls
        self._stopped = threading.Event()
        self.models: dict[str, tuple[Any, str]] = {}
        for file in files:
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            name = how.get("name") or (file.stem if how.get("plain") else served_name(file.stem, sha256))
            self.models[name] = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]), sha256

    def start(self) -> V2Server:
        """Listen, on the port of an earlier life if it had one."""
        self._stopped.clear()
        self.port = self.port or free_port()  # which nobody takes between two lives, as an outgoing connection might
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=self._options)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(self), self._server)
        address = f"localhost:{self.port}"
        self.port = self._server.add_secure_port(address, self._tls) if self._tls else self._server.add_insecure_port(address)
        self._server.start()
        return self

    @property
    def _options(self) -> list[tuple[str, int]]:
        most = [("grpc.max_receive_message_length", self.largest_bytes)] if self.largest_bytes else []
        return [("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1), *most]

    def stop(self) -> None:
        """As a crash would end it: whoever waits for an answer gets none."""
        self._stopped.set()
        self._server.stop(0).wait()

    @property
    def url(self) -> str:
        """HOST:PORT."""
        return f"localhost:{self.port}"

    def wait(self) -> None:
        """For longer than anybody has patience, or until the server ends."""
        self._stopped.wait(self.slow_s)

    def __enter__(self) -> V2Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # generated without types
    def __init__(self, server: V2Server) -> None:
        self._server = server

    def _model(self, name: str, context: Any) -> tuple[Any, str]:
        if name not in self._server.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return self._server.models[name]

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        session, _ = self._model(request.name, context)
        answer = service_pb2.ModelMetadataResponse(name=request.name, versions=self._server.versions, platform="onnx")
        answer.outputs.extend(
            service_pb2.ModelMetadataResponse.TensorMetadata(name=one.name, datatype=KINDS[one.type])
            for one in session.get_outputs()
        )
        return answer

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        _, sha256 = self._model(request.name, context)
        if not self._server.extension:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        answer = service_pb2.ModelConfigResponse()
        answer.config.name, answer.config.max_batch_size = request.name, self._server.most
        for key, value in (self._server.told if self._server.told is not None else {"sha256": sha256}).items():
            answer.config.parameters[key].string_value = value
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        server = self._server
        session, _ = self._model(request.model_name, context)
        shape = list(request.inputs[0].shape)
        image = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
        server.asked.append(request.model_name)
        server.largest = max(server.largest, len(image))
        if server.fault == "busy":
            context.abort(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
        if server.fault == "internal" or (server.poison is not None and bool((image == server.poison).all())):
            context.abort(grpc.StatusCode.INTERNAL, "the model failed")
        if server.fault == "slow":
            server.wait()
        wanted = [one.name for one in request.outputs]
        outputs = dict(zip(wanted, session.run(wanted, {"image": image}), strict=True))
        return _answer(request, outputs, server.fault, server.versions[-1] if server.versions else "")


Values = NDArray[Any]
GARBLED: Mapping[str, Callable[[str, Values], Values | None]] = {
    "no-output": lambda name, values: None if name in ("boxes", "logits") else values,
    "nan": lambda name, values: values if name == "classes" else np.full_like(values, np.nan),
    "shape": lambda name, values: values[:, :1],
    "count": lambda name, values: values[:, : len(values[0]) // 2] if name in ("scores", "cam") else values,
    "class": lambda name, values: values + 99 if name == "classes" else values,
    "score": lambda name, values: values + 2 if name == "scores" else values,
    "dtype": lambda name, values: values.astype(np.int64),
    "width": lambda name, values: np.hstack([values, values]) if name in ("embedding", "classes") else values,
    "huge": lambda name, values: np.zeros((len(values), MOST_BYTES // 16, 4), np.float32) if name == "boxes" else values,
}
"""What becomes of an output; None: it is not given."""


def _answer(request: Any, outputs: dict[str, Any], fault: str, version: str) -> Any:
    answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version or version)
    for name, values in outputs.items():
        if fault in GARBLED and (values := GARBLED[fault](name, values)) is None:
            continue
        tensor = answer.outputs.add()
        tensor.name, tensor.datatype = name, "INT64" if values.dtype == np.int64 else "FP32"
        tensor.shape.extend(values.shape)
        data = np.ascontiguousarray(values).tobytes()
        answer.raw_output_contents.append(data[: len(data) // 2] if fault == "short" else data)
    return answer


def until(true: Any, patience_s: float = 60.0) -> None:
    """Wait for it."""
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
