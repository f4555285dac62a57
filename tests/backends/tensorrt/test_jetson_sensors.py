"""A Jetson's sensors as trees of files: an Orin Nano, an AGX Orin, a GPU that is switched off, files that lack or lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends.tensorrt import jetson_sensors
from edge.backends.tensorrt.jetson_sensors import JetsonSensors

NANO = {
    "class/devfreq/17000000.gpu/device/of_node/name": "gpu\0",
    "class/devfreq/17000000.gpu/device/load": "437\n",
    "class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "class/thermal/thermal_zone0/temp": "51000\n",
    "class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "class/thermal/thermal_zone1/temp": "48468\n",
    "class/thermal/cooling_device0/type": "pwm-fan\n",
    "class/thermal/cooling_device0/cur_state": "3\n",
    "class/thermal/cooling_device1/type": "gpu-throttle-alert\n",
    "class/thermal/cooling_device1/cur_state": "0\n",
    "class/hwmon/hwmon0/name": "gpio_fan\n",
    "class/hwmon/hwmon1/name": "ina3221\n",
    "class/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "class/hwmon/hwmon1/in1_input": "19000\n",
    "class/hwmon/hwmon1/curr1_input": "500\n",
    "class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV\n",
    "class/hwmon/hwmon1/in2_input": "19072\n",
    "class/hwmon/hwmon1/curr2_input": "200\n",
    "class/hwmon/hwmon2/name": "soctherm_oc\n",
    "class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "class/hwmon/hwmon2/oc3_event_cnt": "37\n",
}


@pytest.fixture(autouse=True)
def sys_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(jetson_sensors, "SYS", tmp_path)
    monkeypatch.setattr(jetson_sensors, "MODEL", tmp_path / "model")
    return tmp_path


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_an_orin_nano_tells_what_tegrastats_tells(sys_tree: Path) -> None:
    plant(sys_tree, {**NANO, "model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"})
    state = JetsonSensors().look("Orin")
    assert state.name == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (state.utilisation, state.temperature_c, state.power_w) == (0.437, 48.5, 3.81)
    assert state.throttling == ()
    assert state.unknown.keys() == {"memory_used_mib", "memory_total_mib", "xid"}
    assert "shares the machine's memory" in state.unknown["memory_used_mib"]


def test_an_agx_orin_of_jetpack_5_has_other_names(sys_tree: Path) -> None:
    plant(
        sys_tree,
        {
            "class/devfreq/17000000.ga10b/device/load": "1000",
            "class/thermal/thermal_zone2/type": "GPU-therm",
            "class/thermal/thermal_zone2/temp": "39500",
            "class/hwmon/hwmon3/name": "ina3221",
            "class/hwmon/hwmon3/in1_label": "VDD_GPU_SOC",
            "class/hwmon/hwmon3/in1_input": "20000",
            "class/hwmon/hwmon3/curr1_input": "1000",
        },
    )
    state = JetsonSensors().look("Orin")
    assert (state.name, state.utilisation, state.temperature_c, state.power_w) == ("Orin", 1.0, 39.5, 20.0)
    assert state.throttling is None
    assert "neither alerts" in state.unknown["throttling"]


def test_alerts_and_new_over_currents_are_told_by_name(sys_tree: Path) -> None:
    plant(sys_tree, NANO)
    sensors = JetsonSensors()
    assert sensors.look("Orin").throttling == ()  # what was counted before the first look is old
    plant(
        sys_tree,
        {"class/hwmon/hwmon2/oc3_event_cnt": "39", "class/thermal/cooling_device1/cur_state": "1"},
    )
    assert sensors.look("Orin").throttling == ("gpu-throttle-alert", "over_current")
    assert sensors.look("Orin").throttling == ("gpu-throttle-alert",)


def test_a_gpu_that_is_switched_off_has_no_temperature(sys_tree: Path) -> None:
    plant(sys_tree, {**NANO, "class/thermal/thermal_zone1/temp": "-256000"})
    state = JetsonSensors().look("Orin")
    assert state.temperature_c is None
    assert "switched on" in state.unknown["temperature_c"]


@pytest.mark.parametrize("text", ["", "nan", "N/A", "0x10"])
def test_a_file_that_holds_no_number_is_unknown_with_the_reason(sys_tree: Path, text: str) -> None:
    plant(sys_tree, {**NANO, "class/devfreq/17000000.gpu/device/load": text})
    state = JetsonSensors().look("Orin")
    assert (state.utilisation, state.temperature_c) == (None, 48.5)
    assert "invalid literal" in state.unknown["utilisation"]


def test_a_file_that_cannot_be_read_is_unknown_with_the_reason(sys_tree: Path) -> None:
    plant(sys_tree, NANO)
    (sys_tree / "class/thermal/thermal_zone1/temp").unlink()
    assert "No such file" in JetsonSensors().look("Orin").unknown["temperature_c"]


def test_a_machine_with_none_of_the_files_knows_nothing_and_says_why() -> None:
    state = JetsonSensors().look("Orin")
    assert len(state.unknown) == 7
    assert all(state.unknown.values())


def test_a_load_beyond_its_range_is_cut(sys_tree: Path) -> None:
    plant(sys_tree, {**NANO, "class/devfreq/17000000.gpu/device/load": "1200"})
    assert JetsonSensors().look("Orin").utilisation == 1.0
