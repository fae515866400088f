"""The services of accounts, and the transports of accounts that use a protocol other than HTTP."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.effects import check_keys, check_vendor, moves_money
from moorage.domain.secrets.contained import secrets_in
from moorage.domain.service.settings import Service
from moorage.domain.values.frozen_values import evolve, fields_of
from moorage.domain.values.names import BUDGET_SERVICE, service_name
from moorage.errors import ConfigurationError
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point
from moorage.wiring.wrong_options import made_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.routes import Account
    from moorage.contracts.vendor import Vendor
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.secrets.secret import Secret

TRANSPORTS: Final[Mapping[str, tuple[str, str]]] = {
    "files": ("files.local_files", "LocalFolder"),
    "fsspec": ("files.fsspec_transport", "FsspecTransport"),
    "smtp": ("mail.smtp", "SmtpTransport"),
}
"""The module and class of each transport; the asynchronous class begins with Async."""


GROUP: Final = "moorage.transports"
"""The group of entry points by which other packages provide transports."""

_BARE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def account_path(account: Account) -> str:
    """Return the path of an account in the configuration."""
    for tenant in account.tenants or ():
        short_name = account.name.removeprefix(f"{tenant}.")
        if short_name != account.name:
            return f"tenants.{_key(tenant)}.vendors.{_key(short_name)}"
    return f"vendors.{_key(account.name)}"


def service_paths(accounts: Iterable[Account], services: Iterable[Service]) -> dict[str, str]:
    """Return the configuration path of each service of a hub, by its name."""
    account_places = {
        service_name(account.name, service_key): account_path(account)
        for account in accounts
        for service_key in made_of(account.vendor, _services, account_path(account))
    }
    return {service.name: f"services.{_key(service.name)}" for service in services} | account_places


def _services(vendor: Vendor) -> Mapping[str, Service]:
    return vendor.services()


def _clients(vendor: Vendor) -> Mapping[str, OAuthClient]:
    return vendor.clients()


def _key(name: str) -> str:
    return name if _BARE_NAME.fullmatch(name) else f'"{name}"'


def services_of(accounts: Iterable[Account]) -> tuple[Service, ...]:
    """Return every account's services by their names, with the account's settings."""
    return tuple(
        _with_secrets(
            _with_account_settings(service, account, service_key),
            account.settings,
            secrets,
        )
        for account in accounts
        for services in (made_of(account.vendor, _services, account_path(account)),)
        for secrets in (_distinct_secrets(secrets_in((account, services))),)
        for service_key, service in services.items()
    )


def _with_secrets(
    service: Service, settings: Iterable[str], account_secrets: Iterable[Secret]
) -> Service:
    """Return the service, set to mask its account's secrets and those made from its settings."""
    values = [getattr(service, name) for name in settings]
    secrets = _distinct_secrets((*account_secrets, *secrets_in(values)))
    redaction = evolve(service.redaction, secrets=secrets)
    return evolve(service, redaction=redaction) if secrets else service


def _distinct_secrets(secrets: Iterable[Secret]) -> list[Secret]:
    distinct: list[Secret] = []
    for secret in secrets:
        if secret not in distinct:
            distinct.append(secret)
    return distinct


def _with_account_settings(service: Service, account: Account, service_key: str) -> Service:
    """Return a service with its account's settings; refuse `moves_money = false` for payments.

    The settings are about requests, so a budget of tokens, which sends none, gets none of them.
    """
    field_names = {field.name for field in fields_of(Service) if field.init}
    settings = dict(account.settings)
    if moves_money(type(account.vendor)):
        if not settings.setdefault("moves_money", True):
            raise ConfigurationError(
                f"{account.vendor.name} moves money, so an account cannot set moves_money.",
                path=f"{account_path(account)}.moves_money",
                remedy="Remove the setting. Set volatile_keys if you accept that a crash"
                " loses keys.",
            )
        settings.setdefault("volatile_keys", False)
    for setting in account.settings:
        if setting not in field_names or setting == "name":
            raise ConfigurationError(
                f"A service has no setting {setting!r}.",
                path=f"{account_path(account)}.{setting}",
                remedy=f"Use one of: {', '.join(sorted(field_names - {'name'}))}.",
            )
    try:
        check_vendor(type(account.vendor))
        check_keys(account.vendor, service)
        name = service_name(account.name, service_key)
        return evolve(service, name=name, **({} if service_key == BUDGET_SERVICE else settings))
    except ConfigurationError as error:
        error.path = f"{account_path(account)}.{error.path}"
        raise


def clients_of(accounts: Iterable[Account]) -> dict[str, OAuthClient]:
    """Return the OAuth clients of accounts, by the names of their services."""
    return {
        service_name(account.name, service_key): client
        for account in accounts
        for service_key, client in made_of(account.vendor, _clients, account_path(account)).items()
    }


def transports_of(
    accounts: Iterable[Account], existing_transports: Mapping[str, Any], *, prefix: str
) -> dict[str, Any]:
    """Return the transport of each account that needs one: the host's, or an installed one.

    Raises:
        ConfigurationError: neither the host nor a package provides the transport.
    """
    transports = dict(existing_transports)
    for account in accounts:
        kind = account.vendor.transport
        if kind is not None and account.name not in transports:
            transports[account.name] = _transport_class(account, kind, prefix)(account.vendor)
    return transports


def _transport_class(account: Account, kind: str, prefix: str) -> Any:
    """Return the class of a transport, from this package or found by entry point."""
    if kind in TRANSPORTS:
        module, name = TRANSPORTS[kind]
        return getattr(import_module(f"moorage.adapters.{module}"), prefix + name)
    place = f"{account_path(account)}.kind"
    point = installed_entry_points(GROUP).get(kind)
    if point is None:
        raise ConfigurationError(
            f"{account.vendor.name} needs the transport {kind!r}, but no installed package"
            " provides it.",
            path=place,
            remedy=f"Install a package with the entry point {kind!r} in the group {GROUP}, or"
            " pass `transports=` to the hub.",
        )
    transport_class = load_entry_point(point, place)
    name = prefix + transport_class.__name__
    matching_class = (
        transport_class
        if not prefix
        else getattr(import_module(transport_class.__module__), name, None)
    )
    if matching_class is not None:
        return matching_class
    raise ConfigurationError(
        f"The transport {kind!r} does not support asynchronous programs:"
        f" {transport_class.__module__} has no {name}.",
        path=place,
        remedy="Use moorage.open, or pass `transports=` to the hub.",
    )
