"""The machine as it is described, and whose work is whose."""

from __future__ import annotations

from typing import Any

from edge.commands.bench import environment


def test_the_environment_of_this_machine_is_described(document: dict[str, Any]) -> None:
    found = document["environment"]
    assert found["cpu"]["model"]
    assert found["cpu"]["cores_usable"] >= 1
    assert found["memory_mib"] > 0
    assert found["versions"].keys() >= {"edge", "python", "numpy", "onnxruntime"}
    machine = document["scenarios"][0]["machine"]
    assert machine["cores_used"] > 0
    assert machine["peak_rss_mib"] > 30


def test_the_work_of_others_is_not_taken_for_ours() -> None:
    before = environment._own_seconds()
    with environment.watched() as meanwhile:
        sum(range(200_000))
    assert meanwhile.cores_used <= (environment._own_seconds() - before) / meanwhile.wall_s + 0.05
