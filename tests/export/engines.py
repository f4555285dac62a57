"""What engines are tried with: a library and a GPU by name, and reports as TensorRT's inspector writes them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge.backends.tensorrt.passport import Gpu, Library
from export import tensorrt_cli

LIBRARY = Library(name="tensorrt", version="10.3.0")


GPU = Gpu(name="Orin", compute_capability="8.7")


MODELS = [("segmenter", "segment"), ("classifier", "classify")]


# --- what the engine inspector tells ---------------------------------------------------------------------------------


def tensor(kind: str) -> dict[str, Any]:
    return {"Name": "t", "Location": "Device", "Dimensions": [1, 16, 240, 320], "Format/Datatype": kind}


def layer(name: str, kind: str, given: str, taken: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": [tensor(given)], "Outputs": [tensor(taken)], **more}


FP32, FP16 = "Row major linear FP32", "Channel major FP16 format where channel % 8 == 0"


CONVOLUTION = "/body.0/conv/Conv + PWN(/body.0/act/Sigmoid, /body.0/act/Mul)"


def report(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["image", "boxes"]})


# --- the command -----------------------------------------------------------------------------------------------------


def command(*arguments: str) -> int:
    """The status of `edge-export tensorrt` with these arguments."""
    parser = argparse.ArgumentParser()
    tensorrt_cli.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["tensorrt", *arguments])
    return int(parsed.run(parsed))
