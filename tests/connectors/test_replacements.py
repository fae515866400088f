"""Connectors that are replaced, removed and closed while calls are under way.

Connectors that note every call on a closed one take part in random schedules of calls,
replacements, health checks and openings. Each schedule comes from a seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, LocalFailure, Service
from moorage.domain.connectors.description import ConnectorDescription
from moorage.domain.monitoring.health import HealthState
from moorage.errors import ConfigurationError
from moorage.hub.connectors_async import AsyncConnectors
from moorage.hub.connectors_sync import Connectors
from tests.connectors.connector_harness import (
    AsyncRecordingConnector,
    ConnectorsHarness,
    RecordingConnector,
    in_both_modes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage import OperationAttempt

CALLERS = 4
STEPS = 25


class SlowGreeting:
    """An operation that records whether its connector is open at its beginning and at its end."""

    name = "greet"
    system = "diary"
    safe = repeatable = True

    def __init__(self, connector: Any, person: str) -> None:
        self.connector = connector
        self.person = person

    def perform(self, _: OperationAttempt, /) -> bytes:
        """Return the greeting."""
        self.connector.note_use()
        for _turn in range(self.connector.turns):
            os.sched_yield()
        self.connector.note_use()
        return f"Hello {self.person}".encode()

    def translate_error(self, _: Exception, /) -> None:
        """Return None, so that no error is translated."""


class AsyncSlowGreeting(SlowGreeting):
    """The asynchronous variant of `SlowGreeting`."""

    async def perform(self, _: OperationAttempt, /) -> bytes:  # type: ignore[override]  # awaited
        """Return the greeting."""
        self.connector.note_use()
        for _turn in range(self.connector.turns):
            await asyncio.sleep(0)
        self.connector.note_use()
        return f"Hello {self.person}".encode()


class WatchedConnector(RecordingConnector):
    """A connector that records each use after its close.

    Attributes:
        uses, late_uses, ends: the number of uses, of those after its end, and of its ends.
        turns: the number of turns that each operation leaves to others.
    """

    greeting: Any = SlowGreeting

    def __init__(self, kind: str, turns: int) -> None:
        super().__init__("base", [])
        self.kind = kind
        self.turns = turns
        self.uses = self.late_uses = self.ends = 0

    def note_use(self) -> None:
        """Record a use of the connector."""
        self.uses += 1
        self.late_uses += self.ends > 0

    def _greeting(self, arguments: Mapping[str, Any]) -> Any:
        return self.greeting(self, arguments["person"])

    def _write(self, line: str) -> None:
        if line.startswith("close"):
            self.ends += 1
        else:
            self.note_use()


class AsyncWatchedConnector(WatchedConnector, AsyncRecordingConnector):
    """The asynchronous variant of `WatchedConnector`."""

    greeting: Any = AsyncSlowGreeting


class Schedule:
    """Random steps of callers, and of tasks that replace a connector.

    Attributes:
        made: all connectors.
        greetings: the results of the calls.
    """

    def __init__(self, seed: int, kind: type[WatchedConnector], registry: Any) -> None:
        self.seed = seed
        self.kind = kind
        self.registry = registry
        self.made: list[WatchedConnector] = []
        self.greetings: list[str] = []
        registry.add(self.connector(random.Random(seed)))

    def connector(self, dice: random.Random) -> WatchedConnector:
        """Return a new connector of the kind `diary` or `ledger`."""
        self.made.append(self.kind(dice.choice(["diary", "ledger"]), dice.randrange(4)))
        return self.made[-1]

    def steps(self, caller: int) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield the name of each step of a caller, with its method."""
        generator, kinds = (
            random.Random(f"{self.seed} {caller}"),
            random.Random(f"{caller} {self.seed}"),
        )
        registry = self.registry
        for number in range(STEPS):
            step = generator.choice(["call", "call", "call", "replace", "health", "open", "both"])
            person = {"person": f"{caller}-{number}"}
            made = {
                "call": lambda person=person: registry.run("base", "greet", person),
                "replace": lambda: registry.replace(self.connector(kinds)),
                "health": lambda: registry.health("base"),
                "open": registry.open,
                "both": registry.health_of_all,
            }
            yield step, made[step]

    def note(self, step: str, result: Any) -> None:
        """Record the result of a step."""
        if step == "call":
            self.greetings.append(result)
        elif step in {"health", "both"}:
            answers = result if step == "both" else [result]
            assert {HealthState.HEALTHY} == {answer.state for answer in answers}

    def check(self) -> None:
        """Check that no call was lost or used a closed connector, and that each was closed once."""
        calls = [
            f"Hello {caller}-{number}"
            for caller in range(CALLERS)
            for number, (step, _) in enumerate(self.steps(caller))
            if step == "call"
        ]
        assert sorted(calls) == sorted(self.greetings)
        assert len(self.made) > CALLERS
        assert {(0, 1)} == {(connector.late_uses, connector.ends) for connector in self.made}


