"""Two looks at one GPU become one, and neither's ignorance hides the other's knowledge."""

from __future__ import annotations

from edge.backends.tensorrt.state import FIGURES, GpuState, blank


def test_what_one_look_does_not_know_the_other_fills() -> None:
    first = GpuState("Orin", temperature_c=48.5, unknown={"power_w": "no rail", "xid": "not told"})
    other = GpuState("other", temperature_c=99, power_w=12.5, unknown={"xid": "Not Supported"})
    both = first.filled_by(other)
    assert (both.name, both.temperature_c, both.power_w) == ("Orin", 48.5, 12.5)
    assert both.unknown == {"xid": "not told"}
    assert first.filled_by(None) is first


def test_a_gpu_of_which_nothing_is_known_says_so_of_every_figure() -> None:
    state = blank("GPU", "no library")
    assert state.unknown == dict.fromkeys(FIGURES, "no library")
    assert all(getattr(state, figure) is None for figure in FIGURES)
    assert blank("GPU", "x").filled_by(state).unknown == dict.fromkeys(FIGURES, "x")
