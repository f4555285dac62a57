"""An inference server of the KServe v2 protocol: an .onnx file in, a Network whose numbers another machine makes out.

One GPU serves many boxes so. What crosses the wire is grey uint8 one way, and the other way what TopK left and the
prototypes. The file itself stays here: its hash says which model the server has to serve, and a server that does not
prove to serve it is as good as away. While it is away the box works by itself, or waits, as `kserve.away` says.

The protocol: Open Inference Protocol, version 2 (KServe), with the extension of Triton that tells a model's configuration.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.backends import table
from edge.backends.network import Arrays, Network, require_numbers
from edge.backends.server import Remote, ServerSettings
from edge.errors import BackendError

HASH_DIGITS: Final = 16
"""So much of a model's hash stands in its name on the server."""
MOST_AT_ONCE: Final = 8
"""Images of one request, where the server names no limit of its own."""
AGAIN_S: Final = 15.0
"""So long the box works by itself before the server is tried again."""
CHECK_S: Final = 30.0
"""So long a server is believed to serve what it last proved to."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
CLEAR_REFUSALS: Final = 3
"""So often an image is offered to a server that takes others, before that image is to blame."""

OUTPUTS: Final = (
    frozenset({"boxes", "scores", "classes", "coefficients", "prototypes"}),
    frozenset({"logits", "cam", "embedding"}),
)
_PRECISIONS: Final = ("float32", "bfloat16", "float16")

_BUSY: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"})
_REFUSED: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "UNKNOWN", "OUT_OF_RANGE", "FAILED_PRECONDITION", "DATA_LOSS"})


class _AwayError(Exception):
    """The server cannot be used now, in words. at_once: no use in asking again before a while."""

    def __init__(self, why: str, *, at_once: bool = False, refused: bool = False) -> None:
        super().__init__(why)
        self.at_once = at_once
        self.refused = refused


@dataclass(frozen=True, slots=True)
class _Served:
    """What the server proved to serve. name, version: there.  most: images of a request."""

    name: str
    version: str
    outputs: tuple[str, ...]
    most: int
    precision: str
    engine_sha256: str | None


def served_name(stem: str, sha256: str) -> str:
    """What a model is called on a server, so that two versions can be served side by side: "segmenter-0123456789abcdef"."""
    return f"{stem}-{sha256[:HASH_DIGITS]}"


class KserveNetwork:
    """A model that a server runs, and this box where it is away.

    name, precision: of what gave the last answer.
    """

    any_thread = True

    def __init__(self, model: Path, precision: str = "float32", *, remote: Remote | None = None) -> None:
        """Of `model` the name and the hash are used; the server is asked with the first image. Raises BackendError."""
        if remote is None or not remote.settings.url:
            raise BackendError("no inference server is named: set kserve.url to HOST:PORT")
        try:
            self._sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
        except OSError as error:
            raise BackendError(f"{model} cannot be read: {error.strerror or error}") from error
        self._model, self._remote = model, remote
        self._client = _client(remote.settings)
        self._served: _Served | None = None
        self._checked = 0.0
        self._own: Network | None = None
        self._own_until = 0.0
        self._by_own = False

    @property
    def name(self) -> str:
        """Of the backend that gave the last answer."""
        return self._own.name if self._by_own and self._own else "kserve"

    @property
    def precision(self) -> str:
        """What the last answer was made in, as the server says."""
        if self._by_own and self._own:
            return self._own.precision
        return self._served.precision if self._served else "float32"

    @property
    def engine_sha256(self) -> str | None:
        """Of the engine that the server runs in place of the ONNX file, where it names one."""
        return None if self._by_own or not self._served else self._served.engine_sha256

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 [N, 1, H, W].

        Raises BackendError where nobody wants to wait for the server any longer, or where it refuses this very image.
        """
        settings = self._remote.settings
        own = settings.away == "own"
        tried_of_late = time.monotonic() < self._own_until
        if own and tried_of_late:
            return self._run_here(image)
        give_up = time.monotonic() + (0 if self._by_own else settings.patience_s)
        pause, refusals = FIRST_PAUSE_S, 0
        while True:
            try:
                outputs = self._run_there(image)
            except _AwayError as away:
                why = f"the inference server at {settings.url} cannot be used: {away}"
                refusals += away.refused
                if own and (away.at_once or away.refused or time.monotonic() >= give_up):
                    return self._run_here(image, why)
                if refusals >= CLEAR_REFUSALS and self._takes_another(image):
                    raise BackendError(f"the inference server at {settings.url} refuses this image: {away}") from away
                if not own and not self._remote.is_away(self, why):
                    raise BackendError(why) from away
            else:
                self._by_own = False
                self._remote.is_back(self)
                return outputs
            time.sleep(pause * random.uniform(0.5, 1.0))  # many boxes must not come back in step
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def close(self) -> None:
        """End the connection."""
        if self._own is not None:
            self._own.close()
        self._own = None
        self._client.close()

    def __enter__(self) -> KserveNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Here

    def _run_here(self, image: NDArray[np.uint8], why: str | None = None) -> Arrays:
        """By the box's own library. why: the server is away, if that is news."""
        if self._own is None:
            self._own = table.open_network(table.resolve(table.AUTO), self._model)
        if why:
            self._own_until = time.monotonic() + AGAIN_S
            self._remote.is_away(self, f"{why}; images are inspected here meanwhile, by {self._own.name}")
        outputs = self._own.run(image)
        self._by_own = True
        return outputs

    # There

    def _run_there(self, image: NDArray[np.uint8]) -> Arrays:
        if self._served is None or time.monotonic() - self._checked > CHECK_S:
            self._served = self._proved()
            self._checked = time.monotonic()
        parts = [
            self._asked(image[row : row + self._served.most], self._served) for row in range(0, len(image), self._served.most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._served.outputs}

    def _asked(self, image: NDArray[np.uint8], served: _Served) -> dict[str, NDArray[Any]]:
        """One request. Raises _AwayError."""
        grpc = _library()
        sent = grpc.InferInput("image", list(image.shape), "UINT8")
        sent.set_data_from_numpy(np.ascontiguousarray(image))
        wanted = [grpc.InferRequestedOutput(name) for name in served.outputs]
        answer = self._call(
            self._client.infer, served.name, [sent], model_version=served.version, outputs=wanted,
            client_timeout=self._remote.settings.timeout_s,
        )  # fmt: skip
        if served.version and answer.get_response().model_version not in ("", served.version):
            self._served = None
            raise _AwayError("it answered with another version of the model than it was asked for")
        return {name: self._believed(answer, name, image) for name in served.outputs}

    def _believed(self, answer: Any, name: str, image: NDArray[np.uint8]) -> NDArray[Any]:
        """One output, if it can be one of this model. Raises _AwayError."""
        try:
            values: NDArray[Any] | None = answer.as_numpy(name)
        except (ValueError, TypeError, KeyError) as error:
            raise _AwayError(f"its answer's {name} cannot be read: {error}", at_once=True) from error
        if values is None:
            raise _AwayError(f"its answer has no {name}", at_once=True)
        expected = _shape(name, image.shape)
        if values.ndim != len(expected) or any(one not in (None, has) for one, has in zip(expected, values.shape, strict=True)):
            raise _AwayError(f"its answer's {name} have the shape {values.shape}", at_once=True)
        kinds = np.integer if name == "classes" else np.floating
        if not np.issubdtype(values.dtype, kinds):
            raise _AwayError(f"its answer's {name} are {values.dtype}", at_once=True)
        try:
            require_numbers(values, name)
        except BackendError as error:
            raise _AwayError(f"its answer's {name} are not numbers", at_once=True) from error
        return values if name == "classes" else np.asarray(values, np.float32)

    def _takes_another(self, image: NDArray[np.uint8]) -> bool:
        """Whether a blank image of the same size is answered: the server works then, and it is the image that it refuses."""
        try:
            self._run_there(np.zeros_like(image))
        except _AwayError:
            return False
        return True

    def _proved(self) -> _Served:
        """What the server serves for this file; raises _AwayError where it does not prove to serve it."""
        timeout, stem = self._remote.settings.timeout_s, self._model.stem
        found = []
        for name in (served_name(stem, self._sha256), stem):
            try:
                described = self._call(self._client.get_model_metadata, name, client_timeout=timeout)
            except _AwayError as away:
                if away.at_once:  # no such model
                    found.append(str(away))
                    continue
                raise
            return self._judged(name, described)
        raise _AwayError(f"it serves no {served_name(stem, self._sha256)} ({found[0]})", at_once=True)

    def _judged(self, name: str, described: Any) -> _Served:
        """The same for one name. described: the model's metadata."""
        parameters, most = self._configured(name)
        told = parameters.get("sha256", "")
        versions = list(described.versions)
        if not told and self._sha256 in versions:
            told = self._sha256
        version = self._sha256 if self._sha256 in versions else (versions[-1] if versions else "")
        if not told and name == served_name(self._model.stem, self._sha256):
            told = self._sha256
        if told != self._sha256:
            other = f"another model ({told[:12]}…)" if told else "a model without saying its hash"
            raise _AwayError(f"as {name} it serves {other}; this box wants {self._sha256[:12]}…", at_once=True)
        names = {output.name for output in described.outputs}
        fitting = next((outputs for outputs in OUTPUTS if outputs <= names), None)
        if fitting is None:
            raise _AwayError(f"the model {name} gives {', '.join(sorted(names)) or 'nothing'}", at_once=True)
        precision = parameters.get("precision", "float32")
        if precision not in _PRECISIONS:
            raise _AwayError(f"the model {name} runs in {precision!r}", at_once=True)
        return _Served(name, version, tuple(sorted(fitting)), most, precision, parameters.get("engine_sha256") or None)

    def _configured(self, name: str) -> tuple[dict[str, str], int]:
        """A model's parameters and how many images a request may have, where the server has Triton's extension."""
        try:
            config = self._call(self._client.get_model_config, name, client_timeout=self._remote.settings.timeout_s).config
        except _AwayError as away:
            if away.at_once:
                return {}, MOST_AT_ONCE
            raise
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        return parameters, config.max_batch_size or MOST_AT_ONCE

    def _call(self, ask: Any, *arguments: Any, **named: Any) -> Any:
        """What the library answers; its errors as _AwayError."""
        try:
            return ask(*arguments, **named)
        except _library().InferenceServerException as error:
            status = str(error.status() or "UNKNOWN").removeprefix("StatusCode.")
            text = " ".join(str(error.message()).split())[:300]
            if status in ("UNAVAILABLE", "NOT_FOUND"):  # a model may be unloaded, or replaced
                self._served = None
            raise _AwayError(
                f"{status.lower().replace('_', ' ')}: {text}",
                at_once=status not in _BUSY | _REFUSED,
                refused=status in _REFUSED,
            ) from error
        except Exception as error:  # what protobuf and gRPC raise beside their own errors has no common base
            raise _AwayError(f"{type(error).__name__}: {error}", at_once=True) from error


def _shape(name: str, sent: tuple[int, ...]) -> tuple[int | None, ...]:
    """Of an output, None where the model decides; see docs/develop/add-a-backend.md."""
    many, _, height, width = sent
    known: dict[str, tuple[int | None, ...]] = {
        "boxes": (many, None, 4),
        "scores": (many, None),
        "classes": (many, None),
        "coefficients": (many, None, 32),
        "prototypes": (many, 32, height // 4, width // 4),
        "logits": (many, None),
        "cam": (many, None, None, None),
        "embedding": (many, None),
    }
    return known[name]


def _library() -> Any:
    """tritonclient's gRPC half. Raises BackendError."""
    try:
        from tritonclient import grpc
    except ImportError as error:
        raise BackendError(f"tritonclient cannot be imported ({error}): pip install 'sem-corrosion-edge[kserve]'") from error
    return grpc


def _client(settings: ServerSettings) -> Any:
    """A connection that notices a silent server by itself. Raises BackendError for files that cannot be used."""
    grpc = _library()
    for file in (settings.ca_file, settings.cert_file, settings.key_file):
        try:
            if file and b"-----BEGIN" not in Path(file).read_bytes():
                raise BackendError(f"{file} holds nothing in PEM (kserve.ca_file, cert_file, key_file)")
        except OSError as error:
            raise BackendError(f"{file} cannot be read: {error.strerror or error}") from error
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.InferenceServerClient(
        settings.url,
        ssl=settings.tls,
        root_certificates=settings.ca_file or None,
        private_key=settings.key_file or None,
        certificate_chain=settings.cert_file or None,
        channel_args=options,
    )
