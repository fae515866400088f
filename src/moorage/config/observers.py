"""The `[observers]` table of a configuration: the observers that a hub installs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from moorage.config.class_tables import table_of
from moorage.config.shapes import Function, ListOf
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.config.shapes import Table
    from moorage.ports.observer import Observer


def _functions(value: Any) -> tuple[Observer, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(cast("Iterable[Observer]", value))
    return (value,)


@frozen(kw_only=True)
class ObserverSettings:
    """The observers that a configuration installs for all calls.

    Attributes:
        logging: Whether to write a log record for each event, with the logger `moorage`.
        opentelemetry: Whether to make spans and metrics of OpenTelemetry.
        connector_names: Whether spans and metrics of OpenTelemetry have names such as
            `connector.execute` instead of `moorage.call`.
        prometheus: Whether to count calls in the global registry of prometheus-client.
        sentry: Whether to leave breadcrumbs for Sentry.
        functions: Observers in installed packages.
    """

    logging: bool = False
    opentelemetry: bool = False
    connector_names: bool = False
    prometheus: bool = False
    sentry: bool = False
    functions: tuple[Callable[..., Any], ...] = field(default=(), converter=_functions)

    def open(self) -> tuple[Observer, ...]:
        """Return the configured observers.

        Raises:
            ConfigurationError: an observer needs a package that is not installed.
        """
        observers: list[Observer] = []
        if self.logging:
            from moorage.adapters.observers.standard_logging import LoggingObserver  # noqa: PLC0415 - imported only if it is used

            observers.append(LoggingObserver())
        if self.opentelemetry:
            from moorage.adapters.observers.opentelemetry import (  # noqa: PLC0415 - imported only if it is used
                OpenTelemetryObserver,
            )

            observers.append(OpenTelemetryObserver(connector_names=self.connector_names))
        if self.prometheus:
            from moorage.adapters.observers.prometheus import PrometheusObserver  # noqa: PLC0415 - imported only if it is used

            observers.append(PrometheusObserver())
        if self.sentry:
            from moorage.adapters.observers.sentry import SentryObserver  # noqa: PLC0415 - imported only if it is used

            observers.append(SentryObserver())
        return (*observers, *self.functions)


OBSERVERS: Final[Table] = table_of(
    ObserverSettings, name="observers", shapes={"functions": ListOf(Function())}
)
