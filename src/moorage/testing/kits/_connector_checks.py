"""Checks of connectors with a healthy network."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.service.operation import OperationAttempt
from moorage.errors import ConnectorError, InvalidData
from moorage.testing.kits._connector_harness import Harness, a_text, possibly_processed
from moorage.testing.kits._held_resources import (
    MemoryGrowth,
    ProcessResources,
    memory_after,
    process_resources,
)
from moorage.testing.kits.checks import in_thread, patience, require, wait_soon

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.testing.kits._connector_harness import ConnectorSubject

_CALLERS: Final = 8
_LONG: Final = 30.0
_ROUNDS: Final = 3
_OBJECTS: Final = 50
_OBJECTS_PER_OPERATION: Final = 1.0
_BYTES: Final = 1_000_000
_BYTES_PER_OPERATION: Final = 50


async def operations_have_their_results(harness: Harness) -> None:
    """Check that a read returns its result, and a write takes effect exactly once."""
    async with harness.connector() as connector:
        await harness.read(connector)
        if harness.subject.write is not None:
            name = a_text()
            operation = harness.subject.write(connector, name)
            require(not operation.safe, "An operation that writes calls itself safe.")
            await harness.perform(operation)
            count = await harness.effects(name)
            require(count == 1, f"A write had {count} effects.")


async def opening_is_optional_and_repeatable(harness: Harness) -> None:
    """Check that a connector works without `open`, and after one or two `open` calls."""
    async with harness.connector() as connector:
        await harness.call(connector.open, patience())
        await harness.call(connector.open, patience())
        await harness.read(connector)


async def description_connects_nowhere(harness: Harness) -> None:
    """Check that describing a connector contacts no server and shows no secret."""
    async with harness.connector() as connector:
        if harness.subject.network is not None:
            harness.subject.network.cut_connections()
        require(bool(connector.name), "The connector has no name.")
        require(bool(connector.kind), "The connector has no kind.")
        require(
            connector.service == harness.subject.service,
            f"The connector's service is {connector.service}, not {harness.subject.service}.",
        )
        require(
            isinstance(connector.versions, ConnectorVersions),
            "The connector's `versions` is not a ConnectorVersions.",
        )
        _check_statistics(connector.statistics(), 0)
        harness.check_secret(connector, "the connector's representation")
        harness.check_secret(connector.versions, "its versions")
        for name, named_operation in connector.operations.items():
            harness.check_secret(named_operation, f"the operation {name}")
            _check_named(name, named_operation)


def _check_named(name: str, named: Any) -> None:
    """Check that an operation has its declared name, and refuses wrong arguments."""
    require(named.name == name, f"The operation {name} calls itself {named.name}.")
    require(named.required <= set(named.arguments), f"{name} requires an unknown argument.")
    wrong_arguments: list[dict[str, Any]] = [{**dict.fromkeys(named.required, "1"), a_text(): "1"}]
    if named.required:
        wrong_arguments.append({})
    for arguments in wrong_arguments:
        try:
            named.operation(arguments)
        except InvalidData:
            continue
        raise AssertionError(f"The operation {name} accepts arguments that it does not declare.")


async def callers_share_the_connector(harness: Harness) -> None:
    """Check that concurrent callers get their own results, within the connection limit."""
    async with harness.connector() as connector:

        async def read_often() -> None:
            for _ in range(5):
                await harness.read(connector)
                _check_statistics(connector.statistics(), _CALLERS)

        await asyncio.gather(*(read_often() for _ in range(_CALLERS)))
        statistics = connector.statistics()
        _check_statistics(statistics, 0)
        if statistics is not None:
            handed_out = statistics.created + statistics.reused
            expected = _CALLERS * 5
            require(
                handed_out == 0 or handed_out >= expected,
                f"Of {expected} operations, the statistics count {handed_out}.",
            )


def _check_statistics(statistics: PoolStatistics | None, callers: int) -> None:
    """Check that a pool's statistics are consistent."""
    if statistics is None:
        return
    numbers = (statistics.created, statistics.reused, statistics.idle)
    require(min(numbers) >= 0, f"A number of the pool is negative: {statistics!r}.")
    require(
        0 <= statistics.active <= callers and 0 <= statistics.waiting <= callers,
        f"There are at most {callers} callers, but the pool reports {statistics!r}.",
    )
    maximum = statistics.maximum
    require(
        maximum is None or statistics.size <= maximum,
        f"The pool has more connections than its maximum: {statistics!r}.",
    )


