"""Reads the statistics of registered connection pools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.connectors.pool_statistics import ConnectorPool, PoolStatistics
from moorage.domain.values.weak_table import WeakTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.domain.connectors.pool_statistics import PoolSource

POOL_NUMBERS: Final[Mapping[str, Callable[[PoolStatistics], int | None]]] = {
    "size": lambda pool: pool.size,
    "idle": lambda pool: pool.idle,
    "active": lambda pool: pool.active,
    "waiting": lambda pool: pool.waiting,
    "maximum": lambda pool: pool.maximum,
}
"""Each number that is reported of a pool."""


_DATABASES: Final = frozenset({"sql"})
"""The kinds of connectors whose pools also have the names of the conventions for databases."""

_CONNECTOR_ATTRIBUTE: Final = "moorage.connector"
_POOL_ATTRIBUTE: Final = "db.client.connection.pool.name"
"""The attributes that name a connector in metrics of all connectors, and of databases."""


class PoolReadings:
    """Reads the connection pools of registered sources; forgets sources no longer in use."""

    def __init__(self) -> None:
        self._sources: WeakTable[PoolSource, None] = WeakTable()

    def watch(self, source: PoolSource) -> None:
        """Register a source of connection pools."""
        self._sources[source] = None

    def read(self) -> tuple[ConnectorPool, ...]:
        """Return all connection pools; those of connectors with the same name are merged.

        A source that fails has no pools at that moment.
        """
        pools: dict[str, ConnectorPool] = {}
        for source in self._sources:
            try:
                readings = tuple(source.pools())
            except Exception:  # noqa: BLE001, S112 - a foreign connector must not break the others
                continue
            for pool in readings:
                previous_statistics = pools.get(pool.connector)
                pools[pool.connector] = (
                    pool if previous_statistics is None else _merged_pool(previous_statistics, pool)
                )
        return tuple(pools.values())


def _merged_pool(one: ConnectorPool, other: ConnectorPool) -> ConnectorPool:
    first, second = one.statistics, other.statistics
    maximum = None
    if first.maximum is not None and second.maximum is not None:
        maximum = first.maximum + second.maximum
    return attrs.evolve(
        one,
        statistics=PoolStatistics(
            created=first.created + second.created,
            reused=first.reused + second.reused,
            idle=first.idle + second.idle,
            active=first.active + second.active,
            waiting=first.waiting + second.waiting,
            maximum=maximum,
        ),
    )


def pool_callbacks(
    readings: PoolReadings, observation: Callable[[int, dict[str, str]], Any]
) -> Mapping[str, Callable[[Any], Iterator[Any]]]:
    """Return OpenTelemetry's callbacks for connection pools, by metric name.

    Args:
        readings: reads the pools.
        observation: makes an observation of OpenTelemetry of a number and its attributes.
    """

    def numbers(name: str, attribute: str, _: object) -> Iterator[Any]:
        for pool in readings.read():
            number = POOL_NUMBERS[name](pool.statistics)
            if number is not None and (
                attribute == _CONNECTOR_ATTRIBUTE or pool.kind in _DATABASES
            ):
                yield observation(number, {attribute: pool.connector})

    def states(_: object) -> Iterator[Any]:
        for pool in readings.read():
            name = {_POOL_ATTRIBUTE: pool.connector}
            if pool.kind in _DATABASES:
                idle, used_count = pool.statistics.idle, pool.statistics.active
                yield observation(idle, {**name, "db.client.connection.state": "idle"})
                yield observation(used_count, {**name, "db.client.connection.state": "used"})

    return {
        **{
            f"moorage.pool.{name}": partial(numbers, name, _CONNECTOR_ATTRIBUTE)
            for name in POOL_NUMBERS
        },
        "db.client.connection.count": states,
        "db.client.connection.max": partial(numbers, "maximum", _POOL_ATTRIBUTE),
        "db.client.connection.pending_requests": partial(numbers, "waiting", _POOL_ATTRIBUTE),
    }
