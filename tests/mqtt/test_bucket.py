"""So many at once, then so many a second."""

from __future__ import annotations

from edge.mqtt.bucket import Bucket


def test_a_bucket_gives_what_it_holds_and_fills_with_time() -> None:
    now = [100.0]
    bucket = Bucket(3, 0.5, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] += 4.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_a_bucket_never_holds_more_than_it_can() -> None:
    now = [0.0]
    bucket = Bucket(2, 1.0, lambda: now[0])
    now[0] = 1e9
    assert [bucket.take() for _ in range(3)] == [True, True, False]
