"""The description of a connector in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from moorage.domain.connectors.health import ConnectorVersions
    from moorage.domain.connectors.pool_statistics import PoolStatistics


@attrs.frozen(kw_only=True)
class ConnectorDescription:
    """The description of a registered connector, made without connecting.

    Attributes:
        name: the name of the connector.
        kind: the name of its kind.
        enabled: whether it may be used.
        version: the version of its settings.
        depends_on: the connectors that are opened before it.
        versions: the versions of its library and server; None if it was never used.
        statistics: the numbers of its pool; None if it was never used, or has no pool.
        operations: the names of the operations that it offers; empty if it was never used.
    """

    name: str
    kind: str
    enabled: bool = True
    version: int = 1
    depends_on: tuple[str, ...] = ()
    versions: ConnectorVersions | None = None
    statistics: PoolStatistics | None = None
    operations: tuple[str, ...] = ()
