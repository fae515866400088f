"""The registry of an asynchronous program's connectors.

`python -m tools.twins` makes `connectors_sync.py` of this file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import attrs

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.connectors.dependencies import opening_order
from moorage.domain.connectors.description import ConnectorDescription
from moorage.domain.connectors.health import ConnectorHealth
from moorage.domain.connectors.pool_statistics import ConnectorPool
from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.events import ConnectorChecked
from moorage.domain.service.operation import HttpOperation
from moorage.domain.values.durations import maybe_seconds, seconds
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError, ConnectorError, LocalFailure
from moorage.hub._connector_checks_async import bounded_async, every_async
from moorage.hub.closing import close_all_async
from moorage.hub.internals import core_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from moorage.hub.manager import AsyncConnectorManager
    from moorage.ports.connector import AsyncConnector

C = TypeVar("C")


class AsyncConnectors(Uncopyable):
    """The registry of an asynchronous program's connectors, by name.

    A connector from a configuration is created when it is first used, so an unused connector costs
    nothing. Connectors can be added, replaced and removed while others are in use. A removed
    connector is closed when the last block that uses it has ended.

    Args:
        manager: performs the operations of the connectors under the protections of their services.
    """

    def __init__(self, manager: AsyncConnectorManager) -> None:
        self._manager = manager
        self._entries: dict[str, _Entry] = {}
        self._lock = ForkSafeLock()
        self._is_closed = False
        core_of(manager).watch_pools(self)

    def add(
        self, connector: AsyncConnector, *, depends_on: Sequence[str] = (), version: int = 1
    ) -> None:
        """Add a connector to the registry.

        Args:
            connector: the connector; its service must be one of the manager's.
            depends_on: the names of connectors that are opened before it and closed after it.
            version: the version of its settings.

        Raises:
            ConfigurationError: its name is taken, or it depends on a connector that does not exist.
        """
        entry = _Entry(
            ConnectorDescription(
                name=connector.name,
                kind=connector.kind,
                version=version,
                depends_on=tuple(depends_on),
            ),
            lambda: connector,
        )
        entry.connector = connector
        self._register(entry)

    def declare(
        self,
        description: ConnectorDescription,
        build: Callable[[], AsyncConnector],
    ) -> None:
        """Add a connector that will be created at its first use.

        Raises:
            ConfigurationError: its name is taken, or it depends on a connector that does not exist.
        """
        self._register(_Entry(description, build))

    async def replace(self, connector: AsyncConnector) -> None:
        """Replace the connector of the same name; later `with` blocks get the new connector.

        Blocks that use the old connector continue to use it, and the last of them closes it.

        Raises:
            ConfigurationError: there is no connector of this name.
        """
        with self._lock.current:
            old_entry = self._entry(connector.name)
            description = attrs.evolve(old_entry.description, kind=connector.kind, enabled=True)
            new_entry = _Entry(description, lambda: connector)
            new_entry.connector = connector
            self._entries[connector.name] = new_entry
            unused = old_entry.retire()
        await _close(unused)

    async def remove(self, name: str) -> None:
        """Remove a connector from the registry, and close it when its last `with` block ends.

        Raises:
            ConfigurationError: there is no such connector, or others depend on it.
        """
        with self._lock.current:
            entry = self._entry(name)
            dependents = sorted(
                other_entry.description.name
                for other_entry in self._entries.values()
                if name in other_entry.description.depends_on
            )
            if dependents:
                raise ConfigurationError(
                    f"Other connectors depend on {name!r}: {', '.join(dependents)}.",
                    path=f"connectors.{name}",
                    remedy="Remove those connectors first, or replace this connector.",
                )
            del self._entries[name]
            unused = entry.retire()
        await _close(unused)

    def get(self, name: str, kind: type[C]) -> C:
        """Return the connector of this name, after checking its class.

        Args:
            name: the name of the connector.
            kind: the connector's class.

        Raises:
            ConfigurationError: there is no such connector, it is disabled, or of another class.
        """
        return _checked_class(name, self[name], kind)

    def __getitem__(self, name: str) -> Any:
        entry = self._enabled_entry(name)
        connector = _connector_of(entry)
        # A connector that was replaced during its creation has opened nothing, and is dropped.
        return connector if self._entries.get(name) is entry else self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._entries))

    def use(self, name: str, kind: type[C] | None = None) -> AsyncConnectorUse[C]:
        """Return a context manager that keeps a connector open during its block.

        Even if the connector is replaced or removed meanwhile, the block can use it to its end.

        Args:
            name: the name of the connector.
            kind: the connector's class, for type checkers; by default any.
        """
        return AsyncConnectorUse(self, name, kind)

    async def run(
        self,
        name: str,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        tenant: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Perform a connector's operation by its name, with JSON arguments.

        Args:
            name: the name of the connector.
            operation: the name of one of its operations.
            arguments: the arguments of the operation.
            tenant: the tenant whose limits, circuit and keys to use.
            idempotency_key: identifies one effect: a repeat returns the same result.
            timeout: seconds for the whole call instead of the service's.

        Returns:
            The result as plain JSON.

        Raises:
            ConfigurationError: there is no such connector or operation.
            ConnectorError: the operation failed, or its arguments are wrong.
        """
        arguments, timeout = arguments or {}, maybe_seconds(timeout, "timeout")
        connector_use: AsyncConnectorUse[Any] = self.use(name)
        async with connector_use as connector:
            operations = connector.operations
            if not operations:
                # A connector may learn its operations from the service's own description.
                await connector.open(30.0 if timeout is None else timeout)
                operations = connector.operations
            named_operation = operations.get(operation)
            if named_operation is None:
                raise ConfigurationError(
                    f"The connector {name!r} has no operation {operation!r}.",
                    path="operation",
                    remedy=f"Use one of: {', '.join(sorted(operations)) or 'it has none'}.",
                )
            work = named_operation.operation(arguments)
            result = await self._manager.perform(
                connector.service,
                work,
                tenant=tenant,
                idempotency_key=idempotency_key,
                payload=_payload(work, arguments),
                timeout=timeout,
            )
        return named_operation.render(result)

    async def open(self, timeout: float = 30.0) -> None:
        """Open all enabled connectors, each after the connectors that it depends on.

        It may be called again, for example after an error: open connectors stay open.

        Args:
            timeout: the seconds for each connector.

        Raises:
            ConnectorError: a connector could not be opened; those before it stay open.
        """
        timeout = seconds(timeout, "timeout")
        for name in [entry.description.name for entry in self._ordered()]:
            entry = self._entries.get(name)
            if entry is not None and entry.description.enabled:
                connector_use: AsyncConnectorUse[Any] = self.use(name)
                async with connector_use as connector:
                    await connector.open(timeout)

    async def health(self, name: str, timeout: float = 5.0) -> ConnectorHealth:
        """Check the health of a connector now, and return it.

        Args:
            name: the name of the connector.
            timeout: the time limit in seconds.

        Raises:
            ConfigurationError: there is no such connector.
        """
        return await self._checked(self._entry(name), seconds(timeout, "timeout"))

    async def health_of_all(self, timeout: float = 5.0) -> tuple[ConnectorHealth, ...]:
        """Check the health of all connectors concurrently, and return it.

        Args:
            timeout: the time limit of each check in seconds.
        """
        timeout = seconds(timeout, "timeout")
        steps = [partial(self._checked, entry, timeout) for entry in tuple(self._entries.values())]
        return tuple(await every_async(steps)) if steps else ()

    def descriptions(self) -> tuple[ConnectorDescription, ...]:
        """Return the descriptions of all connectors without waiting."""
        return tuple(entry.described() for entry in tuple(self._entries.values()))

    def pools(self) -> tuple[ConnectorPool, ...]:
        """Return the connection pools of the existing connectors, without waiting."""
        pools: list[ConnectorPool] = []
        for name, entry in tuple(self._entries.items()):
            connector = entry.connector
            statistics = None if connector is None else connector.statistics()
            if statistics is not None:
                pools.append(ConnectorPool(name, entry.description.kind, statistics))
        return tuple(pools)

    async def close(self) -> None:
        """Close all connectors, each before the connectors that it depends on.

        A connector that is in use is closed when the last block that uses it has ended. Every
        connector is closed, even if closing another one fails or is interrupted; then the first
        error is raised, or the interruption.
        """
        with self._lock.current:
            entries = self._ordered()
            self._entries, self._is_closed = {}, True
            unused = [entry.retire() for entry in reversed(entries)]
        await close_all_async([connector.close for connector in unused if connector is not None])

    def _begin_use(self, use: AsyncConnectorUse[Any]) -> Any:
        """Record that a `with` block uses a connector, and return the connector.

        Even if this fails or is interrupted, `_end_use` must follow.
        """
        with self._lock.current:
            entry = use.entry = self._enabled_entry(use.name)
            entry.users[use] = None
        return _connector_of(entry)

    async def _end_use(self, use: AsyncConnectorUse[Any]) -> None:
        """Record the end of a `with` block, and close a retired connector after its last block."""
        unused = None
        with self._lock.current:
            entry, use.entry = use.entry, None
            if entry is not None and use in entry.users:
                del entry.users[use]
                unused = entry.retire() if entry.is_retired else None
        await _close(unused)

    def _register(self, entry: _Entry) -> None:
        name, dependencies = entry.description.name, entry.description.depends_on
        with self._lock.current:
            if self._is_closed:
                raise _closed_error()
            if name in self._entries:
                raise ConfigurationError(
                    f"Another connector is named {name!r}.",
                    path=f"connectors.{name}",
                    remedy="Give each connector a different name, or replace the other connector.",
                )
            for dependency in dependencies:
                if dependency not in self._entries:
                    raise ConfigurationError(
                        f"The connector {name!r} depends on {dependency!r}; it does not exist.",
                        path=f"connectors.{name}.depends_on",
                        remedy="Add that connector first.",
                    )
            self._entries[name] = entry

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is not None:
            return entry
        if self._is_closed:
            raise _closed_error()
        names = ", ".join(sorted(self._entries)[:20]) or "none is configured"
        raise ConfigurationError(
            f"No connector is named {name!r}.",
            path="connectors",
            remedy=f"Use one of: {names}.",
        )

    def _enabled_entry(self, name: str) -> _Entry:
        entry = self._entry(name)
        if not entry.description.enabled:
            raise ConfigurationError(
                f"The connector {name!r} is disabled.",
                path=f"connectors.{name}.enabled",
                remedy="Enable it in the configuration.",
            )
        return entry

    def _ordered(self) -> list[_Entry]:
        entries = dict(self._entries)
        order = opening_order(
            {name: entry.description.depends_on for name, entry in entries.items()}
        )
        return [entries[name] for name in order]

    async def _checked(self, entry: _Entry, timeout: float) -> ConnectorHealth:
        """Check a connector's health, unless it is disabled, and notify the observers."""
        if not entry.description.enabled:
            return self._result(entry, HealthState.UNKNOWN, "The connector is disabled.")
        health = await self._checked_health(entry, timeout)
        core = core_of(self._manager)
        if core.observers:
            service = entry.description.name if entry.connector is None else entry.connector.service
            core.notify(
                ConnectorChecked(
                    at=core.utc(),
                    service=service,
                    connector=entry.description.name,
                    state=health.state.value,
                    duration=health.seconds,
                    text=health.text,
                )
            )
        return health

    async def _checked_health(self, entry: _Entry, timeout: float) -> ConnectorHealth:
        connector_use: AsyncConnectorUse[Any] = self.use(entry.description.name)
        try:
            async with connector_use as connector:
                return await bounded_async(connector.health, timeout)
        except ConnectorError as error:
            return self._result(entry, HealthState.UNAVAILABLE, error.message, error.remedy)
        except TimeoutError:
            text = f"The connector did not answer within {timeout:g} seconds."
        except Exception as error:  # noqa: BLE001 - the text of a foreign exception may hold a secret
            text = f"The check of the connector raised {type(error).__name__}."
        return self._result(entry, HealthState.UNAVAILABLE, text)

    def _result(
        self, entry: _Entry, state: HealthState, text: str, remedy: str | None = None
    ) -> ConnectorHealth:
        return ConnectorHealth(
            connector=entry.description.name,
            at=core_of(self._manager).utc(),
            state=state,
            text=text,
            remedy=remedy,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncConnectorUse(Generic[C]):
    """A context manager that keeps a connector open until its `with` block ends.

    Attributes:
        name: the name of the connector.
        entry: the entry of the connector in the registry, during the block.
    """

    __slots__ = ("_connectors", "_kind", "entry", "name")

    def __init__(self, connectors: AsyncConnectors, name: str, kind: type[C] | None) -> None:
        self._connectors = connectors
        self._kind = kind
        self.name = name
        self.entry: _Entry | None = None

    async def __aenter__(self) -> C:
        if self.entry is not None:
            raise LocalFailure(
                "This context manager is already used by another block for the connector"
                f" {self.name!r}.",
                remedy="Call `use` again for each block.",
            )
        try:
            connector = self._connectors._begin_use(self)  # noqa: SLF001 - both classes are one mechanism
            return _checked_class(self.name, connector, self._kind or object)
        except BaseException:
            await self._connectors._end_use(self)  # noqa: SLF001 - both classes are one mechanism
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connectors._end_use(self)  # noqa: SLF001 - both classes are one mechanism


class _Entry:
    """A connector in the registry, with the number of `with` blocks that use it now."""

    __slots__ = ("build", "building", "connector", "description", "is_retired", "users")

    def __init__(self, description: ConnectorDescription, build: Callable[[], Any]) -> None:
        self.description = description
        self.build = build
        self.building = ForkSafeLock()
        self.connector: AsyncConnector | None = None
        self.users: dict[AsyncConnectorUse[Any], None] = {}
        self.is_retired = False

    def retire(self) -> AsyncConnector | None:
        """Mark the connector as removed; return it if it must be closed now."""
        self.is_retired = True
        return None if self.users else self.connector

    def described(self) -> ConnectorDescription:
        """Return the connector's description, with its properties if it exists already."""
        description, connector = self.description, self.connector
        if connector is None:
            return description
        return attrs.evolve(
            description,
            versions=connector.versions,
            statistics=connector.statistics(),
            operations=tuple(connector.operations),
        )


def _connector_of(entry: _Entry) -> Any:
    """Return the connector of a registry entry; the first caller creates it."""
    if entry.connector is None:
        with entry.building.current:
            if entry.connector is None:
                entry.connector = entry.build()
    return entry.connector


def _checked_class(name: str, connector: object, kind: type[C | object]) -> C:
    """Check the class of a connector, and return the connector."""
    if isinstance(connector, kind):
        return cast("C", connector)
    raise ConfigurationError(
        f"The connector {name!r} is of the class {type(connector).__name__}, not {kind.__name__}.",
        path=f"connectors.{name}.kind",
        remedy="Correct the kind in the configuration, or pass the right class.",
    )


def _payload(operation: object, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the payload that repeats of an idempotency key must have; None for HTTP."""
    return None if isinstance(operation, HttpOperation) else dict(arguments)


async def _close(connector: AsyncConnector | None) -> None:
    if connector is not None:
        await connector.close()


def _closed_error() -> LocalFailure:
    return LocalFailure(
        "The connectors are closed.", remedy="Use the connectors before they are closed."
    )
