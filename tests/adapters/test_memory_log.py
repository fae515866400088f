"""The in-memory integration log."""

import asyncio
import operator
from threading import Thread
from typing import Any

import attrs
import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Service
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.domain.observation.integration_log import IntegrationLog, LogQuery
from moorage.errors import ConfigurationError, InvalidData
from moorage.testing import integration_log_conformance as kit
from moorage.testing.kits.checks import name_of


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_memory_integration_logger_passes_conformance_kit(check: kit.Check) -> None:
    """MemoryIntegrationLogger passes the conformance kit."""
    check(MemoryIntegrationLogger)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_memory_integration_logger_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncMemoryIntegrationLogger passes the conformance kit."""
    asyncio.run(check(AsyncMemoryIntegrationLogger))


def test_oldest_entries_above_max_entries_are_dropped() -> None:
    """Above `max_entries`, the oldest log entries are dropped, and a listing by pages ends."""
    log = MemoryIntegrationLogger(max_entries=3)
    for number in range(5):
        log.write(kit.entry(number))
    page = log.find(LogQuery(limit=2))
    log.write(kit.entry(5))
    log.write(kit.entry(6))

    assert ["call-0004", "call-0003"] == [entry.id for entry in page.items]
    assert () == log.find(LogQuery(after=page.next)).items
    assert 3 == log.summarise(LogQuery()).count


def test_bytes_are_bounded() -> None:
    """When the strings of log entries exceed `max_bytes`, the oldest entries are dropped."""
    log = MemoryIntegrationLogger(max_bytes=50_000)
    texts = [number * 10_000 for number in (1, 2, 3, 0, 4, 9, 0)]
    kept_entries: list[int] = []
    for number, length in enumerate(texts):
        item = attrs.evolve(kit.entry(1), id=str(number), request="x" * length or None)
        log.write(item)
        kept_entries.append(len(log.find(LogQuery()).items))

    assert [1, 2, 1, 2, 2, 1, 1] == kept_entries


def test_removed_entries_free_their_bytes() -> None:
    """Removing log entries frees their bytes for new entries."""
    log = MemoryIntegrationLogger(max_bytes=50_000)
    long_entry = attrs.evolve(kit.entry(1), request="x" * 40_000)
    log.write(long_entry)
    log.write(kit.entry(2))
    assert 1 == log.remove(LogQuery(id=long_entry.id))

    log.write(long_entry)
    assert 2 == log.summarise(LogQuery()).count


def test_forked_child_does_not_wait_for_the_lock() -> None:
    """A child forked while a thread wrote to the log keeps the entries and can write."""
    log = MemoryIntegrationLogger()
    log.write(kit.entry(1))
    with log._lock:  # noqa: SLF001 - as another thread may hold it
        MemoryIntegrationLogger._start_lock(log)  # noqa: SLF001 - as in the child
        writer = Thread(target=log.write, args=(kit.entry(2),))
        writer.start()
        writer.join()

    assert 2 == log.summarise(LogQuery()).count


def test_synchronous_and_asynchronous_callers_can_share_one_in_memory_log() -> None:
    """Synchronous and asynchronous callers can share one in-memory log."""
    log = MemoryIntegrationLogger()
    twin_logger = AsyncMemoryIntegrationLogger(log)
    log.write(kit.entry(1))
    twin_logger.write(kit.entry(2))

    assert log.find(LogQuery()) == asyncio.run(twin_logger.find(LogQuery()))


def test_invalid_cursor_is_refused() -> None:
    """A query with a cursor that no page returned is refused."""
    with pytest.raises(InvalidData, match="is not valid"):
        MemoryIntegrationLogger().find(LogQuery(after="tomorrow"))


@pytest.mark.parametrize("bound", ["max_entries", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_size_limit_that_is_not_a_positive_integer_is_refused(bound: str, value: int) -> None:
    """A size limit of the log that is zero, negative or fractional is refused."""
    with pytest.raises(ConfigurationError, match=bound):
        MemoryIntegrationLogger(**{bound: value})


def _log_calls(log: MemoryIntegrationLogger, *services: str) -> None:
    """Make successful calls, for which the log stores entries."""
    manager = ConnectorManager([Service(name) for name in {*services}], log=log)
    for service in services:
        manager.run(service, int)


def test_entries_of_successes_are_made_when_read() -> None:
    """The log creates the entries of successful calls when they are first read, in order."""
    log = MemoryIntegrationLogger(max_entries=4)
    log.write(kit.entry(1))
    _log_calls(log, "a", "b", "a", "b", "a")

    entries = log.find(LogQuery()).items
    assert ["a", "b", "a", "b"] == [entry.service for entry in entries]
    assert all(map(operator.is_, entries, log.find(LogQuery()).items))
    log.write(kit.entry(2))
    assert "call-0002" == log.find(LogQuery(limit=1)).items[0].id
    assert 1 == log.remove(LogQuery(service="b"))
    assert 3 == log.summarise(LogQuery()).count


def test_entry_written_while_entries_are_made_is_kept() -> None:
    """If a finaliser writes an entry while the log creates entries of successes, it is not lost."""
    log = MemoryIntegrationLogger()
    _log_calls(log, "a", "a")
    items: Any = vars(log)["_items"]

    class Item(tuple[Any, ...]):
        """A stored item whose reading writes another log entry."""

        __slots__ = ()

        def __iter__(self) -> Any:
            if len(vars(log)["_items"]) < 3:
                log.write(kit.entry(7))
            return super().__iter__()

    items[-1] = Item(items[-1])
    assert 2 == len(log.find(LogQuery()).items)
    assert ["call-0007", "a", "a"] == [
        entry.id if entry.service != "a" else "a" for entry in log.find(LogQuery()).items
    ]


@pytest.mark.parametrize("shared", [False, True])
def test_own_write_receives_every_entry(shared: bool) -> None:
    """A log that overrides `write`, for example to change entries, receives every entry."""

    class Masking(MemoryIntegrationLogger):
        """A log that removes the tenants from its entries."""

        def write(self, entry: IntegrationLog, /) -> None:
            """Store the entry without its tenant."""
            super().write(attrs.evolve(entry, tenant="***"))

    log = Masking()

    async def main() -> None:
        manager = AsyncConnectorManager([Service("a")], log=AsyncMemoryIntegrationLogger(log))
        for _ in range(2):
            await manager.run("a", do_nothing)

    async def do_nothing() -> None:
        """Do nothing."""

    if shared:
        asyncio.run(main())
    else:
        _log_calls(log, "a", "a")

    assert ["***"] * 2 == [entry.tenant for entry in log.find(LogQuery()).items]
