"""All simulated calls of a host, to a failing vendor over real sockets, for the secret search.

Written once for both modes. Everything that the host sees is collected: results, errors, events,
log records and files.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    Service,
)
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.domain.observation.integration_log import LogQuery
from moorage.testing.fakes.http_server import VendorServer
from tests.security.shared import await_if_needed
from tests.security.simulated_calls import CARD, CHAPTERS, IBAN, script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.canaries import Canaries
    from tests.security.watched import LoggedOutputs

MODES: Final = ("sync", "async")


class Observations:
    """All output of the simulated calls that a host could see."""

    def __init__(
        self, canaries: Canaries, mode: str, folder: Path, watched: LoggedOutputs | None = None
    ) -> None:
        self.plant = canaries.plant
        self.is_async = mode == "async"
        self.folder = folder
        self.seen: list[tuple[str, object]] = []
        self.events: list[Any] = []
        self.records: list[logging.LogRecord] = []
        self.log = MemoryIntegrationLogger()
        self.watched = watched
        self.closing: list[Any] = []

    def pick(self, sync_value: Any, async_value: Any) -> Any:
        """Return one of these values: the first in sync mode, the second in async mode."""
        return async_value if self.is_async else sync_value

    def keep(self, name: str, value: object) -> None:
        """Collect a value under a name, so that it is searched for secrets."""
        self.seen.append((name, value))

    def manager(self, *services: Service, **ports: Any) -> Any:
        """Return a manager, synchronous or asynchronous like the simulated calls."""
        observers: list[Any] = [self.events.append]
        log: Any = self.log
        if self.watched is not None:
            services = tuple(map(self.watched.logged, services))
            observers += self.watched.observers
            log = self.watched.log
        manager = self.pick(ConnectorManager, AsyncConnectorManager)(
            services, observers=observers, log=log, **ports
        )
        self.closing.append(manager)
        return manager

    async def call(self, name: str, manager: Any, *settings: Any, **options: Any) -> None:
        """Make a call, and collect its outcome."""
        try:
            self.keep(name, await await_if_needed(manager.call(*settings, **options)))
        except Exception as error:  # noqa: BLE001 - to be looked at
            self.keep(name, error)

    async def attempt(self, name: str, function: Any, *settings: Any, **options: Any) -> None:
        """Run a function, and collect its error."""
        try:
            await await_if_needed(function(*settings, **options))
        except Exception as error:  # noqa: BLE001 - to be looked at
            self.keep(name, error)

    async def close(self) -> None:
        """Close all managers."""
        for resource in self.closing:
            await await_if_needed((getattr(resource, "aclose", None) or resource.close)())


async def observed_calls(
    canaries: Canaries, mode: str, folder: Path, watched: LoggedOutputs | None = None
) -> Observations:
    """Make all simulated calls, and collect their output."""
    day = Observations(canaries, mode, folder, watched)
    day.plant("card", CARD)
    day.plant("iban", IBAN)
    handler = _Keeper(day.records)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with ExitStack() as stack:
            vendor = stack.enter_context(VendorServer())
            script(vendor, day)
            for chapter in CHAPTERS:
                await chapter(day, vendor)
            await day.close()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    page = day.log.find(LogQuery(limit=10_000))
    day.keep("integration log", page)
    day.keep("integration log rows", [vars_of(row) for row in page.items])
    return day


def vars_of(value: Any) -> dict[str, object]:
    """Return a value's attributes in the form in which other programs store them."""
    return {field.name: getattr(value, field.name) for field in value.__attrs_attrs__}


class _Keeper(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.DEBUG)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)
