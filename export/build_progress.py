"""The phases that TensorRT tells of a build in, a bar on a terminal or a line a step out."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """How far a build is: a bar on a terminal, a line for each of TensorRT's main steps elsewhere."""

    subject: str
    _phases: dict[str, tuple[str | None, int, int]] = field(default_factory=dict)
    """Phases that are open: (the one around it, steps, done)."""

    def begin(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of this many steps begins inside another, or inside none."""
        self._phases[phase] = (parent, max(steps, 1), 0)

    def step(self, phase: str, index: int) -> None:
        """A phase has done the step of this index."""
        parent, steps, _ = self._phases.get(phase, (None, 1, 0))
        self._phases[phase] = (parent, steps, index + 1)
        self._tell(main=parent is None)

    def end(self, phase: str) -> None:
        """A phase is over."""
        parent = self._phases.pop(phase, (None, 1, 0))[0]
        if parent is None and sys.stderr.isatty():
            print(file=sys.stderr, flush=True)

    @property
    def done(self) -> float:
        """0…1: the open phases, each as a part of one step of the phase around it."""
        parts = sorted(self._phases.items(), key=lambda item: self._depth(item[0]))
        done, width = 0.0, 1.0
        for _, (_, steps, finished) in parts:
            done += width * min(finished / steps, 1.0)
            width /= steps
        return min(done, 1.0)

    def _depth(self, phase: str) -> int:
        depth, around = 0, self._phases[phase][0]
        while around in self._phases and depth < len(self._phases):
            depth, around = depth + 1, self._phases[around][0]
        return depth

    def _tell(self, main: bool) -> None:
        if sys.stderr.isatty():
            filled = round(30 * self.done)
            print(
                f"\r{self.subject} [{'█' * filled}{'·' * (30 - filled)}] {self.done:4.0%}", end="", file=sys.stderr, flush=True
            )
        elif main:
            print(f"{self.subject}: building, {self.done:.0%}", file=sys.stderr, flush=True)
