"""Heads that vote: which of them are listened to, and that a score that was not learnt from is what it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from edge.teach import heads
from edge.teach.heads import Fields, committee


def fields(count: int = 24, classes: int = 3, *, images: int | None = None, of_embedding: bool = False) -> Fields:
    """Classes that follow from log_area, or from the first number of the embedding."""
    random = np.random.default_rng(1)
    numbers, embeddings = random.normal(size=(count, 3)), random.normal(size=(count, 20))
    speaks = embeddings[:, 0] if of_embedding else numbers[:, 0]
    order = np.argsort(np.argsort(speaks))
    return Fields(
        names=("log_area", "largest", "contrast"),
        numbers=numbers,
        embeddings=embeddings * (np.arange(20) == 0) * 5 + embeddings if of_embedding else embeddings,
        classes=(order * classes // count).astype(np.intp),
        images=np.arange(count, dtype=np.intp) % (images or count),
        count=classes,
    )


def test_the_number_that_tells_the_classes_has_most_of_the_votes() -> None:
    votes = {(head.numbers, bool(head.embedding)): head.vote for head in committee(fields(), rising=True)}
    assert sum(votes.values()) == pytest.approx(1)
    assert max(votes, key=lambda way: votes[way]) == (("log_area",), False)
    assert votes[("log_area",), False] > 0.5


def test_what_only_the_embedding_tells_is_heard() -> None:
    votes = sum(head.vote for head in committee(fields(40, 2, of_embedding=True), rising=False) if head.embedding)
    assert votes > 0.5


def test_a_single_number_that_falls_with_the_class_is_not_asked_where_classes_rise_with_corrosion() -> None:
    turned = fields()
    turned = Fields(turned.names, -turned.numbers, turned.embeddings, turned.classes, turned.images, 3)
    single = [head for head in committee(turned, rising=True) if head.numbers == ("log_area",)]
    assert not single
    assert any(head.numbers == ("log_area",) for head in committee(turned, rising=False))


def test_scores_in_closed_form_are_those_of_a_fit_without_the_image() -> None:
    some = fields(12, images=4)
    rows = some.numbers
    wanted = (some.classes - 1.0)[:, None]
    inverse = np.linalg.inv(rows @ rows.T + heads.BIAS + 0.3 * np.eye(12))
    left_out = wanted - heads._unlearnt(inverse, inverse @ wanted, some.images)
    for image in range(4):
        kept, out = some.images != image, some.images == image
        dual = np.linalg.solve(rows[kept] @ rows[kept].T + heads.BIAS + 0.3 * np.eye(int(kept.sum())), wanted[kept])
        assert left_out[out] == pytest.approx((rows[out] @ rows[kept].T + heads.BIAS) @ dual)


def test_a_class_with_one_field_and_fields_that_are_all_alike_are_fitted() -> None:
    rare = fields(9)
    rare = Fields(rare.names, rare.numbers, rare.embeddings, np.array([0, 0, 0, 0, 1, 1, 1, 1, 2]), rare.images, 3)
    alike = Fields(rare.names, rare.numbers * 0, rare.embeddings * 0, rare.classes, rare.images, 3)
    for one in (rare, alike):
        assert sum(head.vote for head in committee(one, rising=True)) == pytest.approx(1)
