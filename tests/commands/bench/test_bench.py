"""`edge-bench`: figures that the samples allow, runs that may be compared, and the command as it is typed."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import crop
from edge.commands.bench import energy, environment, report, rival, statistics
from edge.commands.bench.command import Options, run
from edge.commands.bench.comparison import compare, load
from edge.commands.bench.end_to_end import Arrival
from edge.commands.bench.energy import UnavailableError
from edge.commands.bench.scenarios import IMAGES_A_QUERY, STAGES, Bench, Watched, WatchedCroppingNetwork, with_backend
from edge.commands.cli import bench as command
from edge.config import CommandSettings, change
from edge.errors import BackendError, ConfigError
from edge.samples import sample_files
from tests.fakes.brokers import needs_mosquitto

SAMPLES = [path for path in sample_files() if "_1h_" in path.name]
"""Two with few regions, which are quick."""
TINY = ["--duration", "0.01", "--backend", "onnxruntime"]


def settings(**sections: dict[str, Any]) -> CommandSettings:
    return change(CommandSettings(), {"watch": {"sidecar_wait_s": 0.0}, **sections})


# Statistics


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(0).gamma(3.0, 10.0, 7000)
    found = statistics.summarise(values)
    expected = {name: np.percentile(values, at) for name, at in statistics.PERCENTILES.items()}
    assert found.percentiles == pytest.approx(expected)
    assert found.too_few == {}
    assert found.mean == pytest.approx(values.mean())
    assert found.cv == pytest.approx(values.std(ddof=1) / values.mean())


@pytest.mark.parametrize(("percentile", "least"), [(90.0, 64), (99.0, 662)])
def test_least_numbers_of_samples_are_mlperfs(percentile: float, least: int) -> None:
    assert statistics.least_samples(percentile) == least


@pytest.mark.parametrize(
    ("n", "given"), [(1, {"p50"}), (63, {"p50"}), (64, {"p50", "p90"}), (662, {"p50", "p90", "p95", "p99"})]
)
def test_a_percentile_that_the_samples_do_not_allow_is_not_given(n: int, given: set[str]) -> None:
    found = statistics.summarise(np.arange(1.0, n + 1)).document()
    assert {name for name in statistics.PERCENTILES if found[name] is not None} == given


def test_what_is_not_given_is_labelled_with_how_many_it_needs() -> None:
    assert statistics.summarise([1.0] * 100).too_few == {"p95": 130, "p99": 662, "p99_9": 6636}


def test_one_sample_has_no_variation_and_none_is_refused() -> None:
    assert statistics.summarise([5.0]).cv is None
    with pytest.raises(ValueError, match="no samples"):
        statistics.summarise([])


def test_images_of_different_cost_are_no_unrest() -> None:
    assert statistics.relative_to_own([10.0, 90.0] * 20, 2).std() == 0.0


def test_a_machine_that_becomes_slower_drifts() -> None:
    relative = statistics.relative_to_own([10.0, 90.0] * 10 + [12.0, 108.0] * 10, 2)
    assert statistics.drift(relative) == pytest.approx(1.2)
    assert statistics.drift(relative[:3]) is None


def test_the_interval_of_a_ratio_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(60):
        above, below = 12.0 + rng.normal(0, 1, 40), 10.0 + rng.normal(0, 1, 40)
        ratio = statistics.ratio_of_runs(above, below, 1, seed=seed)
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1.2 <= ratio.high
    assert held >= 51


def test_two_runs_that_differ_by_their_images_alone_have_a_ratio_of_exactly_one() -> None:
    ratio = statistics.ratio_of_runs([10.0, 90.0] * 30, [10.0, 90.0] * 10, 2, statistics.median_of)
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)


def test_what_slows_both_of_a_pair_cancels() -> None:
    trouble = np.random.default_rng(2).uniform(1, 5, 12)
    ratio = statistics.ratio_of_pairs(30 * trouble, 10 * trouble)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_too_little_to_resample_gives_no_interval() -> None:
    assert statistics.ratio_of_runs([1.0, 2.0], [1.0, 2.0], 2).low is None
    assert statistics.ratio_of_pairs([1.0], [1.0]).low is None


# The command


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of a run over two samples, with a picture beside it."""
    folder = tmp_path_factory.mktemp("bench")
    arguments = [*map(str, SAMPLES), *TINY, "--json", str(folder / "run.json"), "--plot", str(folder / "run.svg")]
    assert command(arguments) == 0
    return folder / "run.json"


