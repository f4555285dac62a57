"""Models in, a model repository for NVIDIA's Triton Inference Server out: what `[kserve]` of many boxes asks.

A model's name holds the begin of its hash, so that an older and a newer one are served side by side while boxes change over.
Source: Triton's protobuf `ModelConfig`, in its text form.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final, Literal

from edge.backends.answer import OUTPUTS
from edge.backends.kserve import served_name
from edge.errors import ConfigError
from edge.models.card import ModelCard, load_card

LARGEST_BATCH: Final = {"segment": 8, "classify": 32}
WAIT_US: Final = 2_000
"""So long a request waits for others to share a batch with."""
QUEUE: Final = 64
"""Requests that may wait; a box whose request is refused offers it again, or works by itself."""
QUEUE_US: Final = 5_000_000


def write(model: Path, task: Literal["segment", "classify"], repository: Path) -> Path:
    """Add `model` to `repository`; the folder that was made, `repository`/NAME with config.pbtxt and 1/model.onnx.

    Raises ModelError for a model without a card that fits, ConfigError where the folder cannot be written. A folder that is
    there is the same model's; it is written anew, whole or not at all.
    """
    card = load_card(model, task)
    name = served_name(model.stem, card.sha256)
    folder = repository / name
    made = repository / f".{name}.part"
    try:
        shutil.rmtree(made, ignore_errors=True)
        (made / "1").mkdir(parents=True)
        shutil.copyfile(model, made / "1" / "model.onnx")
        (made / "config.pbtxt").write_text(configuration(name, task, card), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise ConfigError(f"{repository} cannot be written: {error.strerror or error}") from error
    return folder


def configuration(name: str, task: Literal["segment", "classify"], card: ModelCard) -> str:
    """The text of config.pbtxt."""
    sides = "1, -1, -1" if task == "segment" else f"1, {card.input_px}, {card.input_px}"
    outputs = ",\n".join(
        f"  {{ name: {_quoted(output)}, data_type: {'TYPE_INT64' if one.kind == 'class' else 'TYPE_FP32'}, "
        f"dims: [ {', '.join(str(side) if isinstance(side, int) else '-1' for side in one.shape)} ] }}"
        for output, one in OUTPUTS[task].items()
    )
    parameters = "\n".join(
        f"parameters {{ key: {_quoted(key)}, value {{ string_value: {_quoted(value)} }} }}"
        for key, value in {"sha256": card.sha256, "precision": "float32", "about": f"{card.name} {card.version}"}.items()
    )
    return f"""\
name: {_quoted(name)}
platform: "onnxruntime_onnx"
max_batch_size: {LARGEST_BATCH[task]}
input [ {{ name: "image", data_type: TYPE_UINT8, dims: [ {sides} ] }} ]
output [
{outputs}
]
dynamic_batching {{
  max_queue_delay_microseconds: {WAIT_US}
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {QUEUE_US}
    max_queue_size: {QUEUE}
  }}
}}
{parameters}
"""


def _quoted(text: str) -> str:
    """As text format has it; JSON's escapes are among those that it reads."""
    return json.dumps(text)
