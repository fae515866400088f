"""The current configuration of a hub, and its differences from a new configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from moorage.contracts.routes import Account, Route
from moorage.contracts.validators import are_all, as_tuple, is_a
from moorage.domain.service.safety import Safety
from moorage.domain.service.settings import Service
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Changes(NamedTuple):
    """The differences between two configurations, by their paths."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@frozen(kw_only=True)
class HubConfiguration:
    """The configuration of a hub, as its accounts, routes and services use it.

    Attributes:
        accounts: accounts at vendors.
        routes: rules that choose the account of an operation.
        services: further HTTP services.
        safety: limits on effects outside, such as rehearsal or a list of allowed recipients.
    """

    accounts: tuple[Account, ...] = field(
        default=(), converter=as_tuple, validator=are_all(Account)
    )
    routes: tuple[Route, ...] = field(default=(), converter=as_tuple, validator=are_all(Route))
    services: tuple[Service, ...] = field(
        default=(), converter=as_tuple, validator=are_all(Service)
    )
    safety: Safety = field(factory=Safety, validator=is_a(Safety))

    def changes(self, later: HubConfiguration) -> Changes:
        """Compare with a later configuration; the result has paths of settings, but no values."""
        earlier_parts, later_parts = self._parts(), later._parts()
        return Changes(
            added=tuple(sorted(later_parts.keys() - earlier_parts.keys())),
            removed=tuple(sorted(earlier_parts.keys() - later_parts.keys())),
            changed=tuple(
                sorted(
                    path
                    for path in earlier_parts.keys() & later_parts.keys()
                    if earlier_parts[path] != later_parts[path]
                )
            ),
        )

    def _parts(self) -> Mapping[str, Any]:
        parts: dict[str, Any] = {path_of(account): account for account in self.accounts}
        parts |= {f"services.{service.name}": service for service in self.services}
        for route in self.routes:
            path = route.kind if route.tenant is None else f"tenants.{route.tenant}.{route.kind}"
            parts[path] = (*parts.get(path, ()), route)
        return {**parts, "safety": self.safety}


def check_modes(accounts: Iterable[Account], safety: Safety) -> None:
    """Refuse live credentials outside production, and test credentials in production.

    Raises:
        ConfigurationError: the credentials of an account are for the wrong system.
    """
    for account in accounts:
        mode = account.vendor.mode()
        if not safety.suits(mode):
            system = "real" if safety.live else "test"
            raise ConfigurationError(
                f"The credentials are for the vendor's {mode} system, but `safety.live` says that"
                f" this {'is' if safety.live else 'is not'} production.",
                path=path_of(account),
                remedy=f"Give the credentials of the vendor's {system} system, or correct"
                " `safety.live`.",
            )


def path_of(account: Account) -> str:
    """The path of an account in the configuration, below its tenant if it has one."""
    for tenant in account.tenants or ():
        if account.name.startswith(f"{tenant}."):
            return f"tenants.{tenant}.vendors.{account.name.removeprefix(f'{tenant}.')}"
    return f"vendors.{account.name}"
