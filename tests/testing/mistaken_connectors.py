"""Connectors with one fault each, which the conformance kit must find."""

from __future__ import annotations

import asyncio
import mmap
import os
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from moorage import ConnectionFailed, ConnectorError, LocalFailure, Secret
from tests.testing.ledger import (
    PASSWORD,
    AsyncLedger,
    AsyncLine,
    Ledger,
    LedgerLink,
    Line,
)

if TYPE_CHECKING:
    from moorage import ConnectorHealth, NamedOperation, OperationAttempt
    from moorage.domain.connectors.pool_statistics import PoolStatistics


def spoil_statistics(statistics: PoolStatistics | None, **numbers: int) -> PoolStatistics | None:
    """Return the pool statistics with the given values changed, or None if there are none."""
    return statistics and attrs.evolve(statistics, **numbers)


class WritesTwiceConnector(Ledger):
    """A faulty connector that sends a write twice."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        if line.startswith("add"):
            super().send(line, operation, timeout)
        return super().send(line, operation, timeout)


class SafeLine(Line):
    """A faulty operation that always declares itself safe."""

    @property
    def safe(self) -> bool:
        return True


class ClaimsSafetyConnector(Ledger):
    """A faulty connector that declares its writes safe."""

    line = SafeLine


class MixesAnswersConnector(Ledger):
    """A faulty connector that returns the response to another caller's request."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        super().send(line, operation, timeout)
        return "another answer"


class OpensOnceConnector(Ledger):
    """A faulty connector that raises when it is opened a second time."""

    is_opened = False

    def open(self, timeout: float, /) -> None:
        if self.is_opened:
            raise RuntimeError("open already")
        self.is_opened = True


class NamelessConnector(Ledger):
    """A faulty connector without a name."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.name = ""


class ShowsPasswordConnector(Ledger):
    """A faulty connector that shows its password in its repr."""

    def __repr__(self) -> str:
        return f"Ledger({PASSWORD})"


class RaisesPasswordConnector(Ledger):
    """A faulty connector whose error texts contain the password."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            raise ConnectionFailed(f"Could not use {PASSWORD}.") from None


class KeepsPasswordInFramesConnector(Ledger):
    """A faulty connector whose errors hold the password in local variables of their frames."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        password = PASSWORD
        del password
        remembered = PASSWORD
        result = super().send(line, operation, timeout)
        del remembered
        return result


class TakesAnyArgumentConnector(Ledger):
    """A faulty connector that ignores unknown arguments."""

    @property
    def operations(self) -> Any:
        (named_operation,) = super().operations.values()
        return {"add": LeakingConnector(named_operation)}


class LeakingConnector:
    def __init__(self, named: NamedOperation) -> None:
        self.name = named.name
        self.arguments = named.arguments
        self.required = named.required

    def operation(self, arguments: object) -> object:
        return arguments


class OverspendsPoolConnector(Ledger):
    """A faulty connector that reports more connections than its pool allows."""

    def statistics(self) -> Any:
        return spoil_statistics(super().statistics(), idle=99)


class CountsBackwardsConnector(Ledger):
    """A faulty connector that reports a negative number of connections."""

    def statistics(self) -> Any:
        return spoil_statistics(super().statistics(), idle=-1)


class ForgetsUsesConnector(Ledger):
    """A faulty connector that does not count the uses of its connections."""

    def statistics(self) -> Any:
        return spoil_statistics(super().statistics(), reused=0)


class KeepsLinksConnector(Ledger):
    """A faulty connector that never returns a connection to the pool."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        deadline = monotonic() + timeout
        link = LedgerLink(self.address, Secret(PASSWORD), timeout)
        self.kept = [*getattr(self, "kept", []), link]
        return link.ask(line, deadline)

    def close(self) -> None:
        super().close()
        for link in getattr(self, "kept", []):
            link.close()


class OpensEachTimeConnector(Ledger):
    """A faulty connector that opens a new connection for each operation."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        self.pool.discard_links()
        return super().send(line, operation, timeout)


class LeaksDescriptorsConnector(Ledger):
    """A faulty connector that leaves file descriptors open when it is closed."""

    def close(self) -> None:
        super().close()
        # Many, because connections that earlier tests left open may be closed meanwhile.
        leaked.extend(os.dup(0) for _ in range(20))


leaked: list[int] = []


class LeaksThreadsConnector(Ledger):
    """A faulty connector that starts a thread per operation, and ends the threads on close."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.over = Event()

    def send(self, line: str, operation: str, timeout: float) -> Any:
        Thread(target=self.over.wait, daemon=True).start()
        return super().send(line, operation, timeout)

    def close(self) -> None:
        self.over.set()
        super().close()


class LeaksObjectsConnector(Ledger):
    """A faulty connector that remembers each line that it has sent."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.history: list[str] = []

    def send(self, line: str, operation: str, timeout: float) -> Any:
        self.history += [f"{line} {number}" for number in range(9)]
        return super().send(line, operation, timeout)


class LeaksBytesConnector(Ledger):
    """A faulty connector that keeps memory of its own for each operation.

    The memory is no part of Python's heap, where a buffer may find room that earlier tests left.
    """

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.buffers: list[mmap.mmap] = []

    def send(self, line: str, operation: str, timeout: float) -> Any:
        buffer = mmap.mmap(-1, 200_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        buffer.write(b"a" * 200_000)
        self.buffers.append(buffer)
        return super().send(line, operation, timeout)


class LeaksTasksConnector(AsyncLedger):
    """A faulty connector that starts a task for each operation, and cancels them when closed."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.tasks: list[asyncio.Task[Any]] = []

    async def send(self, line: str, operation: str, timeout: float) -> Any:
        self.tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
        return await super().send(line, operation, timeout)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await super().close()