async def health_is_good(harness: Harness) -> None:
    """Check that a connector reports health and latency while its server answers."""
    async with harness.connector() as connector:
        health = await harness.health(connector, patience())
        require(health.is_healthy, f"A connector that works is {health.state}: {health.text}")
        require(health.seconds is not None, "The health report lacks the server's response time.")
        require(health.at.tzinfo is not None, "The moment of the health has no time zone.")


async def operations_leave_nothing_behind(harness: Harness) -> None:
    """Check that thousands of operations leak no memory or other resources.

    They must leak no connections, file descriptors, threads, tasks or memory.
    """
    resources_before = await _held_after_a_first_connector(harness)
    async with harness.connector() as connector:
        await _read_many(harness, connector, 10)
        warm = process_resources()
        growths = [await _growth_of(harness, connector) for _ in range(_ROUNDS)]
        statistics = connector.statistics()
        _check_statistics(statistics, 0)
        largest = (statistics and statistics.maximum) or 1
        await _is_given_back(warm, f"after {harness.subject.operations} operations", largest)
        if statistics is not None and statistics.created:
            require(
                statistics.created <= largest,
                f"{statistics.created} connections were opened for one caller.",
            )
        _check_growth(growths)
    await _is_given_back(resources_before)


def _check_growth(growths: list[MemoryGrowth]) -> None:
    """Fail the check if the used memory grew in every round.

    Libraries fill caches at first, so a round without growth shows that nothing is left behind.
    """
    objects = min(growth.objects for growth in growths)
    memory = min(growth.memory for growth in growths)
    count = growths[0].operations
    require(
        objects <= count * _OBJECTS_PER_OPERATION + _OBJECTS,
        f"Each {count} operations leave {objects} more objects in memory.",
    )
    require(
        memory <= count * _BYTES_PER_OPERATION + _BYTES,
        f"Each {count} operations leave {memory} more bytes in memory.",
    )


async def _growth_of(harness: Harness, connector: Any) -> MemoryGrowth:
    """Perform a round of reads, and return how much more memory is in use afterwards."""
    count = max(1, harness.subject.operations // _ROUNDS)
    memory_before = memory_after(harness.subject.forget)
    await _read_many(harness, connector, count)
    memory_afterwards = memory_after(harness.subject.forget)
    return MemoryGrowth(
        count,
        memory_afterwards.objects - memory_before.objects,
        memory_afterwards.bytes - memory_before.bytes,
    )


async def _held_after_a_first_connector(harness: Harness) -> ProcessResources:
    """Return the resources in use after a first connector was used and closed.

    A library may keep an object for the whole process, such as an event loop.
    """
    async with harness.connector() as connector:
        await _read_many(harness, connector, 1)
    gc.collect()
    return process_resources()


async def _read_many(harness: Harness, connector: Any, number: int) -> None:
    """Perform many reads; use the manager only if the operations are HTTP requests.

    Synchronous reads are performed in one thread, because a tracer keeps memory for each thread.
    """
    attempt = OperationAttempt(1, _LONG)

    def read() -> Any:
        operation = harness.subject.read(connector, a_text())
        if harness.subject.base_url is None:
            return operation.perform(attempt)
        return harness.manager.perform(harness.subject.service, operation, timeout=patience())

    def read_all() -> None:
        for _ in range(number):
            read()

    if harness.is_async:
        for _ in range(number):
            await read()
    else:
        await in_thread(read_all)


async def _is_given_back(
    before: ProcessResources, when: str = "after closing", spare: int = 0
) -> None:
    """Wait until no more resources are in use than before, apart from a tolerance."""
    end = time.monotonic() + patience()
    while growth := process_resources().growth_since(before, spare):
        remaining_text = " and ".join(f"{count} more {name}" for name, count in growth.items())
        require(time.monotonic() < end, f"There are {remaining_text} {when}.")
        gc.collect()
        await asyncio.sleep(0.01)


async def closing_ends_the_connector(harness: Harness) -> None:
    """Check that a closed connector refuses operations, and can be closed repeatedly."""
    resources_before = await _held_after_a_first_connector(harness)
    async with harness.connector() as connector:
        await harness.read(connector)
        await harness.call(connector.close)
        await harness.call(connector.close)
        error = await harness.error_of(
            harness.subject.read(connector, a_text()), None, "the connector was closed"
        )
        require(
            not possibly_processed(error),
            "The error of a closed connector says that the operation may have had an effect.",
        )
        _check_statistics(connector.statistics(), 0)
    await _is_given_back(resources_before)


async def closing_ends_operations(harness: Harness) -> None:
    """Check that running operations end when their connector is closed."""
    start_event = asyncio.Event()
    async with harness.connector() as connector:

        async def read_until_refused() -> None:
            while True:
                try:
                    await harness.read(connector)
                except ConnectorError:
                    return
                start_event.set()
                # An operation that never waits must not keep the others from running.
                await asyncio.sleep(0)

        callers = [asyncio.ensure_future(read_until_refused()) for _ in range(_CALLERS)]
        await wait_soon(start_event.wait(), "No operation succeeded.")
        await wait_soon(harness.call(connector.close), "Closing waits for operations.")
        try:
            await wait_soon(
                asyncio.gather(*callers), "Operations go on after the connector was closed."
            )
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"The closed connector raised {error!r}, which is not an error of moorage."
            ) from error
        _check_statistics(connector.statistics(), 0)


