"""TensorRT's messages: one logger for building and running, whose warnings reach the log."""

from __future__ import annotations

import logging

import pytest

from edge.backends.tensorrt import messages
from tests.backends.tensorrt.toy_engine import opened
from tests.fakes.gpu import Machine
from tests.fakes.tensorrt import SEVERITY


def test_there_is_one_logger_a_library_however_often_it_is_asked_for(gpu: Machine) -> None:
    assert messages.logger(gpu.tensorrt) is messages.logger(gpu.tensorrt)


def test_what_the_first_logger_hears_after_a_build_is_in_the_log(gpu: Machine, caplog: pytest.LogCaptureFixture) -> None:
    builders = messages.logger(gpu.tensorrt)  # TensorRT keeps this one, whatever the runtime gives it
    with opened(gpu):
        caplog.set_level(logging.DEBUG)
        builders.log(SEVERITY.WARNING, "the engine was built for another GPU")
        builders.log(SEVERITY.INFO, "quiet")
    told = [(record.levelname, record.message) for record in caplog.records if "TensorRT" in record.message]
    assert told == [("WARNING", "TensorRT: the engine was built for another GPU"), ("DEBUG", "TensorRT: quiet")]


def test_errors_are_kept_to_be_told_and_never_grow_without_end(gpu: Machine) -> None:
    logger = messages.logger(gpu.tensorrt)
    assert logger.told() == "TensorRT gave no reason"
    for number in range(1000):
        logger.log(SEVERITY.ERROR, f" error {number}\n")
    assert logger.told() == "error 997; error 998; error 999"
    assert len(logger.errors) == messages.MOST_KEPT


def test_only_build_and_run_share_a_logger_no_other_is_made() -> None:
    from edge.backends.tensorrt import engine
    from export import engine_build

    assert engine.messages is messages
    assert engine_build.messages is messages
