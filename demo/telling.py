"""Telling the story: lines on the terminal, and the table at its end."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from demo.vendor import FlakyVendor
from mooring.domain.events import (
    AttemptFinished,
    CallFinished,
    CallRefused,
    CircuitChanged,
    Event,
    IdempotencyReplayed,
    RetryScheduled,
    VendorPaused,
)

HEADINGS = ("calls", "answered", "attempts", "reached the vendor", "effects")


def _bold(text: str) -> str:
    wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[1m{text}\033[0m" if wanted else text


def say(text: str, *, depth: int = 1) -> None:
    """One line of the story."""
    print("   " * depth + text, flush=True)


@define
class Scene:
    """What a scene came to.

    `calls`, `answered` and `attempts` are counted by mooring's own events; `reached` and `effects`
    by the vendor.
    """

    title: str
    calls: int = 0
    answered: int = 0
    attempts: int = 0
    reached: int = 0
    effects: int = 0

    @property
    def agrees(self) -> bool:
        """Whether what we sent is what the vendor got."""
        return self.attempts == self.reached

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """The row of the table."""
        return self.calls, self.answered, self.attempts, self.reached, self.effects


@define
class Narrator:
    """Is told every event: it counts all of them, and tells those of interest."""

    vendor: FlakyVendor
    scenes: list[Scene] = field(factory=list)
    paused: threading.Event = field(factory=threading.Event)
    quiet: bool = False
    _lock: threading.Lock = field(factory=threading.Lock)

    @contextmanager
    def scene(self, title: str, about: str) -> Iterator[None]:
        """One scene: what happens in it is counted in its row."""
        scene = Scene(title)
        self.scenes.append(scene)
        print(f"\n{_bold(f'{len(self.scenes)}. {title}')}")
        say(about)
        requests, effects = self.vendor.requests, len(self.vendor.effects)
        yield
        scene.reached = self.vendor.requests - requests
        scene.effects = len(self.vendor.effects) - effects

    def __call__(self, event: Event) -> None:
        """Count, and tell."""
        with self._lock:
            self._count(event)
            line = _line(event)
            if line and not self.quiet:
                say(line, depth=2)
        if isinstance(event, VendorPaused):
            self.paused.set()

    def _count(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            scene = self.scenes[-1]
            scene.calls += 1
            scene.answered += event.error is None
            scene.attempts += event.attempts

    def table(self) -> str:
        """The figures of every scene, and of all together."""
        rows = [(scene.title, scene.figures, scene.agrees) for scene in self.scenes]
        totals = tuple(sum(column) for column in zip(*(row[1] for row in rows), strict=True))
        agree = all(row[2] for row in rows)
        wide = max(len(title) for title, _, _ in rows)
        line = "─" * (wide + sum(len(heading) + 3 for heading in HEADINGS))
        return "\n".join(
            (
                _row("", HEADINGS, wide),
                line,
                *(_row(title, figures, wide, ok=ok) for title, figures, ok in rows),
                line,
                _row("in all", totals, wide, ok=agree),
            )
        )


def _row(title: str, cells: tuple[object, ...], wide: int, *, ok: bool = True) -> str:
    shown = (
        str(cell).rjust(len(heading) + 3) for heading, cell in zip(HEADINGS, cells, strict=True)
    )
    return title.ljust(wide) + "".join(shown) + ("" if ok else "   ← attempts and arrivals differ")


def _line(event: Event) -> str | None:
    match event:
        case AttemptFinished(error=None, status=status, attempt=attempt):
            return f"attempt {attempt}: answered {status}"
        case AttemptFinished(error=error, status=None, attempt=attempt):
            return f"attempt {attempt}: no answer ({error})"
        case AttemptFinished(error=error, status=status, attempt=attempt):
            return f"attempt {attempt}: {status} ({error})"
        case RetryScheduled(delay=delay):
            return f"again in {delay:.1f} s"
        case VendorPaused(delay=delay):
            return f"everybody keeps a pause of {delay:.0f} s"
        case CircuitChanged(state=state):
            return f"the circuit is now {state.value.replace('_', ' ')}"
        case CallRefused(error=error):
            return f"held back, nothing is sent ({error})"
        case IdempotencyReplayed(idempotency_key=key):
            return f"key {key}: the stored answer, nothing is sent"
        case _:
            return None