async def wrong_settings_are_named(harness: Harness) -> None:
    """Check that each wrong setting raises its own expected error, which shows no secret."""
    for name, refusal in harness.subject.refusals.items():
        place = harness.at(refusal.base_url)
        async with place.connector(refusal.make) as connector:
            operation = harness.subject.read(connector, a_text())
            error = await place.error_of(operation, _LONG, name)
            require(
                isinstance(error, refusal.error),
                f"{name}: the error is {type(error).__name__}, not {refusal.error.__name__}.",
            )
            require(bool(error.remedy), f"{name}: the error has no remedy.")
            require(not possibly_processed(error), f"{name}: the error leaves the outcome open.")
            require(
                refusal.because in error.message,
                f"{name}: the message says nothing of {refusal.because!r}: {error.message}",
            )
            health = await place.health(connector, _LONG)
            require(
                not health.is_healthy, f"{name}: the connector is nevertheless reported as healthy."
            )
            require(bool(health.text), f"{name}: its health does not contain the problem.")


def forked_child_has_connections_of_its_own(subject: ConnectorSubject) -> None:
    """Check that a forked child opens its own connections, and the parent keeps its own."""
    harness = Harness(subject, is_async=False)
    connector = subject.make(harness.manager)
    try:
        asyncio.run(harness.read(connector))
        # The child ends before the parent continues, and closes its inherited connections.
        problem = in_child(lambda: _child(harness, connector))
        require(not problem, f"In a forked child: {problem}")
        for _ in range(3):
            asyncio.run(harness.read(connector))
    finally:
        connector.close()


def _child(harness: Harness, connector: Any) -> None:  # pragma: no cover - runs in a forked child
    statistics = connector.statistics()
    if statistics is not None:
        require(
            (statistics.active, statistics.idle) == (0, 0),
            f"it uses the connections of its parent: {statistics!r}.",
        )
    for _ in range(3):
        asyncio.run(harness.read(connector))
    connector.close()


def in_child(run: Callable[[], object]) -> str:
    """Run a function in a forked child process, and return the text of its exception."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer versions of Python warn about other threads, which the child does not use here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover - runs in the child, which coverage does not see
        problem = ""
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            problem = str(error) or repr(error)
        finally:
            os.write(writing, problem.encode()[:4000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as problems:
        readable_pipes, _, _ = select.select([problems], [], [], 4 * patience())
        text = problems.read().decode() if readable_pipes else "it did not end."
    if not readable_pipes:
        os.kill(child, 9)
    os.waitpid(child, 0)
    return text


CHECKS: Final[tuple[Callable[[Harness], Coroutine[Any, Any, None]], ...]] = (
    operations_have_their_results,
    opening_is_optional_and_repeatable,
    description_connects_nowhere,
    callers_share_the_connector,
    health_is_good,
    operations_leave_nothing_behind,
    closing_ends_the_connector,
    closing_ends_operations,
    wrong_settings_are_named,
)
