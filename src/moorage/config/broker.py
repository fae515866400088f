"""The settings of the broker, which leases rate-limit tokens to the processes of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.config.problems import Report
    from moorage.domain.service.settings import Service

_PATHS: Final = {"state": "broker", "storage": "state"}
"""The paths in the configuration of arguments of a leasing store, if they differ in name."""


@frozen(kw_only=True)
class BrokerSettings:
    """The broker of rate-limit tokens that a configuration names.

    Attributes:
        socket: the path of its socket.
        services: the names of the services whose limits are leased.
        without_broker: "store" to ask the store while the broker is unreachable, or "refuse".
    """

    socket: str
    services: tuple[str, ...] = field(converter=tuple)
    without_broker: str = "store"

    def leasing(self, storage: Any, *, is_async: bool) -> Any:
        """Return the store that first asks the broker for tokens.

        Raises:
            ConfigurationError: a setting is not valid.
        """
        kind = _kind_of_store(is_async=is_async)
        try:
            return kind(
                storage,
                self.socket,
                services=self.services,
                without_broker=self.without_broker,
            )
        except ConfigurationError as error:
            error.path = _PATHS.get(error.path or "", f"broker.{error.path}")
            raise

    def is_for(self, store: object) -> bool:
        """Return whether a store that the program passes should ask this broker for tokens.

        A store in memory, as in tests, has no broker, and a leasing store has its own.
        """
        from moorage.adapters.state._leasing_shared import (  # noqa: PLC0415 - few configurations need it
            Leasing,
        )

        return not isinstance(store, Leasing) and getattr(store, "reach", None) != "process"

    def check(self, service: Service, place: str, report: Report) -> None:
        """Report a circuit or retry budget of a service whose rate-limit tokens are leased."""
        if service.name not in self.services:
            return
        for name, remedy in (
            ("circuit", 'Write circuit = "off"'),
            ("retry_budget", "Remove the budget"),
        ):
            if getattr(service, name) is not None:
                report.add(
                    f"{place}.{name}",
                    f"The limits of {service.name} are leased from a broker, so the service"
                    f" cannot have a {name.replace('_', ' ')}, which is kept in the store.",
                    f"{remedy}, or remove the service from broker.services.",
                )


def _kind_of_store(*, is_async: bool) -> Any:
    """Return the class of the store that first asks the broker for tokens."""
    if is_async:
        from moorage.adapters.state import leasing_async  # noqa: PLC0415 - few configurations need it

        return leasing_async.AsyncLeasingStorage
    from moorage.adapters.state import leasing_sync  # noqa: PLC0415 - few configurations need it

    return leasing_sync.LeasingStorage
