"""Power mode, governor and clocks of machines that are played by folders."""

from __future__ import annotations

from pathlib import Path

from edge.commands.bench import power
from edge.commands.bench.power import Places


def write(root: Path, **files: str) -> None:
    for place, text in files.items():
        path = root / place.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def silent(*_: str) -> None:
    return None


def places(root: Path, **said: str) -> Places:
    return Places(root, lambda command, *_: said.get(command.replace("-", "_")))


CPU0, CPU1 = "sys__devices__system__cpu__cpu0__cpufreq__", "sys__devices__system__cpu__cpu1__cpufreq__"


def test_governor_and_clocks_of_all_cores_are_told(tmp_path: Path) -> None:
    for number, core in enumerate((CPU0, CPU1)):
        write(
            tmp_path, **{f"{core}scaling_governor": "schedutil", f"{core}scaling_cur_freq": str(1_500_000 + number * 500_000)}
        )
        write(tmp_path, **{f"{core}scaling_min_freq": "800000", f"{core}scaling_max_freq": "3200000"})
    found = power.describe(Places(tmp_path, silent))
    assert (found["governor"], found["governor_reason"]) == ("schedutil", None)
    assert found["cpu_mhz"]["now_mean"] == 1750.0
    assert (found["cpu_mhz"]["allowed_max"], found["cpu_mhz"]["locked"]) == (3200.0, False)


def test_what_nobody_tells_is_null_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path, proc__cpuinfo="flags : fpu hypervisor")
    found = power.describe(Places(tmp_path, silent))
    for name in ("mode", "governor", "cpu_mhz", "gpu"):
        assert found[name] is None
        assert found[f"{name}_reason"]
    assert "virtual machine" in found["governor_reason"]


def test_a_virtual_machines_clocks_come_from_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path, proc__cpuinfo="cpu MHz\t\t: 2400.5\n\ncpu MHz\t\t: 2600.5")
    found = power.describe(Places(tmp_path, silent))
    assert found["cpu_mhz"]["now_mean"] == 2500.5
    assert found["cpu_mhz"]["allowed_max"] is None


def test_a_jetsons_mode_comes_from_its_files_where_nvpmodel_does_not_answer(tmp_path: Path) -> None:
    write(tmp_path, var__lib__nvpmodel__status="pmode:0002")
    write(tmp_path, etc__nvpmodel_conf="")
    (tmp_path / "etc/nvpmodel.conf").write_text("< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n")
    assert power.power_mode(Places(tmp_path, silent)) == ("NV Power Mode: MAXN_SUPER 2", None)
    assert power.power_mode(places(tmp_path, nvpmodel="NV Power Mode: 25W\n1")) == ("NV Power Mode: 25W 1", None)


def test_a_jetson_whose_clocks_were_locked_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/devfreq/17000000.gpu"
    folder.mkdir(parents=True)
    for name in ("cur", "min", "max"):
        (folder / f"{name}_freq").write_text("1020000000\n")
    found = power.describe(Places(tmp_path, silent))["gpu"]
    assert found == {"clocks_sm": 1020.0, "allowed_min": 1020.0, "allowed_max": 1020.0, "locked": True}


def test_a_cards_clocks_are_numbers_and_what_it_does_not_tell_is_null(tmp_path: Path) -> None:
    found = power.describe(places(tmp_path, nvidia_smi="P0, 1980, 2619, 1980, [N/A], 700.00"))["gpu"]
    assert (found["pstate"], found["clocks_sm"], found["power_draw"], found["power_limit"]) == ("P0", 1980.0, None, 700.0)
