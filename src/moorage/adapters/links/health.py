"""Determines the health of a foreign system from the outcome of a ping."""

from __future__ import annotations

from datetime import UTC, datetime

from moorage.domain.connectors.health import ConnectorHealth
from moorage.domain.monitoring.health import HealthState
from moorage.errors import ConnectorError


def health_of(
    name: str,
    title: str,
    seconds: float,
    *,
    error: Exception | None = None,
    problem: tuple[str, str] | None = None,
) -> ConnectorHealth:
    """Return the health of a foreign system as a `ConnectorHealth`.

    Args:
        name: the name of the connector.
        title: the name of the system in sentences.
        seconds: the time that the system took to answer.
        error: the reason why the system did not answer; None if it answered.
        problem: the problem of a system that answers, and the remedy; None if it has none.
    """
    moment = datetime.now(UTC)
    if error is None:
        text, remedy = problem or (None, None)
        return ConnectorHealth(
            connector=name,
            at=moment,
            state=HealthState.HEALTHY if problem is None else HealthState.DEGRADED,
            seconds=seconds,
            text=text,
            remedy=remedy,
        )
    text, remedy = f"The health of {title} cannot be read.", "Read the log of the program."
    if isinstance(error, ConnectorError):
        text, remedy = error.message, error.remedy
    return ConnectorHealth(
        connector=name, at=moment, state=HealthState.UNAVAILABLE, text=text, remedy=remedy
    )
