"""A command's payload in, its checked fields out; what came of it in, its `edge.response/1` out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from edge.config import DeviceSettings
from edge.wire import documents
from edge.wire.documents import printable
from edge.wire.encode import device_fields, milliseconds, serialise, shorten, timestamp
from edge.wording import sentences


def decode_command(name: str, payload: bytes) -> tuple[str | None, dict[str, Any]]:
    """A command's (request_id, other fields), checked against its schema.

    Raises ValueError, with a sentence for the sender, when the command is unknown or its payload is not what it takes. An
    empty payload never is: it is how a retained message is cleared.
    """
    command = _checked(name, lambda model: model.model_validate_json(payload))
    fields = command.model_dump(mode="json", exclude={"request_id"})
    return command.request_id, fields


def checked_fields(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a command that did not come over MQTT, checked against its schema. Raises ValueError."""
    command = _checked(name, lambda model: model.model_validate_json(json.dumps(fields)))
    return command.model_dump(mode="json", exclude={"request_id"})


def _checked(name: str, validate: Callable[[type[documents.Command]], documents.Command]) -> documents.Command:
    """Raises ValueError, with a sentence for the sender."""
    model = documents.COMMANDS.get(name)
    if model is None:
        raise ValueError(f"unknown command {name!r}; known: {', '.join(documents.COMMANDS)}")
    try:
        return validate(model)
    except ValidationError as error:
        raise ValueError(f"{name}: {'; '.join(sentences(error, 'payload', model))}") from error


def encode_response(
    *,
    command: str,
    request_id: str | None,
    error: str | None,
    result: Mapping[str, Any] | None,
    device: DeviceSettings,
    at: datetime,
) -> bytes:
    """An `edge.response/1`: ok exactly when `error` is None. Raises ValueError when `result` is no strict JSON."""
    return serialise(
        documents.ResponseDocument(
            schema_="edge.response/1",
            command=shorten(command, 64),
            request_id=request_id,
            ok=error is None,
            error=error,
            result=None if result is None else _printable_throughout(dict(result)),
            ts=timestamp(at),
            ts_ms=milliseconds(at),
            device=device_fields(device),
        )
    )


def _printable_throughout(value: Any) -> Any:
    """`value` with every text printable, keys included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(name)): _printable_throughout(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable_throughout(item) for item in value]
    return value
