"""What a configuration says, with nothing opened."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.config.accounts import Accounts, services
from moorage.config.default_state import default_url, is_needed
from moorage.config.http import HttpSettings, http_settings
from moorage.config.loading import load
from moorage.config.migration import migrate
from moorage.config.overlays import ENVIRONMENTS, VARIABLE, for_environment, with_variables
from moorage.config.plain_secrets import plain_secrets
from moorage.config.problems import Report, Wrong, key, under
from moorage.config.provider_order import in_order
from moorage.config.providers import PROVIDERS, Place, built_in
from moorage.config.references import References
from moorage.config.shapes import Named
from moorage.config.structure import read
from moorage.config.tables import CONFIGURATION
from moorage.contracts.offer import check_modes
from moorage.domain.secrets.frames import refusing
from moorage.domain.service.safety import Safety
from moorage.domain.state.keys import checked_name
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.durations import seconds
from moorage.domain.values.json_text import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.config.loading import Source
    from moorage.config.migration import Migrated
    from moorage.config.providers import Read
    from moorage.contracts.routes import Account, Route
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.settings import Service
    from moorage.errors import Problem

Made = TypeVar("Made")

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
class CredentialsFrom:
    """The store of credentials that a configuration names.

    Attributes:
        url: its URL.
        keys: the keys that open it, if it is sealed.
    """

    url: Secret
    keys: Secret | None = attrs.field(default=None, validator=attrs.validators.optional(_opens))


@attrs.frozen(kw_only=True)
class Configured:
    """What a configuration says.

    Attributes:
        accounts, routes, services: what a hub is made of.
        state: the URL of the store, if one is named.
        default_state: the URL of the store that is used if nobody names or gives one, as something
            moves money.
        environment_id: the environment that the store belongs to.
        tenants_from: where the tables of tenants are looked up, if that is somewhere.
        credentials_from: the store of credentials, if one is named.
        log: the URL of the integration log, if one is named.
        http: settings of the embedded HTTP client, if there are any.
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
    default_state: str | None = None
    environment_id: str | None = None
    tenants_from: TenantsFrom | None = None
    credentials_from: CredentialsFrom | None = None
    log: str | None = attrs.field(default=None, repr=False)
    http: HttpSettings | None = None
    environment: str | None = None
    environments: tuple[str, ...] = ()
    safety: Safety = attrs.field(factory=Safety)
    warnings: tuple[Problem, ...] = ()
    inline: tuple[Problem, ...] = ()
    origins: Mapping[str, str] = attrs.field(factory=dict[str, str])
    migrated: Migrated | None = None
    file: Path | None = None

    @property
    def store(self) -> str | None:
        """The URL of the store that is used if the program gives none."""
        return self.state or self.default_state


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
    parts = read_parts(source, environment)
    parts.report.refuse()
    return parts.configured


@attrs.frozen(kw_only=True)
class Parts:
    """A configuration as far as it can be read.

    Attributes:
        configured: everything in it that is right.
        accounts: accounts of which a setting is wrong, made without it.
        services: services of which a setting is wrong, made without it.
        report: everything that is wrong so far.
    """

    configured: Configured
    accounts: tuple[Account, ...]
    services: tuple[Service, ...]
    report: Report


def read_parts(source: Source, environment: str | None = None) -> Parts:
    """The parts of a configuration that can be read, and the report of everything that cannot.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: which of its environments is meant; what MOORAGE_ENVIRONMENT says unless given.

    Raises:
        ConfigurationError: the file cannot be read or parsed, or its version is unknown.
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
    own, doubtful = services(found.get("services", {}), accounts.places(), report)
    for tenant in found.get("tenants", {}):
        named = partial(checked_name, tenant, "tenant")
        report.made(named, under("tenants", key(tenant)), exact=True)
    safety: Safety = found.get("safety", Safety())
    for account in accounts.accounts.values():
        report.made(partial(check_modes, [account], safety), "")
    url: Secret | None = found.get("state", {}).get("url")
    log: Secret | None = found.get("log", {}).get("url")
    environment_id = found.get("state", {}).get("environment_id") or environment
    if environment_id is not None:
        # The store's fence is asked under this name with the first call.
        named = partial(checked_name, environment_id, "environment")
        report.made(named, "state.environment_id", exact=True)
    needed = url is None and is_needed(
        [*accounts.accounts.values(), *accounts.doubtful.values()], [*own, *doubtful]
    )
    parts = Configured(
        accounts=tuple(accounts.accounts.values()),
        routes=tuple(accounts.routes),
        services=own,
        state=None if url is None else url.reveal(),
        default_state=default_url(variables, environment_id) if needed else None,
        environment_id=environment_id,
        tenants_from=_told("tenants_from", TenantsFrom, found, report),
        credentials_from=_told("credentials_from", CredentialsFrom, found, report),
        log=None if log is None else log.reveal(),
        http=http_settings(found.get("http", {}), written.folder, report),
        environment=environment,
        environments=tuple(known) if is_object(known) else (),
        safety=safety,
        warnings=() if written.file is None else plain,
        inline=plain if written.file is None else (),
        origins=origins,
        migrated=migrated,
        file=written.file,
    )
    return Parts(
        configured=parts,
        accounts=tuple(accounts.doubtful.values()),
        services=doubtful,
        report=report,
    )


def environments_of(source: Source) -> tuple[str, ...]:
    """The names of the environments that a configuration has.

    Raises:
        ConfigurationError: the file cannot be read or parsed.
    """
    known = load(source).tree.get(ENVIRONMENTS)
    return tuple(map(str, known)) if is_object(known) else ()


def _told(name: str, kind: type[Made], found: Mapping[str, Any], report: Report) -> Made | None:
    """The value of a table of that name; None if there is none, or something in it is wrong."""
    if name not in found or not report.clear(name) or report.lacks(name):
        return None
    made = report.made(partial(kind, **found[name]), name)
    return None if isinstance(made, Wrong) else made


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
    written = tree.get(_SECRETS, {})
    named = written if is_object(written) else {}
    with ExitStack() as closing:
        place = Place(variables, folder, closing)
        providers: dict[str, Read] = built_in(place)
        tables = dict(named)
        order = in_order(named, report)
        for name in [*order, *(name for name in named if name not in order)]:
            # A provider may need secrets of its own, from those that come before it.
            path = under(_SECRETS, key(name))
            table = References(variables, providers, report, named).followed(named[name], path)
            tables[name] = table
            found = read(Named(PROVIDERS), {name: table}, _SECRETS, Report())
            if name in found and not report.lacks(path):
                opened = report.made(partial(_opened, found[name], place), path)
                if not isinstance(opened, Wrong):
                    providers[name] = opened
        rest = {name: one for name, one in tree.items() if name != _SECRETS}
        references = References(variables, providers, report, named)
        whole = {name: references.followed(one, key(name)) for name, one in rest.items()}
    if _SECRETS in tree:
        whole[_SECRETS] = tables if is_object(written) else written
    return whole
