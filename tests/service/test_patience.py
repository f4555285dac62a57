"""Until when more bytes are worth waiting for."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest

from edge.config import WatchSettings
from edge.errors import ImageError
from edge.folder.file import FileBusyError
from edge.records import FileBytes, Micrograph
from edge.service.patience import READ_AGAIN_S, after_decoding, before_decoding, may_be_read_soon, while_busy
from edge.service.shared import Arrival
from tests.sem.making import encoded, fei, specimen, tiff

WATCH = WatchSettings.model_validate({"folder": "/", "incomplete_s": 60.0, "sidecar_wait_s": 2.0})
SCALED = tiff(specimen(), {34682: fei()})


def file(data: bytes, **sidecars: bytes) -> FileBytes:
    return FileBytes(data, hashlib.sha256(data).hexdigest(), len(data), 1, sidecars)


def micrograph(*warnings: str) -> Micrograph:
    return Micrograph(np.zeros((8, 8), np.uint8), 8, 8, warnings=warnings)


@pytest.mark.parametrize("closed", [True, False])
def test_what_is_provably_not_whole_is_waited_for_whoever_closed_it(closed: bool) -> None:
    assert before_decoding(WATCH, Arrival(5.0, closed), file(SCALED[:-1]), "a.tif") == 65.0
    assert before_decoding(WATCH, Arrival(5.0, closed), file(SCALED), "a.tif") is None


def test_a_sidecar_is_waited_for_where_the_file_has_no_scale_and_none_is_there() -> None:
    data = tiff(specimen())
    assert before_decoding(WATCH, Arrival(5.0), file(data), "a.tif") == 7.0
    assert before_decoding(WATCH, Arrival(5.0), file(data, **{"a.txt": b"$"}), "a.tif") is None


def test_what_was_there_for_long_is_not_waited_for() -> None:
    assert before_decoding(WATCH, Arrival(5.0, old=True), file(SCALED[:-1]), "a.tif") is None
    assert after_decoding(WATCH, Arrival(5.0, old=True), ImageError("truncated", "x")) is None


@pytest.mark.parametrize("code", ["truncated", "damaged", "empty", "not_an_image"])
def test_a_failure_that_more_bytes_may_mend_is_waited_for_unless_its_writer_was_done(code: str) -> None:
    error = ImageError(code, "x")  # type: ignore[arg-type]
    assert after_decoding(WATCH, Arrival(5.0), error) == 65.0
    assert after_decoding(WATCH, Arrival(5.0, closed=True), error) is None


@pytest.mark.parametrize("code", ["too_large", "unsupported", "outside_folder", "not_a_file", "internal"])
def test_a_failure_that_no_bytes_can_mend_is_told_at_once(code: str) -> None:
    assert after_decoding(WATCH, Arrival(5.0), ImageError(code, "x")) is None  # type: ignore[arg-type]


def test_what_changes_while_it_is_read_is_read_again_soon_but_not_for_ever() -> None:
    now = time.monotonic()
    error = ImageError("still_changing", "x")
    until = after_decoding(WATCH, Arrival(now, closed=True), error)
    assert until is not None
    assert now < until <= time.monotonic() + WATCH.settle_s
    over = after_decoding(WATCH, Arrival(now - 60.0), error)
    assert over is not None
    assert over <= now


@pytest.mark.parametrize("warning", ["zero_rows: x", "damaged: x", "metadata_cut: x"])
def test_doubtful_pixels_are_waited_for(warning: str) -> None:
    assert after_decoding(WATCH, Arrival(5.0), [micrograph(), micrograph("flat: x", warning)]) == 65.0
    assert after_decoding(WATCH, Arrival(5.0), [micrograph("flat: x")]) is None


def test_black_rows_of_a_file_that_proves_them_are_not_waited_for() -> None:
    black = np.zeros((64, 64), np.uint8)
    for data in (encoded(black, ".png"), encoded(black, ".jpg")):
        assert after_decoding(WATCH, Arrival(5.0), [micrograph("zero_rows: x")], data) is None
        assert after_decoding(WATCH, Arrival(5.0), [micrograph("zero_rows: x", "damaged: x")], data) == 65.0
    assert after_decoding(WATCH, Arrival(5.0), [micrograph("zero_rows: x")], tiff(black)) == 65.0


def test_a_file_that_cannot_be_read_is_waited_for_from_the_first_refusal_however_old_it_is() -> None:
    busy, now = FileBusyError("unreadable", "x"), time.monotonic()
    until, refused = while_busy(WATCH, Arrival(now - 1e6, closed=True, old=True), busy)
    assert until is not None
    assert now < until <= time.monotonic() + READ_AGAIN_S
    assert refused.refused_at is not None
    assert may_be_read_soon(WATCH, refused)
    assert while_busy(WATCH, refused, busy)[1] == refused
    over = replace(refused, refused_at=now - WATCH.incomplete_s)
    assert while_busy(WATCH, over, busy) == (None, over)
    assert not may_be_read_soon(WATCH, over)


def test_other_failures_are_no_reason_to_read_again() -> None:
    assert while_busy(WATCH, Arrival(5.0), ImageError("unreadable", "x")) == (None, Arrival(5.0))
