"""What a configuration says, with nothing opened."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.accounts import Accounts, services
from moorage.config.loading import load
from moorage.config.migration import migrate
from moorage.config.overlays import ENVIRONMENTS, VARIABLE, for_environment, with_variables
from moorage.config.plain_secrets import plain_secrets
from moorage.config.problems import Report, Wrong, key, under
from moorage.config.providers import PROVIDERS, Place, built_in
from moorage.config.references import References
from moorage.config.shapes import Named
from moorage.config.structure import read
from moorage.config.tables import CONFIGURATION
from moorage.contracts.offer import check_modes
from moorage.domain.durations import seconds
from moorage.domain.frames import refusing
from moorage.domain.json_text import is_object
from moorage.domain.safety import Safety
from moorage.domain.sealing import KeyRing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.config.loading import Source
    from moorage.config.migration import Migrated
    from moorage.config.providers import Read
    from moorage.contracts.routes import Account, Route
    from moorage.domain.secret import Secret
    from moorage.domain.service import Service
    from moorage.errors import Problem

_SECRETS: Final = "secrets"


def _every(value: float) -> float:
    return seconds(value, "every")


def _opens(_: object, __: object, keys: Secret) -> None:
    KeyRing.parse(keys)


@attrs.frozen(kw_only=True)
class TenantsFrom:
    """Where the tables of tenants are looked up.

    Attributes:
        url: of what keeps them.
        keys: what opens them.
        every: seconds for which what was looked up is believed.
    """

    url: Secret
    keys: Secret = attrs.field(validator=_opens)
    every: float = attrs.field(default=5.0, converter=_every)


@attrs.frozen(kw_only=True)
class Configured:
    """What a configuration says.

    Attributes:
        accounts, routes, services: what a hub is made of.
        state: the URL of the store, if one is named.
        environment_id: the environment that the store belongs to.
        tenants_from: where the tables of tenants are looked up, if that is somewhere.
        environment: which environment it was read for, if any.
        environments: those that it knows.
        safety: what keeps tests away from the world.
        warnings: what is right, and should be otherwise.
        inline: the secrets that stand in a mapping as they are, and are no `Secret`.
        origins: whence what stands at a path comes, where it is not the source itself: an
            environment variable, or the tables of an environment.
        migrated: what it is in the current version, if it was written in an earlier one.
        file: where it was read, if it was a file.
    """

    accounts: tuple[Account, ...]
    routes: tuple[Route, ...]
    services: tuple[Service, ...]
    state: str | None = attrs.field(default=None, repr=False)
    environment_id: str | None = None
    tenants_from: TenantsFrom | None = None
    environment: str | None = None
    environments: tuple[str, ...] = ()
    safety: Safety = attrs.field(factory=Safety)
    warnings: tuple[Problem, ...] = ()
    inline: tuple[Problem, ...] = ()
    origins: Mapping[str, str] = attrs.field(factory=dict[str, str])
    migrated: Migrated | None = None
    file: Path | None = None


@refusing
def read_configuration(source: Source, environment: str | None = None) -> Configured:
    """What a configuration says, with nothing opened but the secrets that it refers to.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: which of its environments is meant; what MOORAGE_ENVIRONMENT says unless given.

    Raises:
        ConfigurationError: something in it is wrong; `problems` are all that is, each with its
            path.
    """
    variables = dict(os.environ)
    written = load(source)
    tree, migrated = migrate(written.tree)
    environment = environment or variables.get(VARIABLE) or None
    origins: dict[str, str] = {}
    report = Report(origins)
    plain = plain_secrets(tree, "the settings" if written.file is None else "a file")
    known = tree.get(ENVIRONMENTS)
    tree = for_environment(tree, environment, report, origins)
    tree = with_variables(tree, CONFIGURATION, variables, report, origins)
    whole = followed(tree, variables, written.folder, report)
    found: dict[str, Any] = read(CONFIGURATION, whole, "", report)
    accounts = Accounts(report)
    homes = list(_homes(found, whole))
    for home in homes:
        accounts.add(*home)
    for home in homes:
        accounts.lead(*home)
    own = tuple(services(found.get("services", {}), report))
    safety: Safety = found.get("safety", Safety())
    for account in accounts.accounts.values():
        report.made(partial(check_modes, [account], safety), "")
    tenants = None
    if "tenants_from" in found and report.clear("tenants_from"):
        tenants = report.made(partial(TenantsFrom, **found["tenants_from"]), "tenants_from")
    report.refuse()
    url: Secret | None = found.get("state", {}).get("url")
    return Configured(
        accounts=tuple(accounts.accounts.values()),
        routes=tuple(accounts.routes),
        services=own,
        state=None if url is None else url.reveal(),
        environment_id=found.get("state", {}).get("environment_id") or environment,
        tenants_from=tenants if isinstance(tenants, TenantsFrom) else None,
        environment=environment,
        environments=tuple(known) if is_object(known) else (),
        safety=safety,
        warnings=() if written.file is None else plain,
        inline=plain if written.file is None else (),
        origins=origins,
        migrated=migrated,
        file=written.file,
    )


def _homes(found: dict[str, Any], written: dict[str, Any]) -> Any:
    """Everybody's tables and those of each tenant: as read, as written, where, and whose."""
    yield found, written, "", None
    named = written.get("tenants")
    for tenant, tables in found.get("tenants", {}).items():
        own = named.get(tenant) if is_object(named) else None
        yield tables, own if is_object(own) else {}, under("tenants", key(tenant)), tenant


def _opened(provider: Any, place: Place) -> Read:
    read: Read = provider.open(place)
    return read


def followed(
    tree: dict[str, Any], variables: Mapping[str, str], folder: Path, report: Report
) -> dict[str, Any]:
    """The configuration with what its texts refer to.

    Args:
        tree: the configuration.
        variables: those of the environment.
        folder: what paths of files are relative to.
        report: is told what is wrong.
    """
    with ExitStack() as closing:
        place = Place(variables, folder, closing)
        providers: dict[str, Read] = built_in(place)
        # A provider may need secrets of its own, from what is there without it.
        first = References(variables, providers, report)
        tables = first.followed(tree.get(_SECRETS, {}), _SECRETS)
        configured: dict[str, Any] = {}
        if is_object(tables):
            configured = read(Named(PROVIDERS), tables, _SECRETS, Report())
        for name, provider in configured.items():
            opened = report.made(partial(_opened, provider, place), under(_SECRETS, key(name)))
            if not isinstance(opened, Wrong):
                providers[name] = opened
        rest = {name: one for name, one in tree.items() if name != _SECRETS}
        named = tables if is_object(tables) else ()
        found = References(variables, providers, report, named).followed(rest, "")
    return {**found, _SECRETS: tables} if _SECRETS in tree else found
