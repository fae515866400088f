"""A test environment for a connector: the connector, its server and helpers for the checks."""

from __future__ import annotations

import time
import traceback
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from uuid import uuid4

import attrs

from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.settings import Service
from moorage.errors import ConnectorError
from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
from moorage.testing.kits.checks import (
    EventTooLate,
    StallMeter,
    in_thread,
    patience,
    require,
    wait_soon,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from moorage.domain.connectors.health import ConnectorHealth

LATENESS: Final = 0.05
"""Seconds by which an operation may end after its deadline."""


class NetworkFaults(Protocol):
    """Faults of the network between a connector and its server, for example made by `TcpProxy`.

    `requests` is the number of times that the connector sent something after a response, or first.
    """

    @property
    def requests(self) -> int: ...

    def withhold(self) -> None: ...

    def withhold_responses(self) -> None: ...

    def cut_connections(self) -> None: ...

    def cut_after(self, responses: int) -> None: ...

    def restore(self) -> None: ...


@attrs.frozen(kw_only=True)
class Refusal:
    """A wrong setting of a connector, and the error that it must cause.

    Attributes:
        make: makes a connector with the wrong setting; takes a manager.
        error: the class of the error.
        because: a word that the error's message must contain, such as "host".
        base_url: the wrong address of the service, of a connector whose operations are HTTP
            requests.
    """

    make: Callable[[Any], Any]
    error: type[ConnectorError]
    because: str = ""
    base_url: str | None = None


@attrs.frozen(kw_only=True)
class ConnectorSubject:
    """A connector to be checked, with functions that create it and use it.

    Attributes:
        make: makes a connector whose server answers; takes the manager of its operations.
        read: makes an operation that changes nothing. It takes the connector and a text.
        echoes: whether the result of `read` contains the text.
        write: makes an operation with one effect. It takes the connector and a text, which names
            the effect; None if the connector changes nothing.
        count: returns the number of times that the effect of this name happened. It asks the server
            directly, and waits for nothing.
        network: the network between the connector and its server; None if there is none.
        refusals: wrong settings, by names such as "wrong password".
        secret: a text that no error, health or description may contain, such as the password.
        service: the name of the connector's service.
        base_url: the address of the service, of a connector whose operations are HTTP requests.
        timeout: the seconds after which an operation of a silent server must end.
        operations: the number of operations after which nothing may be left behind.
        forget: drops the messages that a server in this process has stored, which would count as
            memory of the connector.
    """

    make: Callable[[Any], Any]
    read: Callable[[Any, str], Any]
    echoes: bool = False
    write: Callable[[Any, str], Any] | None = None
    count: Callable[[str], int] | None = None
    network: NetworkFaults | None = None
    refusals: Mapping[str, Refusal] = attrs.field(factory=dict[str, Refusal])
    secret: str | None = attrs.field(default=None, repr=False)
    service: str = "connector"
    base_url: str | None = None
    timeout: float = 0.5
    operations: int = 10_000
    forget: Callable[[], object] | None = None


class Harness:
    """A test environment for a connector, which checks use through coroutines, sync or async.

    A synchronous connector is used in threads.
    """

    def __init__(self, subject: ConnectorSubject, *, is_async: bool) -> None:
        self.subject = subject
        self.is_async = is_async
        # A check inspects single attempts, so nothing is repeated and no circuit breaker opens.
        service = Service(
            subject.service, base_url=subject.base_url, retry=RetryPolicy.none(), circuit=None
        )
        kind: Any = AsyncConnectorManager if is_async else ConnectorManager
        self.manager: Any = kind([service])

    def at(self, base_url: str | None) -> Harness:
        """Return the test environment for an address; by default this environment."""
        if base_url is None:
            return self
        return Harness(attrs.evolve(self.subject, base_url=base_url), is_async=self.is_async)

    @asynccontextmanager
    async def connector(
        self, make: Callable[[Any], Any] | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield a new connector; afterwards, repair the network and close the connector."""
        connector = (make or self.subject.make)(self.manager)
        try:
            yield connector
        finally:
            self.restore()
            await self.call(connector.close)

    def restore(self) -> None:
        """Repair the connector's network, if the test can break it."""
        if self.subject.network is not None:
            self.subject.network.restore()

    async def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the connector, and return its result."""
        if self.is_async:
            return await method(*arguments)
        return await in_thread(partial(method, *arguments))

    async def perform(self, operation: Any, timeout: float | None = None) -> Any:
        """Perform an operation through the manager, with all protections."""
        perform = partial(self.manager.perform, self.subject.service, operation)
        perform = partial(perform, timeout=patience() if timeout is None else timeout)
        return await perform() if self.is_async else await in_thread(perform)

    async def read(self, connector: Any, timeout: float | None = None) -> None:
        """Perform a read with a unique text, and check that the result contains this text."""
        text = a_text()
        result = await self.perform(self.subject.read(connector, text), timeout)
        if self.subject.echoes:
            require(text in repr(result), f"A read for {text} returned {result!r}.")

    async def error_of(self, operation: Any, timeout: float | None, because: str) -> ConnectorError:
        """Return the error that an operation raises; fail the check if it is foreign to moorage."""
        try:
            result = await wait_soon(
                self.perform(operation, timeout), f"The operation did not end: {because}"
            )
        except ConnectorError as error:
            self.check_secret(error, because)
            return error
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"The connector raised {error!r}, which is not an error of moorage: {because}"
            ) from error
        raise AssertionError(
            f"The operation returned {result!r} instead of raising an error: {because}"
        )

    async def late_error_of(self, operation: Any, because: str) -> ConnectorError:
        """Return an operation's error; fail the check if it comes too long after the deadline."""
        timeout = self.subject.timeout
        start, control = time.monotonic(), StallMeter()
        with control:
            error = await self.error_of(operation, timeout, because)
            duration = time.monotonic() - start
        lateness = duration - timeout - control.lost
        if lateness > LATENESS:
            raise EventTooLate(
                f"The operation ended {lateness * 1000:.0f} ms after its deadline: {because}"
            )
        return error

    async def health(self, connector: Any, timeout: float) -> ConnectorHealth:
        """Return a connector's health; fail the check if this raises an error."""
        health: ConnectorHealth
        try:
            health = await wait_soon(
                self.call(connector.health, timeout), "health() did not return in time."
            )
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"The connector's health check raised {error!r} instead of returning a value."
            ) from error
        name = connector.name
        require(health.connector == name, f"The health of {name} is that of {health.connector}.")
        self.check_secret(health, "its health")
        return health

    async def effects(self, name: str) -> int:
        """Return how often a write with this name has taken effect."""
        count = self.subject.count
        require(
            count is not None,
            "The subject has writing operations, but no function that counts their effects.",
        )
        return await in_thread(partial(cast("Callable[[str], int]", count), name))

    def check_secret(self, value: object, where: str) -> None:
        """Check that neither a value nor an error's stack frames show the connector's secret."""
        secret = self.subject.secret
        if secret is None:
            return
        shown_text = [repr(value), str(value)]
        if isinstance(value, BaseException):
            trace = traceback.TracebackException.from_exception(value, capture_locals=True)
            shown_text += [repr(vars(value)), *trace.format()]
        require(not any(secret in text for text in shown_text), f"The secret is shown: {where}.")


def a_text() -> str:
    """Return a unique text."""
    return uuid4().hex


def possibly_processed(error: ConnectorError) -> bool:
    """Return whether an operation may have taken effect, as far as its error tells."""
    return error.may_have_been_processed
