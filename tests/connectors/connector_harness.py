"""Test connectors in sync and async mode behind one asynchronous interface, with a call record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Service
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.monitoring.health import HealthState
from moorage.errors import ConnectorError, InvalidData
from moorage.hub.connectors_async import AsyncConnectors
from moorage.hub.connectors_sync import Connectors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from moorage import OperationAttempt


@attrs.frozen
class Greeting:
    """A connector operation that returns a greeting."""

    person: str
    name: str = "greet"
    system: str = "diary"
    safe: bool = True
    repeatable: bool = True

    def perform(self, _: OperationAttempt, /) -> bytes:
        """Return the greeting."""
        return f"Hello {self.person}".encode()

    def translate_error(self, _: Exception, /) -> ConnectorError | None:
        """Return None, so that no error is translated."""
        return None


class AsyncGreeting(Greeting):
    """The asynchronous variant of `Greeting`."""

    async def perform(self, attempt: OperationAttempt, /) -> bytes:  # type: ignore[override]  # awaited
        """Return the greeting."""
        return super().perform(attempt)


class RecordingConnector:
    """A connector that records each call of its methods in a journal.

    Attributes:
        journal: the recorded calls, shared by all recording connectors of a test.
        failure: the error of `open`, `health` and `close`, if any.
    """

    kind = "diary"
    greeting: type[Greeting] = Greeting

    def __init__(self, name: str, journal: list[str], service: str = "diaries") -> None:
        self.name = name
        self.service = service
        self.journal = journal
        self.failure: Exception | None = None
        self.versions = ConnectorVersions(library="paper 1.0")

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """Return the greeting operation."""
        return {
            "greet": NamedOperation(
                name="greet",
                about="Greets somebody.",
                arguments={"person": "The person.", "loudly": "Whether to shout."},
                required=frozenset({"person"}),
                build=self._greeting,
                render=bytes.decode,
            )
        }

    def _greeting(self, arguments: Mapping[str, Any]) -> Greeting:
        if not isinstance(arguments["person"], str):
            raise InvalidData("The person is not a string.", field="person")
        return self.greeting(arguments["person"])

    def statistics(self) -> PoolStatistics | None:
        """Return the statistics of a connection pool."""
        return PoolStatistics(idle=1)

    def open(self, timeout: float, /) -> None:
        """Record that the connector was opened."""
        self._write(f"open {self.name} {timeout:g}")

    def health(self, timeout: float, /) -> ConnectorHealth:
        """Report that the connector is healthy."""
        self._write(f"ask {self.name} {timeout:g}")
        return ConnectorHealth(
            connector=self.name, at=datetime(2030, 1, 1, tzinfo=UTC), state=HealthState.HEALTHY
        )

    def close(self) -> None:
        """Record that the connector was closed."""
        self._write(f"close {self.name}")

    def _write(self, line: str) -> None:
        self.journal.append(line)
        if self.failure is not None:
            raise self.failure


class AsyncRecordingConnector(RecordingConnector):
    """The asynchronous variant of `RecordingConnector`."""

    greeting = AsyncGreeting

    async def open(self, timeout: float, /) -> None:  # type: ignore[override]  # awaited
        """Record that the connector was opened."""
        super().open(timeout)

    async def health(self, timeout: float, /) -> ConnectorHealth:  # type: ignore[override]  # awaited
        """Report that the connector is healthy."""
        return super().health(timeout)

    async def close(self) -> None:  # type: ignore[override]  # awaited
        """Record that the connector was closed."""
        super().close()


class ConnectorsHarness:
    """A connector registry for tests, with the journal of its connectors."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.journal: list[str] = []
        services = [Service("diaries")]
        self.kind: Any = AsyncRecordingConnector if is_async else RecordingConnector
        self.registry: Any = (
            AsyncConnectors(AsyncConnectorManager(services))
            if is_async
            else Connectors(ConnectorManager(services))
        )

    def diary(self, name: str) -> Any:
        """Return a new recording connector."""
        return self.kind(name, self.journal)

    def add(self, name: str, *depends_on: str) -> Any:
        """Add a new recording connector to the registry."""
        diary = self.diary(name)
        self.registry.add(diary, depends_on=depends_on)
        return diary

    async def run(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a method of the registry, and await its result if it is asynchronous."""
        result = method(*arguments, **options)
        return await result if self.is_async else result

    async def enter(self, use: Any) -> Any:
        """Enter a block that uses a connector."""
        return await self.run(use.__aenter__ if self.is_async else use.__enter__)

    async def leave(self, use: Any) -> None:
        """Leave a block that uses a connector."""
        await self.run(use.__aexit__ if self.is_async else use.__exit__, None, None, None)


def in_both_modes(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test with a synchronous and with an asynchronous harness."""

    @wraps(test)
    def run(*, is_async: bool) -> None:
        asyncio.run(test(ConnectorsHarness(is_async=is_async)))

    del run.__dict__["__wrapped__"]
    mark = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    return mark(run)  # type: ignore[no-any-return]  # it is `run`
