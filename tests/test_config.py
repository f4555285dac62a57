"""Settings: what is accepted, and how a refusal reads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edge.backends import table
from edge.config import InspectionSettings, Settings, change, load, load_for_command, parse
from edge.errors import ConfigError
from tests import ROOT
from tests.conftest import settings_for

EXAMPLE = ROOT / "systemd" / "config.toml"


def refused(raw: dict[str, object], environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(raw, environment or {})
    return str(caught.value)


KEY = "RWTilbA9I/VygqDQE/dfcFgeZJT1dj2M/xf0BYRUyVIGsjtH9c2FtxXj"


def test_the_shipped_example_is_valid() -> None:
    assert load(EXAMPLE, {}).topic_prefix == "plant-1/lab/sem/sem-01"


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    message = refused({"watch": {"folder": "/a", "patern": ["*.tif"]}})
    assert "watch.patern: unknown key, perhaps patterns; known here: " in message
    assert "patterns" in message


def test_every_wrong_key_is_named_at_once() -> None:
    message = refused({"watch": {"folder": "/a", "settle_s": -1}, "mqtt": {"port": 0}, "nonsense": {}})
    assert all(name in message for name in ("watch.settle_s", "mqtt.port", "nonsense"))


def test_a_missing_folder_is_named() -> None:
    assert "watch: missing" in refused({})


def test_the_environment_overrides_the_file() -> None:
    settings = parse(
        {"watch": {"folder": "/a"}}, {"EDGE_MQTT__PORT": "1999", "EDGE_WATCH__FOLDER": "/b", "EDGE_MQTT__TLS": "true"}
    )
    assert (settings.mqtt.port, str(settings.watch.folder), settings.mqtt.tls) == (1999, "/b", True)


def test_a_wrong_variable_is_refused_too() -> None:
    assert "mqtt.prot: unknown key" in refused({"watch": {"folder": "/a"}}, {"EDGE_MQTT__PROT": "1"})


@pytest.mark.parametrize("name", ["a/b", "a+b", "#", "", "a\nb", "$SYS"])
def test_a_name_that_would_break_a_topic_is_refused(name: str) -> None:
    assert "device.id" in refused({"watch": {"folder": "/a"}, "device": {"id": name}})


def test_a_state_folder_in_the_watched_folder_is_refused() -> None:
    assert "must not lie in" in refused({"watch": {"folder": "/a"}, "state": {"folder": "/a/state"}})


@pytest.mark.parametrize("topics", ["#", "+", "a/+/b", "answers/#", "a//b", "/a", "$SYS/x"])
def test_answers_may_be_allowed_below_any_topic_filter(topics: str) -> None:
    settings = parse({"watch": {"folder": "/a"}}, {"EDGE_MQTT__RESPONSE_TOPICS": f'["{topics}"]'})
    assert settings.mqtt.response_topics == (topics,)


@pytest.mark.parametrize("topics", ["", "a#", "a/#/b", "a+/b", "+a", "##", "a\nb"])
def test_what_is_no_topic_filter_is_refused(topics: str) -> None:
    assert "mqtt.response_topics" in refused({"watch": {"folder": "/a"}, "mqtt": {"response_topics": [topics]}})


@pytest.mark.parametrize("key", ["sparkplug_group", "sparkplug_node", "sparkplug_device", "sparkplug_host"])
def test_an_id_of_sparkplug_is_one_level_of_a_topic(key: str) -> None:
    for name in ("a/b", "a+b", "a#b", ""):
        assert f"mqtt.{key}" in refused({"watch": {"folder": "/a"}, "mqtt": {key: name}})


def test_a_backend_that_is_not_in_the_table_is_refused_with_those_that_are() -> None:
    message = refused({"watch": {"folder": "/a"}, "models": {"backend": "tflite"}})
    assert "models.backend: must be 'auto', 'tensorrt', 'openvino'" in message
    assert all(f"'{name}'" in message for name in table.names())
    assert message.endswith("(got 'tflite')")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[watch\n")
    with pytest.raises(ConfigError, match=r"c\.toml"):
        load(path, {})


def test_the_password_comes_from_a_file_and_is_read_anew(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("one\n")
    settings = settings_for(tmp_path / "x", mqtt={"username": "u", "password_file": str(secret)})
    assert settings.mqtt.password() == "one"
    secret.write_text("two\n")
    assert settings.mqtt.password() == "two"


def test_a_relative_password_file_is_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt").write_text("secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert settings_for(tmp_path / "x", mqtt={"username": "u", "password_file": "mqtt"}).mqtt.password() == "secret"


@pytest.mark.parametrize(
    ("path", "annealing", "hours"),
    [
        ("AN_60_7days_003.tif", 60, 168),
        ("an90/21 d/x.tif", 90, 504),
        ("AN-120_1h_1.tif", 120, 1),
        ("AN_60/14_days/img_7.tif", 60, 336),
        ("MAN_60_x.tif", None, None),
        ("img_3dx.tif", None, None),
    ],
)
def test_the_sample_is_found_in_the_path(path: str, annealing: float | None, hours: float | None) -> None:
    fields = parse({"watch": {"folder": "/a"}}, {}).sample.fields(path)
    assert fields == {"annealing_min": annealing, "exposure_h": hours}


def test_a_pattern_of_ones_own_adds_fields() -> None:
    settings = parse({"watch": {"folder": "/a"}, "sample": {"patterns": [r"coupon(?P<coupon>\w+)_"]}}, {})
    assert settings.sample.fields("couponB7_x.tif")["coupon"] == "B7"


@pytest.mark.parametrize("shift", ["mon 06:00-14:00", "mon-fri 06:00-22:00", "fri-mon 22:00-06:00", "sun 00:00-24:00"])
def test_a_time_of_the_week_is_taken(shift: str) -> None:
    assert parse({"watch": {"folder": "/a", "expect_during": [shift]}}, {}).watch.expect_during == (shift,)


@pytest.mark.parametrize("shift", ["", "daily", "mon 6-14", "mon-fri", "mon 24:00-06:00", "mon 06:60-07:00", "mo 06:00-07:00"])
def test_what_is_no_time_of_the_week_is_refused_with_an_example(shift: str) -> None:
    with pytest.raises(ConfigError, match=r"mon-fri 06:00-22:00"):
        parse({"watch": {"folder": "/a", "expect_during": [shift]}}, {})


@pytest.mark.parametrize("marker", ["a/b", "/etc/x", "a\nb"])
def test_a_marker_is_a_name_in_the_folder(marker: str) -> None:
    with pytest.raises(ConfigError, match=r"watch\.marker"):
        parse({"watch": {"folder": "/a", "marker": marker}}, {})


def test_settings_that_can_change_a_verdict_change_its_hash(tmp_path: Path) -> None:
    def hashed(**sections: dict[str, object]) -> str:
        made: Settings = settings_for(tmp_path / "x", **sections)
        return made.inspection_sha256()

    assert hashed() != hashed(inspect={"confidence": 0.4})
    assert hashed() == hashed(mqtt={"port": 1999})
    assert hashed() == hashed(models={"public_key": KEY})
    assert hashed() != hashed(device={"scale_factor": 1.03})
    assert hashed() == hashed(mqtt={"port": 1999}, device={"id": "sem-02"})


@pytest.mark.parametrize(
    "text", ["abc", KEY[:-1], KEY + "A", "untrusted comment: minisign public key", KEY.replace("RW", "RX")]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"models\.public_key: give the second line of minisign\.pub"):
        parse({"watch": {"folder": "/a"}, "models": {"public_key": text}}, {})


@pytest.mark.parametrize("key", ["min_diameter_px", "min_diameter_um"])
def test_the_least_diameter_that_counts_is_a_length_and_changes_the_hash(tmp_path: Path, key: str) -> None:
    counted, all_count = (settings_for(tmp_path / "x", inspect={key: value}) for value in (4.5, 0))
    assert getattr(counted.inspect, key) == 4.5
    assert all_count.inspect == settings_for(tmp_path / "x").inspect
    assert counted.inspection_sha256() != all_count.inspection_sha256()
    for wrong in (-1, float("nan"), float("inf"), "large"):
        with pytest.raises(ConfigError, match=rf"inspect\.{key}"):
            settings_for(tmp_path / "x", inspect={key: wrong})


def test_a_command_needs_no_watched_folder_but_refuses_what_the_daemon_refuses(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[watch]\nrecursive = false\n")
    assert load_for_command(path, {}).watch.recursive is False
    with pytest.raises(ConfigError, match=r"watch\.folder: missing"):
        load(path, {})
    path.write_text("[watch]\nfolder = '/a'\nfoldr = '/b'\n[state]\nfolder = '/a/state'\n")
    with pytest.raises(ConfigError, match=r"watch\.foldr: unknown key"):
        load_for_command(path, {})
    path.write_text("[watch]\nfolder = '/a'\n[state]\nfolder = '/a/state'\n")
    with pytest.raises(ConfigError, match="must not lie in"):
        load_for_command(path, {})


def test_the_environment_counts_for_a_command_without_a_file() -> None:
    assert load_for_command(None, {"EDGE_INSPECT__CONFIDENCE": "0.4"}).inspect.confidence == 0.4


def test_changed_settings_are_checked_and_none_changes_nothing() -> None:
    settings = InspectionSettings()
    assert change(settings, {"inspect": {"stages": "segment", "confidence": None}}).inspect == settings.inspect.model_copy(
        update={"stages": "segment"}
    )
    with pytest.raises(ConfigError, match=r"inspect\.stages"):
        change(settings, {"inspect": {"stages": "none"}})


@pytest.mark.parametrize("key", ["watch.folder", "state.folder", "models.segmenter", "mqtt.ca_file", "mqtt.host", "device.id"])
def test_a_nul_is_refused_wherever_a_path_or_a_name_stands(tmp_path: Path, key: str) -> None:
    file = tmp_path / "config.toml"
    lines = {"watch.folder": '"export"', key: r'"a\u0000b"'}
    file.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    with pytest.raises(ConfigError, match=key):
        load(file, {})


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "a = " + "{a=" * 5000,
        "watch.folder = 'x'\nmqtt.port = " + "9" * 5000,
        "watch.folder = 'x'\nsample.patterns = ['a{99999999999999999999}']",
        "watch.folder = 'x'\nsample.patterns = ['" + "(" * 5000 + ")" * 5000 + "']",
    ],
    ids=["arrays", "tables", "digits", "repetition", "groups"],
)
def test_what_nests_or_counts_without_end_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    limit = sys.getrecursionlimit()  # a library may have raised it: mypy does
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(ConfigError):
            load(file, {})
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 5000])
def test_what_the_environment_nests_or_counts_without_end_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.port"):
        parse({"watch": {"folder": "x"}}, {"EDGE_MQTT__PORT": text})


@pytest.mark.parametrize("device", [{"scale_factor": 0.0}, {"scale_factor": 3.0}, {"scale_uncertainty": -0.1},
                                    {"scale_uncertainty": 0.9}, {"scale_checked": "some day"}])  # fmt: skip
def test_a_calibration_that_cannot_be_is_refused_by_its_key(device: dict[str, object]) -> None:
    assert f"device.{next(iter(device))}: " in refused({"device": device, "watch": {"folder": "/srv/export"}})


def test_a_calibration_is_read_from_toml_and_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("[device]\nscale_factor = 1.03\nscale_checked = 2026-05-02\n")
    device = load_for_command(path, {"EDGE_DEVICE__SCALE_UNCERTAINTY": "0.01"}).device
    assert (device.scale_factor, device.scale_uncertainty, str(device.scale_checked)) == (1.03, 0.01, "2026-05-02")


@pytest.mark.parametrize("severity", ["moderate", "severe"])
@pytest.mark.parametrize("key", ["area_fraction", "density_per_mm2", "largest_um"])
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "much"])
def test_a_limit_that_is_no_measure_is_refused_by_name(tmp_path: Path, severity: str, key: str, wrong: object) -> None:
    with pytest.raises(ConfigError, match=rf"severity\.{severity}\.{key}: "):
        settings_for(tmp_path / "x", severity={"rule": "limits", severity: {key: wrong}})


@pytest.mark.parametrize(
    ("severity", "said"),
    [
        ({"rule": "limit"}, "severity.rule"),
        ({"rule": "limits"}, 'severity: rule = "limits" needs a limit above 0'),
        ({"rule": "limits", "severe": {"area_fraction": 0, "class": "pit"}}, "needs a limit above 0"),
        ({"severe": {"area_fraction": 2}}, "severity.severe.area_fraction"),
        (
            {"moderate": {"area": 0.1}},
            "severity.moderate.area: unknown key; known here: area_fraction, class, density_per_mm2, largest",
        ),
        ({"low": {"area_fraction": 0.1}}, "severity.low: unknown key; known here: moderate, rule, severe"),
        ({"severe": {"class": 3}}, "severity.severe.class"),
        ({"severe": {"class": "a\0b"}}, "severity.severe.class"),
        ({"severe": 0.1}, "severity.severe"),
    ],
)
def test_wrong_limits_are_refused_by_name(severity: dict[str, object], said: str) -> None:
    assert said in refused({"watch": {"folder": "/a"}, "severity": severity})


@pytest.mark.parametrize("key", ["area_fraction", "density_per_mm2", "largest_um"])
@pytest.mark.parametrize(("moderate_class", "severe_class"), [("", ""), ("pit", "pit"), ("pit", "")])
def test_severe_limits_below_moderate_ones_are_refused(key: str, moderate_class: str, severe_class: str) -> None:
    moderate, severe = {key: 0.5, "class": moderate_class}, {key: 0.25, "class": severe_class}
    message = refused({"watch": {"folder": "/a"}, "severity": {"moderate": moderate, "severe": severe}})
    assert f"severity: severe.{key} 0.25 is below moderate.{key} 0.5" in message


@pytest.mark.parametrize(("moderate_class", "severe_class"), [("product", "pit"), ("", "pit")])
def test_limits_on_different_classes_are_not_compared(tmp_path: Path, moderate_class: str, severe_class: str) -> None:
    limits = {
        "moderate": {"area_fraction": 0.5, "largest_um": 9, "class": moderate_class},
        "severe": {"area_fraction": 0.25, "class": severe_class},
    }
    settings = settings_for(tmp_path / "x", severity={"rule": "limits", **limits})
    assert settings.severity.severe.class_ == severe_class
    assert change(settings, {"inspect": {"stages": "segment"}}).severity == settings.severity


def test_limits_need_the_stage_that_measures(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "x", severity={"rule": "limits", "severe": {"largest_um": 20}})
    with pytest.raises(ConfigError, match=r"inspect\.stages = \"classify\""):
        change(settings, {"inspect": {"stages": "classify"}})


def test_limits_change_the_hash_and_can_stand_in_the_environment(tmp_path: Path) -> None:
    by_limits = parse(
        {"watch": {"folder": "/a"}},
        {"EDGE_SEVERITY__RULE": "limits", "EDGE_SEVERITY__SEVERE": '{ area_fraction = 0.1, class = "pit" }'},
    )
    assert (by_limits.severity.severe.area_fraction, by_limits.severity.severe.class_) == (0.1, "pit")
    others = [
        settings_for(tmp_path / "x"),
        *(
            settings_for(tmp_path / "x", severity={"rule": "limits", "severe": severe})
            for severe in ({"area_fraction": 0.1}, {"area_fraction": 0.2, "class": "pit"})
        ),
    ]
    assert len({one.inspection_sha256() for one in (by_limits, *others)}) == 4


@pytest.mark.parametrize(
    ("web", "sentence"),
    [
        ({"listen": "8080"}, "web.listen"),
        ({"listen": "127.0.0.1:99999"}, "ports end at 65535"),
        ({"listen": "127.0.0.1:80", "cert_file": "a"}, "belong together"),
        ({"listen": "0.0.0.0:8080"}, "behind_proxy"),
        ({"listen": "10.0.0.5:8080", "behind_proxy": True}, "users_file"),
        ({"listen": "127.0.0.1:8080", "behind_proxy": True}, "users_file"),
        ({"listen": "sem.plant.example:443", "cert_file": "a", "key_file": "b"}, "users_file"),
    ],
)
def test_a_page_that_would_not_be_safe_is_refused(web: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse({"watch": {"folder": "/a"}, "web": web}, {})


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:1", "[::1]:8080", "127.8.8.8:9"])
def test_on_this_machine_alone_a_page_needs_neither_users_nor_tls(listen: str) -> None:
    assert parse({"watch": {"folder": "/a"}, "web": {"listen": listen}}, {}).web.loopback
