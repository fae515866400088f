"""All that a hub is made of, and what is another in the next configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from moorage.domain.safety import Safety
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.routes import Account, Route
    from moorage.domain.service import Service


class Changes(NamedTuple):
    """What is another in a configuration that took the place of one before, by its path."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def _accounts(value: Iterable[Account]) -> tuple[Account, ...]:
    return tuple(value)


def _routes(value: Iterable[Route]) -> tuple[Route, ...]:
    return tuple(value)


def _services(value: Iterable[Service]) -> tuple[Service, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class Offer:
    """What a hub is made of.

    Attributes:
        accounts: the accounts of ours at vendors.
        routes: where operations go.
        services: anything else that is called.
        safety: how far it reaches into the world.
    """

    accounts: tuple[Account, ...] = attrs.field(default=(), converter=_accounts)
    routes: tuple[Route, ...] = attrs.field(default=(), converter=_routes)
    services: tuple[Service, ...] = attrs.field(default=(), converter=_services)
    safety: Safety = attrs.field(factory=Safety)

    def changes(self, later: Offer) -> Changes:
        """What is another in a later one: paths of the configuration, and nothing that is there."""
        before, after = self._parts(), later._parts()
        return Changes(
            added=tuple(sorted(after.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - after.keys())),
            changed=tuple(
                sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
            ),
        )

    def _parts(self) -> Mapping[str, Any]:
        parts: dict[str, Any] = {path_of(account): account for account in self.accounts}
        parts |= {f"services.{service.name}": service for service in self.services}
        for route in self.routes:
            at = route.kind if route.tenant is None else f"tenants.{route.tenant}.{route.kind}"
            parts[at] = (*parts.get(at, ()), route)
        return {**parts, "safety": self.safety}


def check_modes(accounts: Iterable[Account], safety: Safety) -> None:
    """Refuse credentials of a vendor's real system where tests are run, and the other way round.

    Raises:
        ConfigurationError: somebody's are.
    """
    for account in accounts:
        mode = account.vendor.mode()
        if not safety.suits(mode):
            here = "real" if safety.live else "test"
            raise ConfigurationError(
                f"this is for the vendor's {mode} system, and `safety.live` says that"
                f" {'this is production' if safety.live else 'this is none'}.",
                path=path_of(account),
                remedy=f"Give what the vendor has for its {here} system, or mend `safety.live`.",
            )


def path_of(account: Account) -> str:
    """Where an account stands in a configuration; one of a single tenant is named after it."""
    for tenant in account.tenants or ():
        if account.name.startswith(f"{tenant}."):
            return f"tenants.{tenant}.vendors.{account.name.removeprefix(f'{tenant}.')}"
    return f"vendors.{account.name}"