@pytest.mark.parametrize("seed", range(20))
def test_threads_lose_no_call_to_replacements(seed: int) -> None:
    """While one thread replaces a connector, all calls of other threads succeed."""
    interval = sys.getswitchinterval()
    schedule = Schedule(seed, WatchedConnector, Connectors(ConnectorManager([Service("diaries")])))

    def run_caller(caller: int) -> None:
        for step, make in schedule.steps(caller):
            schedule.note(step, make())

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(CALLERS) as threads:
            for _ in threads.map(run_caller, range(CALLERS)):
                pass
    finally:
        sys.setswitchinterval(interval)
    schedule.registry.close()
    schedule.check()


@pytest.mark.parametrize("seed", range(20))
def test_tasks_lose_no_call_to_replacements(seed: int) -> None:
    """While a task replaces a connector, each call of other tasks succeeds on an open connector."""

    async def run() -> None:
        registry = AsyncConnectors(AsyncConnectorManager([Service("diaries")]))
        schedule = Schedule(seed, AsyncWatchedConnector, registry)

        async def run_caller(caller: int) -> None:
            for step, make in schedule.steps(caller):
                schedule.note(step, await make())

        await asyncio.gather(*map(run_caller, range(CALLERS)))
        await registry.close()
        schedule.check()

    asyncio.run(run())


@in_both_modes
async def test_connector_that_is_replaced_during_its_health_check_is_closed_after_check(
    harness: ConnectorsHarness,
) -> None:
    """A connector that is replaced during its health check is closed after the check."""
    old_connector = harness.add("base")
    answer = old_connector.health

    def replace_first(timeout: float, /) -> Any:
        replacing = harness.registry.replace(harness.diary("base"))

        async def replace_and_answer() -> Any:
            await replacing
            return await answer(timeout)

        return replace_and_answer() if harness.is_async else answer(timeout)

    old_connector.health = replace_first
    health = await harness.run(harness.registry.health, "base")

    assert HealthState.HEALTHY == health.state
    assert ["ask base 5", "close base"] == harness.journal


@in_both_modes
async def test_block_of_another_class_is_refused(harness: ConnectorsHarness) -> None:
    """A block that names a class which the connector does not have is refused.

    No connector stays in use.
    """
    harness.add("base")
    with pytest.raises(ConfigurationError, match=r"of the class (Async)?RecordingConnector"):
        await harness.enter(harness.registry.use("base", WatchedConnector))
    await harness.run(harness.registry.replace, harness.diary("base"))

    assert ["close base"] == harness.journal


@in_both_modes
async def test_context_manager_cannot_be_entered_again_during_its_block(
    harness: ConnectorsHarness,
) -> None:
    """A context manager cannot be entered again during its block, and can after it."""
    harness.add("base")
    connector_use = harness.registry.use("base")
    await harness.enter(connector_use)
    with pytest.raises(LocalFailure, match="already used by another block"):
        await harness.enter(connector_use)
    await harness.leave(connector_use)
    await harness.enter(connector_use)
    await harness.leave(connector_use)
    await harness.leave(connector_use)
    await harness.run(harness.registry.replace, harness.diary("base"))

    assert ["close base"] == harness.journal


@in_both_modes
async def test_connector_that_was_replaced_while_it_was_created(harness: ConnectorsHarness) -> None:
    """If a connector is replaced while it is created, a waiting caller gets the replacement."""
    new_connector = harness.diary("base")
    replacing: list[Any] = []

    def build() -> Any:
        replacing.append(harness.registry.replace(new_connector))
        if harness.is_async:
            with pytest.raises(StopIteration):
                replacing[0].send(None)
        return harness.diary("base")

    harness.registry.declare(ConnectorDescription(name="base", kind="diary"), build)

    assert new_connector is harness.registry["base"]
    assert [] == harness.journal


class CloseInterrupted(BaseException):
    """An exception like KeyboardInterrupt that interrupts the closing of a connector."""


@in_both_modes
async def test_interrupted_close_closes_the_other_connectors(harness: ConnectorsHarness) -> None:
    """If closing a connector is interrupted, the others are closed before the error is raised."""
    harness.add("base")
    harness.add("shop", "base").failure = CloseInterrupted()
    harness.add("till").failure = OSError()
    with pytest.raises(CloseInterrupted):
        await harness.run(harness.registry.close)

    assert ["close base", "close shop", "close till"] == sorted(harness.journal)
