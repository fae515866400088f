"""The integration log of one process, in memory."""

import asyncio

import pytest

from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.domain.observation.integration_log import LogQuery
from moorage.errors import ConfigurationError, InvalidData
from moorage.testing import integration_log_conformance as kit
from moorage.testing.kits.checks import name_of


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_conforms(check: kit.Check) -> None:
    """The log in memory keeps the contract of its port."""
    check(MemoryIntegrationLogger)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_conforms(check: kit.AsyncCheck) -> None:
    """The asynchronous log in memory passes the conformance kit."""
    asyncio.run(check(AsyncMemoryIntegrationLogger))


def test_keeps_the_latest() -> None:
    """Past its bound the oldest entries are dropped, and pages end where those were."""
    log = MemoryIntegrationLogger(max_entries=3)
    for number in range(5):
        log.write(kit.entry(number))
    page = log.find(LogQuery(limit=2))
    log.write(kit.entry(5))
    log.write(kit.entry(6))

    assert ["call-0004", "call-0003"] == [entry.id for entry in page.items]
    assert () == log.find(LogQuery(after=page.next)).items
    assert 3 == log.summarise(LogQuery()).count


def test_one_log_for_both_modes() -> None:
    """Entries that either mode wrote are found by the other."""
    log = MemoryIntegrationLogger()
    twin_logger = AsyncMemoryIntegrationLogger(log)
    log.write(kit.entry(1))
    twin_logger.write(kit.entry(2))

    assert log.find(LogQuery()) == asyncio.run(twin_logger.find(LogQuery()))


def test_invalid_cursor_is_refused() -> None:
    """A cursor that no page returned is refused."""
    with pytest.raises(InvalidData, match="is not valid"):
        MemoryIntegrationLogger().find(LogQuery(after="tomorrow"))


@pytest.mark.parametrize("max_entries", [0, -1, 1.5])
def test_needs_a_bound(max_entries: int) -> None:
    """A log that could keep nothing, or for ever, is refused."""
    with pytest.raises(ConfigurationError, match="max_entries"):
        MemoryIntegrationLogger(max_entries=max_entries)
