"""The health of a connector, and the versions of its library and server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.domain.monitoring.health import HealthState

if TYPE_CHECKING:
    from datetime import datetime


@attrs.frozen(kw_only=True)
class ConnectorVersions:
    """The versions of the library and of the server; None if unknown.

    Attributes:
        library: the name and the version of the library, such as "psycopg 3.2.1".
        server: the version that the server reported, such as "PostgreSQL 15.6"; None before the
            first connection.
    """

    library: str | None = None
    server: str | None = None


@attrs.frozen(kw_only=True)
class ConnectorHealth:
    """The health of a connector at one moment.

    Attributes:
        connector: the name of the connector.
        at: the moment.
        state: `HEALTHY` if the server responded in time, `UNAVAILABLE` if it did not respond,
            `UNKNOWN` if it was not checked, for example because the connector is disabled.
        seconds: the time that the server took to answer; None if it did not.
        text: the problem, as a sentence; None if the connector is healthy. It never contains a
            secret.
        remedy: the advice to the user, as a sentence; None if the connector is healthy.
    """

    connector: str
    at: datetime
    state: HealthState
    seconds: float | None = None
    text: str | None = None
    remedy: str | None = None

    @property
    def is_healthy(self) -> bool:
        """True if the server responded in time."""
        return self.state is HealthState.HEALTHY