class GoesOnAfterCloseConnector(Ledger):
    """A faulty connector that still works after it was closed."""

    def close(self) -> None:
        self.pool.discard_links()


class BreaksWhenClosedConnector(Ledger):
    """A faulty connector that raises a Python exception after it was closed."""

    is_closed = False

    def send(self, line: str, operation: str, timeout: float) -> Any:
        if self.is_closed:
            raise ValueError("I/O operation on a closed file")
        return super().send(line, operation, timeout)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class MixesAnswersWhenClosedConnector(Ledger):
    """A faulty connector that returns another caller's response after it was closed."""

    is_closed = False

    def send(self, line: str, operation: str, timeout: float) -> Any:
        return "another answer" if self.is_closed else super().send(line, operation, timeout)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class UnsureWhenClosedConnector(Ledger):
    """A faulty connector whose errors after closing report an unknown outcome."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except LocalFailure:
            raise ConnectionFailed("The pool is closed.") from None


class SickConnector(Ledger):
    """A faulty connector that is never healthy."""

    def health(self, timeout: float, /) -> ConnectorHealth:
        health: ConnectorHealth = super().health(timeout)
        return self.healthy(0.0, ConnectionFailed(health.text or "ill"))


class RaisesHealthConnector(Ledger):
    """A faulty connector that raises instead of reporting bad health."""

    def health(self, timeout: float, /) -> Any:
        self.send("echo health", "health", timeout)
        return self.healthy(0.0, None)


class WrongHealthConnector(Ledger):
    """A faulty connector that reports another connector's name in its health."""

    def health(self, timeout: float, /) -> Any:
        return attrs.evolve(super().health(timeout), connector="another")


class AlwaysHealthyConnector(Ledger):
    """A faulty connector that reports good health without its server."""

    def health(self, timeout: float, /) -> Any:
        del timeout
        return self.healthy(0.0, None)


class SilentHealthConnector(Ledger):
    """A faulty connector that reports bad health without a reason."""

    def health(self, timeout: float, /) -> Any:
        return attrs.evolve(super().health(timeout), text=None)


class RaisesForeignErrorsConnector(Ledger):
    """A faulty connector that raises exceptions of its library."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectorError as error:
            raise OSError("broken") from error


class CallsAllTheSameConnector(Ledger):
    """A faulty connector that reports every failure as a lost connection."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectorError:
            raise ConnectionFailed("It broke.", may_have_been_processed=False) from None


class NeverSureConnector(Ledger):
    """A faulty connector whose errors always say that the outcome is unknown."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed as error:
            error.may_have_been_processed = True
            raise


class AlwaysSureConnector(Ledger):
    """A faulty connector whose connection errors all claim that nothing was done."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed as error:
            error.may_have_been_processed = False
            raise


class RepeatsWritesConnector(Ledger):
    """A faulty connector that repeats an operation whose connection was lost."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            return super().send(line, operation, timeout)


class NeedsManyResponsesConnector(Ledger):
    """A faulty connector that sends 46 requests per operation, too many for the check."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        for _ in range(45):
            super().send("echo once more", operation, timeout)
        return super().send(line, operation, timeout)


class HangsWhenCutConnector(Ledger):
    """A faulty connector whose operations never end after their connection was lost."""

    over = Event()

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            self.over.wait()
            raise


class LateConnector(Ledger):
    """A faulty connector whose operations end after their deadline."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        return super().send(line, operation, timeout + 0.3)


class LoyalToItsLinkConnector(Ledger):
    """A faulty connector that never replaces its first connection."""

    first: LedgerLink | None = None

    def send(self, line: str, operation: str, timeout: float) -> Any:
        deadline = monotonic() + timeout
        if self.first is None:
            self.first = LedgerLink(self.address, Secret(PASSWORD), timeout)
        try:
            return self.first.ask(line, deadline)
        except ValueError:
            raise ConnectionFailed("Closed.") from None

    def statistics(self) -> None:
        return


class SharesWithChildrenConnector(Ledger):
    """A faulty connector that uses its parent's connections in a forked process."""

    def statistics(self) -> PoolStatistics | None:
        return spoil_statistics(super().statistics(), idle=1)


class WithoutHealthConnector(AsyncLedger):
    """A faulty connector whose health check never ends."""

    async def health(self, timeout: float, /) -> ConnectorHealth:
        await asyncio.Event().wait()
        return await super().health(timeout)  # pragma: no cover - nobody sets the event


class CancelledLine(AsyncLine):
    """A faulty operation that turns its cancellation into an error."""

    async def perform(self, attempt: OperationAttempt) -> str:  # type: ignore[override]  # awaited
        try:
            return await super().perform(attempt)
        except asyncio.CancelledError:
            raise ConnectionFailed("cancelled") from None


class SwallowsCancellationConnector(AsyncLedger):
    """A faulty connector that raises an error when it is cancelled."""

    line = CancelledLine


class ReusesCancelledLinksConnector(AsyncLedger):
    """A faulty connector that reuses a connection although an earlier response may still arrive."""

    link: Any = None

    async def send(self, line: str, operation: str, timeout: float) -> Any:
        if self.link is None or not self.link.is_connected():
            async with self.pool.link(operation, timeout) as link:
                self.link = link
        return await self.link.ask(line)
