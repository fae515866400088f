"""Connectors of the ledger, each with one mistake that a check has to notice."""

from __future__ import annotations

import asyncio
import os
from threading import Event
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


def spoiled(statistics: PoolStatistics | None, **numbers: int) -> PoolStatistics | None:
    """Return statistics with other numbers."""
    return statistics and attrs.evolve(statistics, **numbers)


class WritesTwice(Ledger):
    """Sends a write twice."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        if line.startswith("add"):
            super().send(line, operation, timeout)
        return super().send(line, operation, timeout)


class SafeLine(Line):
    """Calls itself safe."""

    @property
    def safe(self) -> bool:
        return True


class ClaimsSafety(Ledger):
    """Calls its writes safe."""

    line = SafeLine


class MixesAnswers(Ledger):
    """Returns another caller's answer."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        super().send(line, operation, timeout)
        return "another answer"


class OpensOnce(Ledger):
    """Raises if it is opened again."""

    is_opened = False

    def open(self, timeout: float, /) -> None:
        if self.is_opened:
            raise RuntimeError("open already")
        self.is_opened = True


class Nameless(Ledger):
    """Has no name."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        super().__init__(address, password)
        self.name = ""


class ShowsPassword(Ledger):
    """Shows its password."""

    def __repr__(self) -> str:
        return f"Ledger({PASSWORD})"


class RaisesPassword(Ledger):
    """Raises errors whose text has the password."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            raise ConnectionFailed(f"Could not use {PASSWORD}.") from None


class KeepsPasswordInFrames(Ledger):
    """Raises errors whose frames have the password."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        password = PASSWORD
        del password
        remembered = PASSWORD
        result = super().send(line, operation, timeout)
        del remembered
        return result


class TakesAnyArgument(Ledger):
    """Ignores arguments that it does not know."""

    @property
    def operations(self) -> Any:
        (named,) = super().operations.values()
        return {"add": Careless(named)}


class Careless:
    def __init__(self, named: NamedOperation) -> None:
        self.name = named.name
        self.arguments = named.arguments
        self.required = named.required

    def operation(self, arguments: object) -> object:
        return arguments


class OverspendsPool(Ledger):
    """Says that it has more connections than it may."""

    def statistics(self) -> Any:
        return spoiled(super().statistics(), idle=99)


class CountsBackwards(Ledger):
    """Counts a negative number of connections."""

    def statistics(self) -> Any:
        return spoiled(super().statistics(), idle=-1)


class ForgetsUses(Ledger):
    """Counts connections, and not how often they are used."""

    def statistics(self) -> Any:
        return spoiled(super().statistics(), reused=0)


class KeepsLinks(Ledger):
    """Never gives a connection back."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        until = monotonic() + timeout
        link = LedgerLink(self.address, Secret(PASSWORD), timeout)
        self.kept = [*getattr(self, "kept", []), link]
        return link.ask(line, until)

    def close(self) -> None:
        super().close()
        for link in getattr(self, "kept", []):
            link.close()


