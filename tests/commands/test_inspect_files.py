"""`edge-inspect` as it is typed: what it prints, writes and returns."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.commands.cli import inspect
from edge.commands.inspect_files import describe
from edge.inspection.pipeline import Pipeline
from edge.samples import sample_files
from tests.conftest import pitted
from tests.sem.making import encoded, fei, specimen, tiff
from tests.service.running_daemon import valid
from tests.wire.examples import abstained, example, limited, limited_alone, tilted, unmeasured


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = inspect([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def documents(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_json_is_one_valid_line_for_each_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encoded(pitted(160, 120), ".png"))
    (tmp_path / "in" / "b.tif").write_bytes(tiff(specimen(), {34682: fei()}))
    (tmp_path / "in" / "c.tif").write_bytes(b"no image")
    status, out, _ = run(capsys, tmp_path / "in", "--json")
    assert status == 1
    found = documents(out)
    assert [document["image"]["name"] for document in found] == ["a.png", "b.tif", "c.tif"]
    assert all(valid(document) for document in found)
    assert found[2]["error"]["code"] == "not_an_image"
    assert len(found[2]["image"]["sha256"]) == 64
    assert found[0]["corrosion"]["area_um2"] is None
    assert found[1]["image"]["pixel_size_source"] == "metadata"


def test_an_abstained_inspection_is_told_as_such_and_its_guess_as_no_verdict() -> None:
    lines = describe(abstained()).splitlines()
    assert "  severity   not judged (no_contrast); a guess, not to act on: moderate 71%" in lines
    assert "  review     no_contrast: there is nothing to judge" in lines
    assert any(line.startswith("  corrosion  2 regions") for line in lines)
    assert "  severity   moderate 71%, prediction set: low, moderate" in describe(example()).splitlines()


def test_what_is_cut_or_too_small_or_tilted_is_told() -> None:
    measures = replace(example().measures, touches_edge=np.array([True, False]))
    regions = replace(example().regions, below=3)
    text = describe(replace(example(), measures=measures, regions=regions))
    assert "2 regions, 1.03% of the area, 3 too small to count" in text
    assert "µm across, cut by the edge" in text
    assert "µm²" not in describe(tilted())


def test_a_good_image_ends_with_status_0_and_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, sample_files()[0])
    assert status == 0
    assert "severity" in out
    assert "regions" in out or "region" in out


def test_out_holds_picture_and_document_of_every_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("one", "two"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "same.png").write_bytes(encoded(pitted(160, 120), ".png"))
    status, _, _ = run(capsys, tmp_path / "in", "--out", tmp_path / "out")
    assert status == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["same-2.inspection.json", "same-2.overlay.png", "same.inspection.json", "same.overlay.png"]
    assert cv2.imread(str(tmp_path / "out" / "same.overlay.png")) is not None
    assert valid(json.loads((tmp_path / "out" / "same.inspection.json").read_text()))


def test_one_stage_alone_leaves_the_other_null(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, sample_files()[0], "--json", "--stages", "classify")
    (document,) = documents(out)
    assert document["corrosion"] is None
    assert document["regions"] == []
    _, out, _ = run(capsys, sample_files()[0], "--json", "--stages", "segment")
    (document,) = documents(out)
    assert document["severity"] is None


def test_the_same_file_has_the_same_id_in_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    ids = {documents(run(capsys, sample_files()[0], "--json")[1])[0]["inspection_id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_missing_file_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, tmp_path / "nothing.tif", "--json")
    assert status == 1
    assert documents(out)[0]["error"]["code"] == "unreadable"


def test_an_empty_folder_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = run(capsys, tmp_path)
    assert (status, out) == (2, "")
    assert "no image" in error
    assert "*.tif" in error


def test_a_wrong_configuration_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[watch]\nfolder = '/a'\nfoldr = 1\n")
    status, out, error = run(capsys, sample_files()[0], "--config", config)
    assert (status, out) == (2, "")
    assert "watch.foldr: unknown key" in error


def test_a_model_that_is_not_what_its_card_says_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edge.models.card import BUILTIN_FOLDER

    (tmp_path / "m.onnx").write_bytes((BUILTIN_FOLDER / "classifier.onnx").read_bytes() + b"!")
    (tmp_path / "m.json").write_bytes((BUILTIN_FOLDER / "classifier.json").read_bytes())
    config = tmp_path / "c.toml"
    config.write_text(f"[watch]\nfolder = '/a'\n[models]\nclassifier = {json.dumps(str(tmp_path / 'm.onnx'))}\n")
    status, _, error = run(capsys, sample_files()[0], "--config", config)
    assert status == 2
    assert "hashes differ" in error


def test_a_configured_pixel_size_is_used_only_where_the_file_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.png").write_bytes(encoded(pitted(160, 120), ".png"))
    (tmp_path / "fei.tif").write_bytes(tiff(specimen(), {34682: fei()}))
    config = tmp_path / "c.toml"
    config.write_text("[watch]\nfolder = '/a'\n[inspect]\npixel_size_nm = 55.0\n")
    _, out, _ = run(capsys, tmp_path / "plain.png", tmp_path / "fei.tif", "--json", "--config", config)
    plain, own = (document["image"] for document in documents(out))
    assert (plain["pixel_size_nm"], plain["pixel_size_source"]) == (55.0, "config")
    assert own["pixel_size_source"] == "metadata"


def test_a_configuration_needs_no_watched_folder_and_its_patterns_and_names_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    for name in ("a.png", "b.bmp", "below/c.png"):
        (tmp_path / "in" / name).write_bytes(encoded(pitted(160, 120), Path(name).suffix))
    config = tmp_path / "c.toml"
    config.write_text("[watch]\npatterns = ['*.png']\nrecursive = false\n[device]\nid = 'sem-07'\n")
    status, out, _ = run(capsys, tmp_path / "in", "--json", "--config", config)
    assert status == 0
    (document,) = documents(out)
    assert document["image"]["name"] == "a.png"
    assert document["device"]["id"] == "sem-07"


def test_a_severity_by_limits_is_told_with_what_the_network_said() -> None:
    assert "  severity   severe (limits); the network says moderate 71%" in describe(limited()).splitlines()
    assert "  severity   severe (limits)" in describe(limited_alone()).splitlines()
    said = describe(unmeasured()).splitlines()
    assert "  severity   not judged (limit_unmeasured); a guess, not to act on: severe" in said
    assert "  review     limit_unmeasured: largest_um cannot be measured" in said


def test_a_table_holds_a_row_an_image_and_failures_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "=a.png").write_bytes(encoded(pitted(160, 120), ".png"))
    (tmp_path / "in" / "b.tif").write_bytes(b"no image")
    status, out, err = run(capsys, tmp_path / "in", "--csv", tmp_path / "t.csv", "--pixel-size-nm", "5")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()))
    assert status == 1
    assert [(row["path"], row["error_code"]) for row in rows] == [("'=a.png", ""), ("b.tif", "not_an_image")]
    assert (rows[0]["pixel_size_nm"], rows[0]["pixel_size_source"]) == ("5.0", "config")
    assert float(rows[0]["field_um2"]) > 0
    assert "severity" in out
    assert "edge-inspect: 2 files in" in err
    assert "failed" not in out
    status, out, err = run(capsys, tmp_path / "in", "--csv", "-")
    assert [row["path"] for row in csv.DictReader(out.splitlines())] == ["'=a.png", "b.tif"]


def test_what_was_done_before_ctrl_c_is_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(encoded(pitted(160, 120), ".png"))
    real = Pipeline.inspect

    def stopped(self: Pipeline, page: Any, source: Any, **rest: Any) -> Any:
        if source.name == "b.png":
            raise KeyboardInterrupt
        return real(self, page, source, **rest)

    monkeypatch.setattr(Pipeline, "inspect", stopped)
    status, _, err = run(capsys, tmp_path, "--csv", tmp_path / "t.csv")
    assert status == 130
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 2
    assert "1 file in" in err
    assert "stopped before the other 1" in err


@pytest.mark.parametrize("wrong", ["0", "-3", "nan", "inf", "5um", ""])
def test_what_is_no_pixel_size_is_refused_in_one_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        inspect(["a.tif", f"--pixel-size-nm={wrong}"])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--pixel-size-nm: must be" in told


@pytest.mark.parametrize(("nm", "told"), [("5000000", "is it in nanometres"), ("0.0001", "is it in nanometres"), ("5", "")])
def test_a_field_that_no_microscope_has_is_asked_about(
    nm: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(encoded(pitted(160, 120), ".png"))
    status, _, err = run(capsys, tmp_path / "a.png", "--pixel-size-nm", nm, "--json")
    assert status == 0
    assert (told in err) == bool(told) or not told
    assert bool(err) == bool(told)


def test_a_name_that_is_no_utf8_is_printed_with_its_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = tmp_path / "a_\udcff.png"
    try:
        name.write_bytes(encoded(pitted(160, 120), ".png"))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names alone")
    status, out, _ = run(capsys, name)
    assert status == 0
    assert out.startswith("a_\\xff.png\n")


def test_an_out_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(pitted(160, 120), ".png"))
    status, _, err = run(capsys, tmp_path / "a.png", "--out", tmp_path / "a.png")
    assert status == 2
    assert "is no folder" in err
