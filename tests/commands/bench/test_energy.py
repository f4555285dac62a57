"""Joules from whatever counts them here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.commands.bench import energy
from edge.commands.bench.energy import UnavailableError


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
