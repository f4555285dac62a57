"""A data set opens with its classes, severities, groups, parts and folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.records import SEVERITIES
from tests.training.data.conftest import run
from training.data.dataset import open_data_set, sample_group
from training.draw.synthetic import CLASSES, write_data_set


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("040617_3_S0410018.png", "040617_3_S"),
        ("021519_3_1426C-100cyc0008.png", "021519_3_1426C-100cyc"),
        ("AN_60_7days_003.tif", "AN_60_7days"),
        ("coupon 4/overview-12.tif", "coupon 4/overview"),
        ("0012.png", "0012"),
    ],
)
def test_a_group_is_the_name_without_its_number(path: str, group: str) -> None:
    assert sample_group(path) == group


def test_training_reads_the_parts_and_folds(data: Path) -> None:
    prepared = run(data)
    data_set = open_data_set(prepared.folder)
    assert data_set.prepared
    assert data_set.folds == 3
    assert data_set.sha256 == prepared.record["sha256"]
    train, val, test = data_set.parts()
    assert data_set.split(0.06) == (train, val)
    for learnt, scored in ((train, val), (train, test), (train + val, test), *(data_set.fold(n) for n in range(3))):
        assert not {image.group for image in learnt} & {image.group for image in scored}
        assert all(image.origin is None for image in scored)
    assert any(image.origin for image in train)
    scored_once = [image.path for n in range(3) for image in data_set.fold(n)[1]]
    assert sorted(scored_once) == sorted(image.path for image in data_set.images if image.part != "test" and not image.origin)


def test_a_fold_that_was_not_prepared_is_refused(data: Path) -> None:
    with pytest.raises(ConfigError, match="no fold 3"):
        open_data_set(run(data).folder).fold(3)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data_set(folder, images=24, seed=50, size_px=(96, 96))
    return folder


def test_a_written_data_set_can_be_opened(drawn: Path) -> None:
    data_set = open_data_set(drawn)
    assert data_set.classes == CLASSES
    assert len(data_set.images) == 24
    assert {image.severity for image in data_set.images} == set(SEVERITIES)


def test_a_data_sets_hash_changes_with_a_label(drawn: Path) -> None:
    before = open_data_set(drawn).sha256
    label = next((drawn / "labels").iterdir())
    text = label.read_text()
    label.write_text(text + "0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    changed = open_data_set(drawn).sha256
    label.write_text(text)
    assert changed != before
    assert open_data_set(drawn).sha256 == before


def test_a_group_is_never_on_both_sides_of_a_split(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = ["image,severity,group"]
    for index in range(30):
        (tmp_path / "images" / f"{index}.png").write_bytes(b"")
        rows.append(f"{index}.png,low,sample {index % 6}")
    (tmp_path / "samples.csv").write_text("\n".join(rows))
    kept, held_out = open_data_set(tmp_path).split(0.3)
    assert len(kept) + len(held_out) == 30
    assert held_out
    assert not {image.group for image in kept} & {image.group for image in held_out}


def test_severity_comes_from_the_name_where_no_table_says_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "AN_60_14days_01.tif").write_bytes(b"")
    assert open_data_set(tmp_path).images[0].severity == "severe"


def test_one_group_cannot_be_split_honestly(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="one group"):
        open_data_set(tmp_path).split(0.2)


def test_an_unknown_severity_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    (tmp_path / "samples.csv").write_text("image,severity\na.png,awful\n")
    with pytest.raises(ConfigError, match="awful"):
        open_data_set(tmp_path)
