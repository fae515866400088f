"""The statistics of a connection pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """The statistics of a connection pool at one moment.

    Attributes:
        created: the number of connections that were opened since the pool began.
        reused: the number of times that a caller got a connection that was open already.
        idle: the number of open connections that are not in use.
        active: the number of connections that callers use now.
        waiting: the number of callers that wait for a connection now.
        maximum: the largest number of connections that the pool opens; None if it is unlimited.
    """

    created: int = 0
    reused: int = 0
    idle: int = 0
    active: int = 0
    waiting: int = 0
    maximum: int | None = None

    @property
    def size(self) -> int:
        """The number of open connections, idle and active."""
        return self.idle + self.active

    @property
    def reuse(self) -> float:
        """The share of callers that got an open connection, from 0 to 1; 1 without any callers."""
        lease_count = self.created + self.reused
        return self.reused / lease_count if lease_count else 1.0


@attrs.frozen
class ConnectorPool:
    """The name and statistics of a connector's connection pool at one moment.

    Attributes:
        connector: the name of the connector.
        kind: the name of its kind, such as "sql".
        statistics: the numbers of the pool.
    """

    connector: str
    kind: str
    statistics: PoolStatistics


class PoolSource(Protocol):
    """An object that can list connection pools, such as the connectors of a hub."""

    def pools(self) -> Sequence[ConnectorPool]:
        """Return the connection pools of all connectors that were used, without waiting."""
        ...
