"""Checks of connectors while the network or the server fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.errors import ConnectionFailed, ConnectorError, DeadlineExceeded, OutcomeUnknown
from moorage.testing.kits._connector_harness import a_text, possibly_processed
from moorage.testing.kits.checks import patience, require, wait_soon

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.testing.kits._connector_harness import Harness, NetworkFaults

_LOST: Final = (ConnectionFailed, DeadlineExceeded, OutcomeUnknown)
_MOST_RESPONSES: Final = 40
_MOST_ERRORS: Final = 20


def _network(harness: Harness) -> NetworkFaults:
    network = harness.subject.network
    require(network is not None, "The subject has no network: leave NETWORK_CHECKS out.")
    return cast("NetworkFaults", network)


def _require_lost(error: ConnectorError, because: str) -> None:
    require(
        isinstance(error, _LOST),
        f"{because}: the error is {type(error).__name__}, no failure of a connection.",
    )


async def silent_server_ends_at_the_deadline(harness: Harness) -> None:
    """Check that an operation ends within 50 ms of its deadline when the server falls silent."""
    async with harness.connector() as connector:
        await harness.read(connector)
        _network(harness).withhold()
        error = await harness.late_error_of(
            harness.subject.read(connector, a_text()), "the server does not answer a read"
        )
        _require_lost(error, "The server does not answer")


async def silent_host_ends_at_the_deadline(harness: Harness) -> None:
    """Check that an operation ends at its deadline when a new connection gets no response."""
    async with harness.connector() as connector:
        _network(harness).withhold()
        error = await harness.late_error_of(
            harness.subject.read(connector, a_text()), "the server does not answer a new connection"
        )
        _require_lost(error, "The server does not answer")


async def unanswered_write_is_unknown(harness: Harness) -> None:
    """Check that an unanswered write ends at its deadline with an unknown outcome."""
    write = harness.subject.write
    if write is None:
        return
    async with harness.connector() as connector:
        await harness.perform(write(connector, a_text()))
        _network(harness).withhold_responses()
        name = a_text()
        error = await harness.late_error_of(
            write(connector, name), "the response to a write is lost"
        )
        _require_lost(error, "The response to a write is lost")
        await _check_outcome(harness, name, error, "The response to a write never came")
        harness.restore()
        await _recovers(harness, connector)


async def connection_cut_at_each_point(harness: Harness) -> None:
    """For every point at which a connection can break, check the error that a write raises.

    The connection is cut instead of the first response, then instead of the second one, and so on
    until the write succeeds. An error that says that nothing was written is wrong if the write has
    taken effect.
    """
    write = harness.subject.write
    if write is None:
        return
    network = _network(harness)
    for responses in range(_MOST_RESPONSES):
        for is_open in (False, True):
            async with harness.connector() as connector:
                if is_open:
                    await harness.perform(write(connector, a_text()))
                network.cut_after(responses)
                name = a_text()
                try:
                    await wait_soon(
                        harness.perform(write(connector, name)), "A cut connection hangs."
                    )
                except ConnectorError as error:
                    where = f"The connection was cut after {responses} responses"
                    harness.check_secret(error, where)
                    _require_lost(error, where)
                    await _check_outcome(harness, name, error, where)
                    is_done = False
                except AssertionError:
                    raise
                except Exception as error:
                    raise AssertionError(
                        f"The connector raised {error!r}, which is not an error of moorage."
                    ) from error
                else:
                    is_done = True
                    count = await harness.effects(name)
                    require(count == 1, f"A write that succeeded had {count} effects.")
        # The last of the two has an open connection, so it needs fewer responses.
        if is_done and responses:
            return
    raise AssertionError(f"A write still fails after {_MOST_RESPONSES} responses.")


async def _check_outcome(harness: Harness, name: str, error: ConnectorError, where: str) -> None:
    """Check that an error does not say "nothing done" if the write has taken effect."""
    count = await harness.effects(name)
    require(count <= 1, f"{where}: the write had {count} effects.")
    require(
        count == 0 or possibly_processed(error),
        f"{where}: the write happened, and {error!r} says that it did not.",
    )


async def refused_connection_did_nothing(harness: Harness) -> None:
    """Check that the error for an unreachable server states that nothing was done."""
    async with harness.connector() as connector:
        _network(harness).cut_connections()
        make = harness.subject.write or harness.subject.read
        error = await harness.error_of(
            make(connector, a_text()), patience(), "no connection can be opened"
        )
        _require_lost(error, "No connection can be opened")
        require(
            not possibly_processed(error),
            f"No connection could be opened, and {error!r} leaves the outcome open.",
        )
        require(error.retryable, "The error of a server that may recover is not retryable.")


async def health_says_what_is_wrong(harness: Harness) -> None:
    """Check that health reports an unreachable server within its timeout, and then its recovery."""
    async with harness.connector() as connector:
        network = _network(harness)
        await harness.read(connector)
        for fault in (network.cut_connections, network.withhold):
            fault()
            health = await harness.health(connector, harness.subject.timeout)
            require(
                not health.is_healthy,
                "A connector is reported as healthy while its server is unreachable.",
            )
            require(bool(health.text), "The health does not contain the problem.")
            network.restore()
        for _ in range(_MOST_ERRORS):
            health = await harness.health(connector, patience())
            if health.is_healthy:
                return
        raise AssertionError(
            f"The server works again, but the connector's health is {health.state}."
        )


async def restarted_server_is_used_again(harness: Harness) -> None:
    """Check that operations soon succeed again after all connections broke."""
    async with harness.connector() as connector:
        await harness.read(connector)
        network = _network(harness)
        network.cut_connections()
        network.restore()
        await _recovers(harness, connector)


async def _recovers(harness: Harness, connector: Any) -> None:
    """Read until two reads in a row succeed; fail the check after too many attempts."""
    for _ in range(_MOST_ERRORS):
        try:
            await harness.read(connector)
            await harness.read(connector)
        except ConnectorError as error:
            _require_lost(error, "The server is back")
            continue
        break
    else:
        raise AssertionError("The server works again, but operations still fail.")
    statistics = connector.statistics()
    require(
        statistics is None or statistics.active == 0,
        f"A failed operation keeps its connection: {statistics!r}.",
    )


async def closing_ends_a_silent_operation(harness: Harness) -> None:
    """Check that closing the connector ends an operation that waits for a silent server."""
    async with harness.connector() as connector:
        await harness.read(connector)
        network = _network(harness)
        network.withhold_responses()
        requests = network.requests
        operation = harness.subject.read(connector, a_text())
        caller = asyncio.ensure_future(harness.perform(operation, 2 * harness.subject.timeout))
        while network.requests == requests and not caller.done():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)
        await wait_soon(harness.call(connector.close), "Closing waits for a silent server.")
        await wait_soon(
            asyncio.wait([caller]), "An operation succeeded after its connector was closed."
        )
        error = caller.exception()
        require(
            error is None or isinstance(error, ConnectorError),
            f"The closed connector raised {error!r}, which is not an error of moorage.",
        )
        statistics = connector.statistics()
        require(
            statistics is None or statistics.active == 0,
            f"A closed connector keeps its connections: {statistics!r}.",
        )


async def cancelled_operation_leaves_no_trace(harness: Harness) -> None:
    """Check that a cancelled operation leaves its connection clean or closed.

    A late response to it reaches nobody, and no connection stays in use.
    """
    async with harness.connector() as connector:
        await harness.read(connector)
        network = _network(harness)
        for _ in range(3):
            network.withhold_responses()
            requests = network.requests
            operation = harness.subject.read(connector, a_text())
            caller = asyncio.ensure_future(harness.perform(operation))
            while network.requests == requests and not caller.done():  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.001)
            caller.cancel()
            await wait_soon(asyncio.wait([caller]), "A cancelled operation does not end.")
            require(caller.cancelled(), "A cancelled operation ended otherwise.")
            network.restore()
            await _recovers(harness, connector)


CHECKS: Final[tuple[Callable[[Harness], Coroutine[Any, Any, None]], ...]] = (
    silent_server_ends_at_the_deadline,
    silent_host_ends_at_the_deadline,
    unanswered_write_is_unknown,
    connection_cut_at_each_point,
    refused_connection_did_nothing,
    health_says_what_is_wrong,
    restarted_server_is_used_again,
    closing_ends_a_silent_operation,
)