class OpensEachTime(Ledger):
    """Opens a connection for each operation."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        self.pool.discard()
        return super().send(line, operation, timeout)


class LeaksDescriptors(Ledger):
    """Leaves descriptors open when it is closed."""

    def close(self) -> None:
        super().close()
        leaked.append(os.dup(0))


leaked: list[int] = []


class GoesOnAfterClose(Ledger):
    """Works after it was closed."""

    def close(self) -> None:
        self.pool.discard()


class BreaksWhenClosed(Ledger):
    """Raises an exception of Python after it was closed."""

    is_closed = False

    def send(self, line: str, operation: str, timeout: float) -> Any:
        if self.is_closed:
            raise ValueError("I/O operation on a closed file")
        return super().send(line, operation, timeout)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class MixesAnswersWhenClosed(Ledger):
    """Returns another caller's answer after it was closed."""

    is_closed = False

    def send(self, line: str, operation: str, timeout: float) -> Any:
        return "another answer" if self.is_closed else super().send(line, operation, timeout)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class UnsureWhenClosed(Ledger):
    """Leaves open what happened after it was closed."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except LocalFailure:
            raise ConnectionFailed("The pool is closed.") from None


class Sick(Ledger):
    """Is never healthy."""

    def health(self, timeout: float, /) -> ConnectorHealth:
        health: ConnectorHealth = super().health(timeout)
        return self.healthy(0.0, ConnectionFailed(health.text or "ill"))


class RaisesHealth(Ledger):
    """Raises instead of returning its health."""

    def health(self, timeout: float, /) -> Any:
        self.send("echo health", "health", timeout)
        return self.healthy(0.0, None)


class WrongHealth(Ledger):
    """Returns the health of another connector."""

    def health(self, timeout: float, /) -> Any:
        return attrs.evolve(super().health(timeout), connector="another")


class AlwaysHealthy(Ledger):
    """Is healthy without its server."""

    def health(self, timeout: float, /) -> Any:
        del timeout
        return self.healthy(0.0, None)


class SilentHealth(Ledger):
    """Does not say what is wrong."""

    def health(self, timeout: float, /) -> Any:
        return attrs.evolve(super().health(timeout), text=None)


class RaisesForeignErrors(Ledger):
    """Raises the exceptions of its library."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectorError as error:
            raise OSError("broken") from error


class CallsAllTheSame(Ledger):
    """Calls each failure one of the connection."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectorError:
            raise ConnectionFailed("It broke.", may_have_been_processed=False) from None


class NeverSure(Ledger):
    """Leaves the outcome open whatever happened."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed as error:
            error.may_have_been_processed = True
            raise


class AlwaysSure(Ledger):
    """Rules every outcome out."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed as error:
            error.may_have_been_processed = False
            raise


class RepeatsWrites(Ledger):
    """Repeats what was lost."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            return super().send(line, operation, timeout)


class NeedsManyResponses(Ledger):
    """Sends so many requests for one operation that the check gives it up."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        for _ in range(45):
            super().send("echo once more", operation, timeout)
        return super().send(line, operation, timeout)


class HangsWhenCut(Ledger):
    """Never ends an operation whose connection was lost."""

    over = Event()

    def send(self, line: str, operation: str, timeout: float) -> Any:
        try:
            return super().send(line, operation, timeout)
        except ConnectionFailed:
            self.over.wait()
            raise


class Late(Ledger):
    """Ends long after its deadline."""

    def send(self, line: str, operation: str, timeout: float) -> Any:
        return super().send(line, operation, timeout + 0.3)


class LoyalToItsLink(Ledger):
    """Never replaces its first connection."""

    first: LedgerLink | None = None

    def send(self, line: str, operation: str, timeout: float) -> Any:
        until = monotonic() + timeout
        if self.first is None:
            self.first = LedgerLink(self.address, Secret(PASSWORD), timeout)
        try:
            return self.first.ask(line, until)
        except ValueError:
            raise ConnectionFailed("Closed.") from None

    def statistics(self) -> None:
        return


class SharesWithChildren(Ledger):
    """Uses the connections of its parent in a forked child."""

    def statistics(self) -> PoolStatistics | None:
        return spoiled(super().statistics(), idle=1)


class WithoutHealth(AsyncLedger):
    """Never returns its health."""

    async def health(self, timeout: float, /) -> ConnectorHealth:
        await asyncio.Event().wait()
        return await super().health(timeout)  # pragma: no cover - nobody sets the event


class CancelledLine(AsyncLine):
    """Swallows its cancellation."""

    async def perform(self, attempt: OperationAttempt) -> str:  # type: ignore[override]  # awaited
        try:
            return await super().perform(attempt)
        except asyncio.CancelledError:
            raise ConnectionFailed("cancelled") from None


class SwallowsCancellation(AsyncLedger):
    """Ends with an error when it is cancelled."""

    line = CancelledLine


class ReusesCancelledLinks(AsyncLedger):
    """Goes on with a connection whose answer is still to come."""

    link: Any = None

    async def send(self, line: str, operation: str, timeout: float) -> Any:
        if self.link is None or not self.link.is_connected():
            async with self.pool.link(operation, timeout) as link:
                self.link = link
        return await self.link.ask(line)
