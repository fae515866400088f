"""Telling the story: lines on the terminal, and the figures of its scenes."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.events import (
    AttemptFinished,
    CallFinished,
    CallRefused,
    CircuitChanged,
    Event,
    FailedOver,
    IdempotencyReplayed,
    RetryScheduled,
    TokenRenewed,
    VendorPaused,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.demo.street import Street, Vendors

FOLDER: Final = "local_files"
"""Who is asked without a network, and so is not counted where requests arrive."""
HEADINGS: Final = ("calls", "answered", "attempts", "arrived", "effects")


def _bold(text: str) -> str:
    wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[1m{text}\033[0m" if wanted else text


@attrs.define
class Scene:
    """What a scene came to.

    `calls`, `answered` and `attempts` are counted by moorage's own events; `arrived` and `effects`
    by the vendors, and `turned_away` by the doors that were closed.
    """

    title: str
    about: str = ""
    lines: list[str] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    calls: int = 0
    answered: int = 0
    attempts: int = 0
    arrived: int = 0
    effects: int = 0
    turned_away: int = 0

    @property
    def agrees(self) -> bool:
        """Whether what we sent is what the vendors got."""
        return self.attempts == self.arrived + self.turned_away

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """The row of the table."""
        return self.calls, self.answered, self.attempts, self.arrived, self.effects


@attrs.define
class Narrator:
    """Is told every event: it counts all of them, and tells those of interest."""

    vendors: Vendors
    street: Street
    scenes: list[Scene] = attrs.field(factory=list)
    quiet: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @contextmanager
    def scene(self, title: str, about: str) -> Generator[Scene]:
        """One scene: what happens in it is counted in its row."""
        scene = Scene(title, about)
        self.scenes.append(scene)
        print(f"\n{_bold(f'{len(self.scenes)}. {title}')}")
        print(f"   {about}")
        before = self.vendors.asked, len(self.vendors.effects), self.street.turned_away
        yield scene
        scene.arrived = self.vendors.asked - before[0]
        scene.effects = len(self.vendors.effects) - before[1]
        scene.turned_away = self.street.turned_away - before[2]

    def say(self, text: str) -> None:
        """One line of the story."""
        self.scenes[-1].lines.append(text)
        print(f"      {text}", flush=True)

    def __call__(self, event: Event) -> None:
        """Count, and tell."""
        with self._lock:
            self.scenes[-1].events.append(event)
            self._count(event)
            line = _line(event)
            if line and not self.quiet:
                self.say(line)

    @property
    def events(self) -> list[Event]:
        """Everything that happened, in order."""
        return [event for scene in self.scenes for event in scene.events]

    def _count(self, event: Event) -> None:
        scene = self.scenes[-1]
        if isinstance(event, CallFinished) and event.service != FOLDER:
            scene.calls += 1
            scene.answered += event.error is None
            scene.attempts += event.attempts
        elif isinstance(event, TokenRenewed):
            scene.attempts += event.attempts

    def table(self) -> str:
        """The figures of every scene, and of all together."""
        rows = [(scene.title, scene.figures, scene.agrees) for scene in self.scenes]
        wide = max(len(title) for title, _, _ in rows)
        line = "─" * (wide + sum(len(heading) + 3 for heading in HEADINGS))
        return "\n".join(
            (
                _row("", HEADINGS, wide),
                line,
                *(_row(title, figures, wide, ok=ok) for title, figures, ok in rows),
                line,
                _row("in all", self.totals, wide),
            )
        )

    @property
    def totals(self) -> tuple[int, ...]:
        """The figures of all scenes together."""
        rows = (scene.figures for scene in self.scenes)
        return tuple(sum(column) for column in zip(*rows, strict=True))


def _row(title: str, cells: tuple[object, ...], wide: int, *, ok: bool = True) -> str:
    shown = (
        str(cell).rjust(len(heading) + 3) for heading, cell in zip(HEADINGS, cells, strict=True)
    )
    return title.ljust(wide) + "".join(shown) + ("" if ok else "   ← attempts and arrivals differ")


def _line(event: Event) -> str | None:
    match event:
        case AttemptFinished():
            return _failure(event)
        case RetryScheduled(delay=delay):
            return f"once more in {delay:.1f} s"
        case VendorPaused(service=service, delay=delay):
            return f"everybody leaves {service} alone for {delay:.0f} s"
        case CircuitChanged(service=service, state=state):
            return f"the circuit of {service} is now {state.value.replace('_', ' ')}"
        case CallRefused(service=service):
            return f"{service} is not even asked"
        case FailedOver(to=to):
            return f"{to} does it instead"
        case IdempotencyReplayed(idempotency_key=key):
            return f"{key} is done already: the stored answer, and nothing is sent"
        case TokenRenewed(service=service):
            return f"a new token for {service}"
        case _:
            return None


def _failure(attempt: AttemptFinished) -> str | None:
    if attempt.error is None:
        return None
    if attempt.status is None:
        return f"{attempt.service} gives no answer ({attempt.error})"
    return f"{attempt.service} answers {attempt.status} ({attempt.error})"
