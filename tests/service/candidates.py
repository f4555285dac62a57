"""Releases for a box to try: as good as the shipped models, other ones, and such as never answer; and a shelf with one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from edge.fleet.release import Release
from edge.fleet.shelf import Shelf
from edge.models.card import BUILTIN_FOLDER
from tests.models.test_signature import Signer

KEY = Signer()


def models(folder: Path, *, severe: float = 0.0, rounds: int = 0, note: str = "as shipped") -> Path:
    """A signed folder with both models and their cards. severe: added to the logit of the classifier's last class.

    rounds: so often a loop goes round before the classifier answers.  note: other ones make another release.
    """
    folder.mkdir(parents=True)
    for name in ("segmenter.onnx", "segmenter.json", "regions.json"):
        shutil.copyfile(BUILTIN_FOLDER / name, folder / name)
    _classifier(folder, severe, rounds, note)
    KEY.sign_folder(folder)
    return folder


def on_shelf(state: Path, folder: Path) -> Release:
    """Put a folder of `models` on the shelf, as fetched, checked and tried: the candidate."""
    shelf = Shelf(state)
    release_id = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    place = shelf.incoming(release_id)
    shutil.copytree(folder, place, dirs_exist_ok=True)
    return shelf.add(place, release_id)


def _classifier(folder: Path, severe: float, rounds: int, note: str) -> None:
    model: Any = onnx.load(BUILTIN_FOLDER / "classifier.onnx")
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["logits_before" if name == "logits" else name for name in node.output]
        node.input[:] = ["logits_before" if name == "logits" else name for name in node.input]
    graph.initializer.append(helper.make_tensor("further", TensorProto.FLOAT, [3], [0.0, 0.0, severe]))
    graph.node.append(helper.make_node("Add", ["logits_before", "further"], ["logits_after" if rounds else "logits"]))
    if rounds:
        _wait_in_a_loop(graph, rounds)
    model.doc_string = note
    onnx.save(model, folder / "classifier.onnx")
    card = json.loads((BUILTIN_FOLDER / "classifier.json").read_bytes())
    card["sha256"] = hashlib.sha256((folder / "classifier.onnx").read_bytes()).hexdigest()
    (folder / "classifier.json").write_text(json.dumps(card))


def _wait_in_a_loop(graph: Any, rounds: int) -> None:
    """Logits that go round and round, and come out as they were."""
    number, go_on = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("n", 7), ("on", 9)))
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("value_after", TensorProto.FLOAT, None)
    on_after = helper.make_tensor_value_info("on_after", TensorProto.BOOL, [])
    steps = [
        helper.make_node("Identity", ["on"], ["on_after"]),
        helper.make_node("Abs", ["value"], ["positive"]),
        helper.make_node("Sign", ["value"], ["sign"]),
        helper.make_node("Mul", ["positive", "sign"], ["value_after"]),
    ]
    body = helper.make_graph(steps, "round", [number, go_on, value], [on_after, after])
    graph.initializer.append(helper.make_tensor("rounds", TensorProto.INT64, [], [rounds]))
    graph.node.append(helper.make_node("Loop", ["rounds", "", "logits_after"], ["logits"], body=body))
