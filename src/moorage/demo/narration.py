"""The demo's output: lines on the terminal, and the counts of each scene."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.observation.call_events import AttemptFinished, CallFinished
from moorage.domain.observation.events import (
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

    from moorage.demo.local_vendors import LocalNetwork, Vendors

FOLDER: Final = "local_files"
"""The storage vendor that uses no network, and so has no arriving requests to count."""
HEADINGS: Final = ("calls", "answered", "attempts", "arrived", "effects")


def _bold_text(text: str) -> str:
    is_styled = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[1m{text}\033[0m" if is_styled else text


@attrs.define
class DemoScene:
    """The output and counts of one scene.

    `calls`, `answered` and `attempts` come from moorage's events; `arrived` and `effects` come from
    the vendors; `turned_away` counts refused connections and locked databases.
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
        """True if moorage and the vendors counted equally many attempts."""
        return self.attempts == self.arrived + self.turned_away

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        """The counts in the order of `HEADINGS`."""
        return self.calls, self.answered, self.attempts, self.arrived, self.effects


@attrs.define
class Narrator:
    """An observer that counts every event and prints the interesting ones."""

    vendors: Vendors
    network: LocalNetwork
    scenes: list[DemoScene] = attrs.field(factory=list)
    quiet: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @contextmanager
    def scene(self, title: str, about: str) -> Generator[DemoScene]:
        """Run one scene, and count its events."""
        scene = DemoScene(title, about)
        self.scenes.append(scene)
        print(f"\n{_bold_text(f'{len(self.scenes)}. {title}')}")
        print(f"   {about}")
        counts_before = (
            self.vendors.request_count,
            len(self.vendors.effects),
            self.turned_away,
        )
        yield scene
        scene.arrived = self.vendors.request_count - counts_before[0]
        scene.effects = len(self.vendors.effects) - counts_before[1]
        scene.turned_away = self.turned_away - counts_before[2]

    def say(self, text: str) -> None:
        """Print a line in the current scene."""
        self.scenes[-1].lines.append(text)
        print(f"      {text}", flush=True)

    def __call__(self, event: Event) -> None:
        """Count an event and print it if it is interesting."""
        with self._lock:
            self.scenes[-1].events.append(event)
            self._count(event)
            line = _line(event)
            if line and not self.quiet:
                self.say(line)

    @property
    def turned_away(self) -> int:
        """The number of requests that the vendors refused without reading them."""
        return self.network.turned_away + self.vendors.warehouse.refusals

    @property
    def events(self) -> list[Event]:
        """The events of all scenes, in order."""
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
        """Return the counts of all scenes, and their totals, as a text table."""
        rows = [(scene.title, scene.figures, scene.agrees) for scene in self.scenes]
        width = max(len(title) for title, _, _ in rows)
        line = "─" * (width + sum(len(heading) + 3 for heading in HEADINGS))
        return "\n".join(
            (
                _row("", HEADINGS, width),
                line,
                *(_row(title, figures, width, ok=ok) for title, figures, ok in rows),
                line,
                _row("in all", self.totals, width),
            )
        )

    @property
    def totals(self) -> tuple[int, ...]:
        """The totals of all scenes."""
        rows = (scene.figures for scene in self.scenes)
        return tuple(sum(column) for column in zip(*rows, strict=True))


def _row(title: str, cells: tuple[object, ...], width: int, *, ok: bool = True) -> str:
    padded_cells = (
        str(cell).rjust(len(heading) + 3) for heading, cell in zip(HEADINGS, cells, strict=True)
    )
    return (
        title.ljust(width)
        + "".join(padded_cells)
        + ("" if ok else "   ← attempts and arrivals differ")
    )


def _line(event: Event) -> str | None:
    match event:
        case AttemptFinished():
            return _failure(event)
        case RetryScheduled(delay=delay):
            return f"retry in {delay:.1f} s"
        case VendorPaused(service=service, delay=delay):
            return f"all calls to {service} pause for {delay:.0f} s"
        case CircuitChanged(service=service, state=state):
            return f"the circuit of {service} is now {state.value.replace('_', ' ')}"
        case CallRefused(service=service):
            return f"{service} is skipped because its circuit is open"
        case FailedOver(to=successor):
            return f"{successor} takes over"
        case IdempotencyReplayed(service="steps", idempotency_key=key):
            return f"{key} was started already: its run is followed"
        case IdempotencyReplayed(idempotency_key=key):
            return f"{key} is already done: the stored response is returned and nothing is sent"
        case TokenRenewed(service=service):
            return f"a new token for {service}"
        case _:
            return None


def _failure(attempt: AttemptFinished) -> str | None:
    if attempt.error is None:
        return None
    if attempt.status is None:
        return f"{attempt.service} does not answer ({attempt.error})"
    return f"{attempt.service} answers {attempt.status} ({attempt.error})"
