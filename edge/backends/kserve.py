"""An inference server of the KServe v2 protocol: an .onnx file in, a Network whose numbers another machine makes out.

One GPU serves many boxes so. What crosses the wire is grey uint8 one way, and the other way what TopK left and the
prototypes. The file itself stays here: its hash says which model the server has to serve, and a server that does not
prove to serve it is as good as away. While it is away the box works by itself, or waits, as `kserve.away` says.

The protocol: Open Inference Protocol, version 2 (KServe), with the extension of Triton that tells a model's configuration.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.backends import table
from edge.backends.answer import MOST_BYTES, Output, UnfitError, believed, outputs_of, sides_of
from edge.backends.network import Arrays, Network
from edge.backends.reach import context_of, unreached
from edge.backends.server import Remote, ServerSettings
from edge.errors import BackendError

HASH_DIGITS: Final = 16
"""So much of a model's hash stands in its name on the server."""
MOST_AT_ONCE: Final = 8
"""Images of one request, where the server names no limit of its own."""
AGAIN_S: Final = 15.0
"""So long the box works by itself, at least, before the server is tried again."""
TIMES_ITS_COST: Final = 10
"""And so many times what the last try took: one that takes connections and never answers must not slow the box down."""
TURN_S: Final = 0.25
LONGEST_QUESTION_S: Final = 10.0
"""Longest wait for what a server says about itself."""
CHECK_S: Final = 30.0
"""So long a server is believed to serve what it last proved to."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
CLEAR_REFUSALS: Final = 3
"""So often an image is offered to a server that takes others, before that image is to blame."""

_PRECISIONS: Final = ("float32", "bfloat16", "float16")

_BUSY: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"})
_REFUSED: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "UNKNOWN", "OUT_OF_RANGE", "FAILED_PRECONDITION", "DATA_LOSS"})


class _AwayError(Exception):
    """The server cannot be used now, in words.

    at_once: no use in asking again before a while.  refused: what was sent was not taken.
    unreached: maybe for want of a connection.  too_large: a message was larger than one side takes.
    """

    def __init__(
        self, why: str, *, at_once: bool = False, refused: bool = False, unreached: bool = False, too_large: bool = False
    ) -> None:
        super().__init__(why)
        self.at_once = at_once
        self.refused = refused
        self.unreached = unreached
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class _Served:
    """What the server proved to serve. name, version: there.  most: images of a request.

    bound: name or version holds the hash, so that no other model can take its place under them unnoticed.
    """

    name: str
    version: str
    bound: bool
    outputs: Mapping[str, Output]
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

    def __init__(
        self, model: Path, precision: str = "float32", *, memory: Path | None = None, remote: Remote | None = None
    ) -> None:
        """Of `model` the name and the hash are used; the server is asked with the first image. Raises BackendError.

        memory: where the box's own backend keeps what it compiled, as `Backend.open` has it.
        """
        if remote is None or not remote.settings.url:
            raise BackendError("no inference server is named: set kserve.url to HOST:PORT")
        try:
            self._sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
        except OSError as error:
            raise BackendError(f"{model} cannot be read: {error.strerror or error}") from error
        self._model, self._remote, self._memory = model, remote, memory
        self._sides = sides_of(model)
        self._stamps = _stamps(remote.settings)
        self._client = _client(remote.settings)
        self._looked: tuple[float, tuple[str, bool] | None] | None = None
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
        give_up = time.monotonic() + (0 if self._by_own or self._remote.is_known_away else settings.patience_s)
        pause, refusals = FIRST_PAUSE_S, 0
        while True:
            started = time.monotonic()
            try:
                outputs = self._run_there(image)
            except _AwayError as raw:
                away = self._clearer(raw)
                why = f"the inference server at {settings.url} cannot be used: {away}"
                refusals += away.refused
                if own and (away.at_once or away.refused or time.monotonic() >= give_up):
                    self._own_until = time.monotonic() + max(AGAIN_S, TIMES_ITS_COST * (time.monotonic() - started))
                    return self._run_here(image, why)
                if refusals >= CLEAR_REFUSALS and self._takes_another(image):
                    raise BackendError(f"the inference server at {settings.url} refuses this image: {away}") from away
                if not own and not self._remote.is_away(self, why):
                    raise BackendError(why) from away
            else:
                self._by_own = False
                self._looked = None
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
            self._own = table.open_network(table.resolve(table.AUTO), self._model, memory=self._memory)
        if why:
            self._remote.is_away(self, f"{why}; images are inspected here meanwhile, by {self._own.name}")
        outputs = self._own.run(image)
        self._by_own = True
        return outputs

    # There

    def _run_there(self, image: NDArray[np.uint8]) -> Arrays:
        if self._served is None or time.monotonic() - self._checked > CHECK_S:
            self._served = self._proved()
            self._checked = time.monotonic()
        served, parts, row = self._served, list[Arrays](), 0
        while row < len(image):
            try:
                parts.append(self._asked(image[row : row + served.most], served))
            except _AwayError as away:
                if not away.too_large or served.most == 1:
                    raise
                served = self._served = replace(served, most=max(1, min(served.most, len(image)) // 2))
            else:
                row += served.most
        if not served.bound:  # another model may have taken its place meanwhile
            self._served = self._proved()
        return {name: np.concatenate([part[name] for part in parts]) for name in served.outputs}

    def _asked(self, image: NDArray[np.uint8], served: _Served) -> Arrays:
        """One request. Raises _AwayError; BackendError when nobody waits for it any longer."""
        answer = self._call(self._infer, image, served)
        if served.version and answer.get_response().model_version not in ("", served.version):
            self._served = None
            raise _AwayError("it answered with another version of the model than it was asked for")
        try:
            return believed(answer.as_numpy, served.outputs, image.shape, self._sides)
        except UnfitError as error:
            raise _AwayError(f"its answer{error}", at_once=True) from error

    def _infer(self, image: NDArray[np.uint8], served: _Served) -> Any:
        """The library's answer, for which somebody must want to wait all the time."""
        grpc = _library()
        sent = grpc.InferInput("image", list(image.shape), "UINT8")
        sent.set_data_from_numpy(np.ascontiguousarray(image))
        wanted = [grpc.InferRequestedOutput(name) for name in served.outputs]
        answered, given = threading.Event(), list[Any]()

        def take(result: Any, error: Any) -> None:
            given.extend((result, error))
            answered.set()

        call = self._client.async_infer(
            served.name, [sent], take, model_version=served.version, outputs=wanted,
            client_timeout=self._remote.settings.timeout_s,
        )  # fmt: skip
        while not answered.wait(TURN_S):
            if not self._remote.wait_on():
                call.cancel()
                raise BackendError(f"nobody waits for the inference server at {self._remote.settings.url} any longer")
        result, error = given
        if error is not None:
            raise error
        return result

    def _takes_another(self, image: NDArray[np.uint8]) -> bool:
        """Whether a blank image of the same size is answered: the server works then, and it is the image that it refuses."""
        try:
            self._run_there(np.zeros_like(image))
        except _AwayError:
            return False
        return True

    def _proved(self) -> _Served:
        """What the server serves for this file; raises _AwayError where it does not prove to serve it."""
        self._take_renewed_files()
        stem, found = self._model.stem, []
        for name in (served_name(stem, self._sha256), stem):
            try:
                described = self._call(self._client.get_model_metadata, name, client_timeout=self._question_s)
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
        names = frozenset(output.name for output in described.outputs)
        outputs = outputs_of(names)
        if outputs is None:
            raise _AwayError(f"the model {name} gives {', '.join(sorted(names)) or 'nothing'}", at_once=True)
        precision = parameters.get("precision", "float32")
        if precision not in _PRECISIONS:
            raise _AwayError(f"the model {name} runs in {precision!r}", at_once=True)
        bound = version == self._sha256 or name == served_name(self._model.stem, self._sha256)
        return _Served(name, version, bound, outputs, most, precision, parameters.get("engine_sha256") or None)

    def _configured(self, name: str) -> tuple[dict[str, str], int]:
        """A model's parameters and how many images a request may have, where the server has Triton's extension."""
        try:
            config = self._call(self._client.get_model_config, name, client_timeout=self._question_s).config
        except _AwayError as away:
            if away.at_once:
                return {}, MOST_AT_ONCE
            raise
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        return parameters, config.max_batch_size or MOST_AT_ONCE

    @property
    def _question_s(self) -> float:
        return min(self._remote.settings.timeout_s, LONGEST_QUESTION_S)

    def _take_renewed_files(self) -> None:
        """Connect anew where certificates were renewed. Raises _AwayError for files that cannot be used."""
        stamps = _stamps(self._remote.settings)
        if stamps == self._stamps:
            return
        try:
            client = _client(self._remote.settings)
        except BackendError as error:
            raise _AwayError(str(error), at_once=True) from error
        self._client.close()
        self._client, self._stamps = client, stamps

    def _clearer(self, away: _AwayError) -> _AwayError:
        """The same in clearer words, where a look at the connection itself tells more; looked at once a while."""
        if not away.unreached:
            return away
        if self._looked is None or time.monotonic() - self._looked[0] > CHECK_S:
            self._looked = time.monotonic(), unreached(self._remote.settings)
        found = self._looked[1]
        return away if found is None else _AwayError(found[0], at_once=found[1])

    def _call(self, ask: Any, *arguments: Any, **named: Any) -> Any:
        """What the library answers; its errors as _AwayError."""
        try:
            return ask(*arguments, **named)
        except BackendError:
            raise
        except _library().InferenceServerException as error:
            status = str(error.status() or "UNKNOWN").removeprefix("StatusCode.")
            text = " ".join(str(error.message()).split())[:300]
            if status in ("UNAVAILABLE", "NOT_FOUND"):  # a model may be unloaded, or replaced
                self._served = None
            if status == "DEADLINE_EXCEEDED":
                waited = named.get("client_timeout", self._remote.settings.timeout_s)
                raise _AwayError(f"no answer within {waited:g} s (kserve.timeout_s)", unreached=True) from error
            too_large = status == "RESOURCE_EXHAUSTED" and "larger than max" in text
            raise _AwayError(
                f"{status.lower().replace('_', ' ')}: {text}",
                at_once=status not in _BUSY | _REFUSED,
                refused=status in _REFUSED or too_large,
                unreached=status == "UNAVAILABLE",
                too_large=too_large,
            ) from error
        except Exception as error:  # what protobuf and gRPC raise beside their own errors has no common base
            raise _AwayError(f"{type(error).__name__}: {error}", at_once=True) from error


def _stamps(settings: ServerSettings) -> tuple[tuple[int, int] | None, ...]:
    """What changes when one of the certificates' files is replaced."""
    stamps: list[tuple[int, int] | None] = []
    for file in (settings.ca_file, settings.cert_file, settings.key_file):
        try:
            found = Path(file).stat() if file else None
        except OSError:
            found = None
        stamps.append((found.st_mtime_ns, found.st_ino) if found else None)
    return tuple(stamps)


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
    if settings.tls:
        try:
            context_of(settings)
        except ValueError as error:
            raise BackendError(f"the certificates for the inference server cannot be used: {error}") from error
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", MOST_BYTES),
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