@pytest.fixture
def document(measured: Path) -> dict[str, Any]:
    return dict(json.loads(measured.read_text()))


def test_the_document_has_what_is_promised(document: dict[str, Any]) -> None:
    assert document["schema"] == "edge.bench/1"
    assert document.keys() >= {"environment", "scenarios", "stages", "models", "images", "settings", "warnings"}
    assert [one["scenario"] for one in document["scenarios"]] == ["single-stream", "multi-stream", "offline"]
    assert [image["sha256"] for image in document["images"]] == [parity_hash(path) for path in SAMPLES]
    assert document["models"]["segment"]["sha256"]
    for one in document["scenarios"]:
        assert one["throughput"] > 0
        assert list(one["stages"]) == list(STAGES)
        assert len(one["samples"]) == one["images"]
        assert len(one["queries_ms"]) * one["images_a_query"] == one["images"]


def parity_hash(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_does_not_exist_on_a_processor_is_null_and_not_zero(document: dict[str, Any]) -> None:
    assert document["stages"]["h2d"] is None
    assert document["stages"]["d2h"] is None
    assert document["scenarios"][2]["latency_ms"] is None
    assert document["rival"] is None
    assert document["mqtt"] is None


def test_the_stages_of_an_image_add_up_to_all_of_it(document: dict[str, Any]) -> None:
    for one in document["scenarios"]:
        for sample in one["samples"]:
            spent = sum(value for name in STAGES if (value := sample[name]) is not None)
            assert spent == pytest.approx(sample["total_ms"], abs=0.01)
            assert sample["rest"] > -0.01
        assert sum(stage["share"] for stage in one["stages"].values() if stage) == pytest.approx(1.0, abs=1e-3)


def test_whole_rounds_are_measured_so_that_every_image_counts_alike(document: dict[str, Any]) -> None:
    for one in document["scenarios"]:
        names = [sample["image"] for sample in one["samples"]]
        assert names.count(SAMPLES[0].name) == names.count(SAMPLES[1].name)


def test_too_few_samples_are_warned_of(document: dict[str, Any]) -> None:
    assert any("too few samples" in warning for warning in document["warnings"])
    assert "p90" in document["scenarios"][0]["latency_ms"]["too_few"]


def test_the_picture_shows_every_scenario(measured: Path) -> None:
    drawn = ElementTree.fromstring(measured.with_suffix(".svg").read_text())
    said = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert {"single-stream", "multi-stream", "offline", "classify"} <= set(said)
    assert any(text and text.startswith("Latency, single-stream, onnxruntime") for text in said)


def test_the_table_says_what_the_json_says(document: dict[str, Any]) -> None:
    table = report.table(document)
    assert f"single-stream, onnxruntime float32: {document['scenarios'][0]['throughput']:.2f} images/s" in table
    assert f"{document['stages']['classify']['mean']:.2f}" in table
    assert "h2d" not in table


def test_the_shipped_samples_are_taken_when_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edge.commands.bench.command.sample_files", lambda: SAMPLES[:1])
    assert command([*TINY, "--scenario", "single-stream", "--json", str(tmp_path / "run.json")]) == 0
    assert [image["name"] for image in json.loads((tmp_path / "run.json").read_text())["images"]] == [SAMPLES[0].name]


def test_an_image_that_cannot_be_read_is_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no image")
    assert command([str(broken), str(SAMPLES[0]), *TINY, "--scenario", "offline"]) == 1
    assert "left out" in capsys.readouterr().err
    assert command([str(broken), *TINY]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenario", "server"],
        ["--duration", "0"],
        ["--plot", "picture.png"],
        ["--backend", "no-such-one"],
        ["--rival", "ultralytics"],
        ["--compare", "no-such-file.json"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    try:
        status = command([str(SAMPLES[0]), *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 2


# Scenarios


def test_stages_that_are_not_run_are_not_reported() -> None:
    with Bench(with_backend(settings(inspect={"stages": "segment"}, mqtt={"overlay": False}), "onnxruntime"), "float32") as one:
        sample, _ = one.inspect(SAMPLES[0])
    assert {name for name, value in sample.stages.items() if value is None} == {"h2d", "d2h", "crops", "classify", "overlay"}


def test_a_network_that_draws_its_own_input_stays_one_while_it_is_watched() -> None:
    class CroppingNetwork:
        name, precision, engine = "gpu", "float16", "engine"

        def run_on_crops(self, *_: Any) -> dict[str, Any]:
            return {"seen": True}

        def close(self) -> None: ...

    watched = WatchedCroppingNetwork(CroppingNetwork())  # type: ignore[arg-type]
    assert watched.run_on_crops(np.zeros((4, 4), np.uint8), [], 4, 4) == {"seen": True}
    assert watched.spent_ms > 0
    assert watched.engine == "engine"


class Still:
    """A network that gives back what it gets."""

    name, precision = "cpu", "float32"

    def run(self, image: Any) -> dict[str, Any]:
        return {"image": image}


def test_a_watched_network_notes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 1.25])
    monkeypatch.setattr("edge.commands.bench.scenarios.time.perf_counter", lambda: next(moments))

    inner: Any = Still()
    watched = Watched(inner)
    watched.run(np.zeros((1, 1, 4, 4), np.uint8))
    assert watched.spent_ms == 250.0
    assert watched.drawing_ms == 0


def test_drawing_the_input_is_told_apart_from_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 1.5, 2.0, 2.25])
    monkeypatch.setattr("edge.commands.bench.scenarios.time.perf_counter", lambda: next(moments))

    inner: Any = Still()
    watched = Watched(inner)
    seen = crop.run_on_crops(watched, np.full((8, 8), 7, np.uint8), [crop.Crop(0, 0, 8, 8, 4, 4)] * 3, 4, 6)
    assert seen["image"].shape == (3, 1, 4, 6)
    assert (watched.drawing_ms, watched.spent_ms) == (500.0, 250.0)


def test_an_error_in_the_decode_thread_is_raised_where_the_image_is_waited_for(tmp_path: Path) -> None:
    from edge.errors import ImageError

    with Bench(with_backend(settings(), "onnxruntime"), "float32") as one, pytest.raises(ImageError):
        one.run("multi-stream", [tmp_path / "gone.tif"], 0.01)


def test_a_query_of_multi_stream_has_eight_images() -> None:
    assert IMAGES_A_QUERY["multi-stream"] == 8


# Environment and energy


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


def write_rapl(folder: Path, microjoules: int) -> None:
    zone = folder / "intel-rapl:0"
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    (zone / "max_energy_range_uj").write_text("1000000\n")
    (folder / "intel-rapl:0:0").mkdir(exist_ok=True)  # a part of the package, which must not be counted twice


def test_energy_comes_from_the_processors_counter_even_when_it_wraps(tmp_path: Path) -> None:
    write_rapl(tmp_path, 900_000)
    with energy.metered((lambda: energy.Rapl(tmp_path),)) as found:
        write_rapl(tmp_path, 400_000)
    assert found.joules == {"rapl": pytest.approx(0.5)}
    assert found.reason is None


def test_energy_that_nobody_counts_has_a_reason(tmp_path: Path) -> None:
    with energy.metered((lambda: energy.Rapl(tmp_path), lambda: energy.Tegrastats("no-such-command"))) as found:
        pass
    assert found.joules == {}
    assert found.reason is not None
    assert "RAPL" in found.reason
    assert "tegrastats" in found.reason


def test_a_gpus_counter_is_read_in_millijoules() -> None:
    class Library:
        counts = iter([5_000, 12_500])

        def nvmlDeviceGetTotalEnergyConsumption(self, _device: Any, reference: Any) -> int:  # noqa: N802
            reference._obj.value = next(self.counts)
            return 0

        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *_: 0

    library: Any = Library()
    assert energy.Nvml(library).joules() == pytest.approx(7.5)


def test_a_gpu_that_does_not_count_says_so() -> None:
    class Library:
        def nvmlDeviceGetTotalEnergyConsumption(self, *_: Any) -> int:  # noqa: N802
            return 3

        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *_: 0

    library: Any = Library()
    with pytest.raises(UnavailableError, match="does not count"):
        energy.Nvml(library)


def test_a_jetsons_power_is_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "tegrastats"
    fake.write_text("#!/bin/sh\necho 'RAM 1/2MB VDD_IN 4000mW/4000mW'\necho 'VDD_IN 6000mW/5000mW VDD_CPU 1mW/1mW'\n")
    fake.chmod(0o755)
    meter = energy.Tegrastats(str(fake))
    meter._process.wait()
    monkeypatch.setattr("edge.commands.bench.energy.time.monotonic", lambda: meter._started + 2.0)
    assert meter.joules() == pytest.approx(10.0)


# Comparison


def slowed(document: dict[str, Any], factor: float, rounds: int = 40) -> dict[str, Any]:
    """The same run with more rounds, so many times as slow, a little noise in it."""
    other = copy.deepcopy(document)
    rng = np.random.default_rng(3)
    for one in other["scenarios"]:
        one["queries_ms"] = [
            float(value * factor * rng.uniform(0.98, 1.02))
            for _ in range(rounds)
            for value in one["queries_ms"][: one["period"]]
        ]
    return other


def test_a_run_that_is_slower_beyond_the_limit_fails(document: dict[str, Any]) -> None:
    change = compare(slowed(document, 1.0), slowed(document, 1.25)).changes[0]
    assert change.time.value == pytest.approx(1.25, abs=0.02)
    assert change.time.low is not None
    assert change.time.low > 1.2
    assert change.worse_than(1.10)
    assert not change.worse_than(1.50)


def test_a_faster_run_does_not_fail(document: dict[str, Any]) -> None:
    found = compare(slowed(document, 1.0), slowed(document, 0.8))
    assert not found.document(1.10)["failed"]
    assert [change.scenario for change in found.changes] == ["single-stream", "multi-stream", "offline"]


def test_runs_on_other_images_models_or_settings_are_not_compared(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["images"] = other["images"][:1]
    other["models"]["segment"]["version"] = "9.9.9"
    other["settings"]["confidence"] = 0.5
    with pytest.raises(ConfigError) as refused:
        compare(other, document)
    for said in ("images (1 then, 2 now)", "segment: version: 9.9.9 then", "settings (confidence: 0.5 then, 0.25 now)"):
        assert said in str(refused.value)


def test_runs_without_a_common_backend_are_not_compared(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    for one in other["scenarios"]:
        one["backend"] = "tensorrt"
    with pytest.raises(ConfigError, match="no backend and scenario in common: single-stream on tensorrt"):
        compare(other, document)


def test_other_versions_of_libraries_are_compared_and_named(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["environment"]["versions"]["numpy"] = "0.1"
    assert any(version.startswith("numpy 0.1 → ") for version in compare(other, document).versions)


def test_the_exit_status_tells_whether_it_became_worse(document: dict[str, Any], tmp_path: Path) -> None:
    for factor, status in ((1000.0, 0), (0.001, 1)):
        earlier = tmp_path / "earlier.json"
        earlier.write_text(json.dumps(slowed(document, factor)))
        arguments = [*map(str, SAMPLES), *TINY, "--scenario", "single-stream", "--compare", str(earlier)]
        assert command(arguments) == status


def test_a_file_of_another_kind_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"schema": "edge.demo/1"}')
    with pytest.raises(ConfigError, match="is no edge"):
        load(tmp_path / "other.json")


# The rival


RIVAL = """
import json, sys
options = json.loads(sys.argv[-1])
for line in sys.stdin:
    one = {"decode": 5.0, "letterbox": 1.0, "segment": 500.0, "masks": 1.0, "crops": 1.0, "classify": 9e6, "total": 1e7}
    one |= {"boxes": [[1, 2, 3, 4]], "severity": "low"}
    answer = {"ready": {"torch": "0", "device": "cuda"}, "samples": [one] * len(options["images"]), "cpu_s": 1.0, "wall_s": 1.0}
    print(json.dumps({**answer, "threads": options["threads"]}), flush=True)
"""


@pytest.fixture
def slow_rival(tmp_path: Path) -> Path:
    """Something that speaks the rival's protocol and says that an image takes it 10,000 s."""
    (tmp_path / "rival.py").write_text(RIVAL)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "rival.py"}" "$@"\n')
    script.chmod(0o755)
    return script


def test_a_rival_is_measured_in_turns_and_its_ratio_told(
    slow_rival: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pt"
    weights.touch()
    options = ["--rival", "ultralytics", "--rival-python", str(slow_rival)]
    options += ["--checkpoint", str(weights), "--classifier-checkpoint", str(weights)]
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", *options, "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["rival"]["throughput_ratio"] > 10
    assert found["rival"]["block_pairs"] % 2 == 0
    assert len(found["rival"]["blocks_ms"]["ours"]) == len(found["rival"]["blocks_ms"]["rival"])
    assert found["rival"]["stages"]["segment"]["rival_ms"] == 500.0
    for doubt in ("finds other regions", "runs on cuda, ours on cpu"):
        assert any(doubt in warning for warning in found["warnings"])
    assert "times its throughput" in capsys.readouterr().out


def test_a_rival_that_cannot_run_says_why(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nread line\necho \'{"error": "ImportError: no torch"}\'\n')
    script.chmod(0o755)
    with rival.rival_process({}, str(script)) as other, pytest.raises(BackendError, match="no torch"):
        other.ask({"do": "block"})


def test_a_rival_that_ends_is_told(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nread line\nexit 3\n")
    script.chmod(0o755)
    with rival.rival_process({}, str(script)) as other, pytest.raises(BackendError, match="status 3"):
        other.ask({"do": "block"})


def test_regions_agree_when_each_has_a_partner() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 20, 20]], float)
    nothing = np.empty((0, 4))
    assert rival.agreement([(boxes, boxes[::-1])]) == 1.0
    assert rival.agreement([(boxes, boxes[:1])]) == pytest.approx(2 / 3)
    assert rival.agreement([(boxes, boxes[[0, 0]])]) == pytest.approx(0.5)
    assert rival.agreement([(boxes, nothing)]) == 0.0
    assert rival.agreement([(nothing, nothing)]) == 1.0


def test_the_rivals_own_answers_hold_a_question_that_nobody_knows() -> None:
    pytest.importorskip("torch")
    from training.score.rival import main

    answers = io.StringIO()
    assert main("{}", io.StringIO('{"do": "block"}\n'), answers) == 1
    assert "error" in json.loads(answers.getvalue())


def test_the_real_rival_finds_the_same_regions(tmp_path: Path) -> None:
    for name in ("torch", "ultralytics", "timm"):
        pytest.importorskip(name)
    from edge.models.card import Training
    from export.to_onnx import Checkpoint, classification_network, export_classifier, export_segmenter, segmentation_network

    about = Training(data="none", data_sha256="0" * 64, initialised_from="none", epochs=0, images=0, seed=0, command="test")
    severities = ("low", "moderate", "severe")
    segmenter = Checkpoint("segment", "yolov8n-seg", ("pit",), segmentation_network(("pit",)).state_dict(), about)
    network = classification_network("efficientnet_b0", 3)
    classifier = Checkpoint("classify", "efficientnet_b0", severities, network.state_dict(), about)
    models = {}
    for name, checkpoint, export in (("segmenter", segmenter, export_segmenter), ("classifier", classifier, export_classifier)):
        checkpoint.save(tmp_path / f"{name}.pt")
        models[name] = str(export(checkpoint, tmp_path / "models"))
    options = Options(
        paths=tuple(SAMPLES[:1]),
        backends=("onnxruntime",),
        scenarios=("single-stream",),
        duration_s=0.01,
        json=tmp_path / "run.json",
        rival="ultralytics",
        checkpoint=tmp_path / "segmenter.pt",
        classifier_checkpoint=tmp_path / "classifier.pt",
    )
    assert run(options, settings(models=models, inspect={"confidence": 0.9})) == 0
    found = json.loads((tmp_path / "run.json").read_text())["rival"]
    assert found["throughput_ratio"] > 0
    assert found["same_work"]["severity_agreement"] == 1.0
    assert found["rival"]["threads"] == found["threads"]


# From the file to the broker


def test_the_networks_time_is_taken_off_but_not_what_is_drawn_for_them() -> None:
    arrival = Arrival("a.tif", 100.0, {"segment": 30.0, "classify": 50.0})
    assert arrival.beside_networks({"a.tif": 6.0}) == 26.0
    assert arrival.beside_networks({}) == 20.0


@needs_mosquitto
def test_the_way_to_the_broker_is_measured_with_the_real_daemon(tmp_path: Path) -> None:
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", "--mqtt", "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    found = json.loads((tmp_path / "run.json").read_text())["mqtt"]
    assert found["reason"] is None
    assert (found["broker"], found["protocol"]) == ("mosquitto", "MQTT 5")
    assert found["n"] >= 1
    networks = found["stages"]["segment"]["mean"] + found["stages"]["classify"]["mean"]
    assert found["latency_ms"]["mean"] > networks > 0
    assert 0 < found["beside_networks_ms"]["mean"] < found["latency_ms"]["mean"]


def test_no_broker_is_a_sentence_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import contextmanager

    from edge.commands import demo
    from edge.errors import BrokerError

    @contextmanager
    def missing(_port: int) -> Any:
        raise BrokerError("the embedded broker does not start: pip install amqtt")
        yield

    monkeypatch.setattr("edge.commands.bench.end_to_end.PLACES", str(tmp_path))
    monkeypatch.setattr(demo, "embedded_broker", missing)
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "offline", "--mqtt", "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    assert "pip install amqtt" in json.loads((tmp_path / "run.json").read_text())["mqtt"]["reason"]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import contextlib, sys\nfrom edge.commands.cli import bench\n"
        "with contextlib.suppress(SystemExit): bench(['--help'])\nassert 'numpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
