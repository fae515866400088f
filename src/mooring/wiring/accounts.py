"""The services of accounts, and the transports of those that do not speak HTTP."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import attrs

from mooring.domain.service import Service
from mooring.errors import ConfigurationError
from mooring.services.vendor_wire import service_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mooring.contracts.routes import Account
    from mooring.domain.oauth.client import OAuthClient

TRANSPORTS: Final[Mapping[str, tuple[str, str]]] = {
    "files": ("local_files", "LocalFolder"),
    "smtp": ("smtp_transport", "SmtpTransport"),
}
"""The module and the class of each transport; the class of the other colour begins with Async."""


def services_of(accounts: Iterable[Account]) -> tuple[Service, ...]:
    """Every service of every account, named after it, with the account's settings."""
    return tuple(
        _set(service, account, service_name(account.name, to))
        for account in accounts
        for to, service in account.vendor.services().items()
    )


def _set(service: Service, account: Account, name: str) -> Service:
    known = {field.name for field in attrs.fields(Service)}
    for setting in account.settings:
        if setting not in known or setting == "name":
            raise ConfigurationError(
                f"a service has no setting {setting!r}.",
                path=f"vendors.{account.name}.{setting}",
                remedy=f"Use one of: {', '.join(sorted(known - {'name'}))}.",
            )
    try:
        return attrs.evolve(service, name=name, **account.settings)
    except ConfigurationError as error:
        error.path = f"vendors.{account.name}.{error.path}"
        raise


def clients_of(accounts: Iterable[Account]) -> dict[str, OAuthClient]:
    """Who accounts are to authorisation servers, by the names of their services."""
    return {
        service_name(account.name, to): client
        for account in accounts
        for to, client in account.vendor.clients().items()
    }


def transports_of(
    accounts: Iterable[Account], given: Mapping[str, Any], *, colour: str
) -> dict[str, Any]:
    """The transport of each account that needs one: the host's, or else the embedded one."""
    made = dict(given)
    for account in accounts:
        kind = account.vendor.transport
        if kind is not None and account.name not in made:
            module, name = TRANSPORTS[kind]
            adapter = getattr(import_module(f"mooring.adapters.{module}"), colour + name)
            made[account.name] = adapter(account.vendor)
    return made
