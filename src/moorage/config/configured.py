"""Reads a configuration, without opening stores or connections."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.config.accounts import Accounts, services
from moorage.config.broker import BrokerSettings
from moorage.config.connectors import connectors, convert_connectors, services_of
from moorage.config.default_state import default_url, is_needed
from moorage.config.http import HttpSettings, http_settings
from moorage.config.loading import load
from moorage.config.migration import migrate
from moorage.config.overlays import ENVIRONMENTS, VARIABLE, for_environment, with_variables
from moorage.config.plain_secrets import plain_secrets
from moorage.config.problems import Report, ReportedProblem, key, path_below
from moorage.config.provider_order import ordered_providers
from moorage.config.providers import PROVIDERS, ProviderEnvironment, built_in
from moorage.config.references import References
from moorage.config.shapes import NamedTable
from moorage.config.structure import read
from moorage.config.tables import CONFIGURATION
from moorage.contracts.hub_configuration import check_modes
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.service.safety import Safety
from moorage.domain.state.keys import checked_name
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.durations import count, if_given, is_count, seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_object
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError
from moorage.wiring.store_urls import open_audit, url_of_shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from moorage.config.connectors import ConnectorSettings
    from moorage.config.loading import Source
    from moorage.config.migration import Migrated
    from moorage.config.observers import ObserverSettings
    from moorage.config.pipelines import PipelineSettings
    from moorage.config.providers import Read
    from moorage.config.steps import PlatformSettings
    from moorage.contracts.routes import Account, Route
    from moorage.domain.monitoring.alert_settings import AlertSettings
    from moorage.domain.monitoring.objectives import Objective
    from moorage.domain.monitoring.settings import HealthSettings
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.settings import Service
    from moorage.domain.steps.step import Step
    from moorage.errors import Problem
    from moorage.hub.audit import AuditTrail
    from moorage.ports.cipher import Cipher

Made = TypeVar("Made")

_SECRETS: Final = "secrets"
_SEAL_EVERY: Final = 100


def _interval_seconds(value: float) -> float:
    return seconds(value, "every")


def _check_days(days: float) -> None:
    """Refuse days that are not a valid duration; the error names the days, not their seconds."""
    try:
        seconds(days * 86_400.0, "keep_days")
    except ConfigurationError:
        pass
    else:
        return
    raise ConfigurationError(
        f"{days:g} is out of range for a number of days.",
        path="keep_days",
        remedy="Set more than zero days, and at most a hundred years.",
    )


def _valid_keys(_: object, __: object, keys: Secret) -> None:
    KeyRing.parse(keys)


@frozen(kw_only=True)
class CipherSettings:
    """The cipher that a configuration names.

    Attributes:
        keys: the cipher's keys; the first key encrypts, and all keys decrypt.
    """

    keys: Secret = field(validator=_valid_keys)

    def open(self) -> Cipher:
        """Return the cipher that encrypts with the configured keys."""
        from moorage.adapters.ciphers.aes_gcm import AesGcmCipher  # noqa: PLC0415 - loads OpenSSL

        return AesGcmCipher(KeyRing.parse(self.keys))


@frozen(kw_only=True)
class TenantStoreSettings:
    """The store in which the tables of tenants are looked up.

    Attributes:
        url: the store's URL.
        keys: the keys that decrypt it.
        every: the seconds for which a table is used before it is read again.
    """

    url: Secret
    keys: Secret = field(validator=_valid_keys)
    every: float = field(default=5.0, converter=_interval_seconds)


@frozen(kw_only=True)
class CredentialStoreSettings:
    """The store of credentials that a configuration names.

    Attributes:
        url: the store's URL.
        keys: the keys that decrypt it, if it is encrypted.
    """

    url: Secret
    keys: Secret | None = field(default=None, validator=if_given(_valid_keys))

    def __attrs_post_init__(self) -> None:
        """Refuse keys for a credential store that is not encrypted."""
        if self.keys is not None and self.url.begins_with("environment:", "file:"):
            raise ConfigurationError(
                "The credential store has keys, but it is not encrypted.",
                path="keys",
                remedy="Remove the keys, or name a store in a database, such as sqlite:///file.db.",
            )


@frozen(kw_only=True)
class AuditSettings:
    """The audit trail that a configuration names.

    Attributes:
        url: the URL of its store.
        keys: the keys that seal the trail.
        seal_every: the number of records between two seals.
        required: True to refuse an act that cannot be recorded.
        uses: True to record uses of the credential store too.
    """

    url: Secret
    keys: Secret | None = field(default=None, validator=if_given(_valid_keys))
    seal_every: int = field(default=_SEAL_EVERY, validator=is_count)
    required: bool = True
    uses: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse an interval between seals if there are no keys to seal with."""
        if self.keys is None and self.seal_every != _SEAL_EVERY:
            raise ConfigurationError(
                "seal_every is set, but there are no keys to seal the audit trail with.",
                path="seal_every",
                remedy="Set keys = 'secret://env/NAME', or remove seal_every.",
            )

    def open(self) -> AuditTrail:
        """Open the audit trail.

        Raises:
            ConfigurationError: no store has such a URL, or its package is not installed.
        """
        from moorage.hub.audit import AuditTrail  # noqa: PLC0415 - only some configurations have one

        return AuditTrail(
            open_audit(self.url.reveal(), create=True),
            keys=self.keys,
            seal_every=self.seal_every,
            required=self.required,
        )


@frozen(kw_only=True)
class Configured:
    """The content of a configuration.

    Attributes:
        accounts, routes, services: the arguments of the hub.
        connectors: the connectors of systems that are not HTTP APIs.
        pipelines: the pipelines for `moorage stream run`.
        platforms: the platforms that run steps.
        steps: the steps for `moorage step run`.
        state: the URL of the store, if one is named; for several shards, one URL for all of them.
        keys: the URL of a separate store for idempotency keys, if one is named.
        default_state: the URL of the store that is used if neither the configuration nor the
            program names one, because a service moves money; None if `keys` is named.
        environment_id: the environment that the store belongs to.
        records_per_tenant: the maximum number of idempotency records of each tenant, if limited.
        broker: the broker of leases on this machine, if some limits are leased.
        cipher: the cipher for stored answers and entries, if one is named.
        tenants_from: the store in which tables of tenants are looked up, if one is named.
        credentials_from: the store of credentials, if one is named.
        log: the URL of the integration log, if one is named.
        metrics: the URL of the store of call figures, if one is named.
        objectives: the objectives of service levels.
        log_days: the days for which `moorage housekeep` keeps an entry of the log, if limited.
        audit: the audit trail, if one is named.
        http: the settings of the embedded HTTP client, if there are any.
        observers: the observers to install, if there are any.
        health: the probes, and the rules by which health is assessed, if there are any.
        alerts: the alert rules and their channels, if there are any.
        environment: the environment for which the configuration was read, if any.
        environments: the environments for which the configuration has tables.
        safety: the limits that keep tests away from real vendors.
        warnings: valid settings that should be changed.
        inline: secrets in plain text in a mapping, which should be `Secret` values.
        origins: the origin of a value by its path, if it is not the source itself: an environment
            variable, or the tables of an environment.
        migrated: the conversion to the current version, if the configuration has an earlier one.
        file: the file that was read, if any.
    """

    accounts: tuple[Account, ...]
    routes: tuple[Route, ...]
    services: tuple[Service, ...]
    connectors: tuple[ConnectorSettings, ...] = ()
    pipelines: tuple[PipelineSettings, ...] = ()
    platforms: tuple[PlatformSettings, ...] = ()
    steps: tuple[Step, ...] = ()
    state: str | None = field(default=None, repr=False)
    keys: str | None = field(default=None, repr=False)
    default_state: str | None = None
    environment_id: str | None = None
    records_per_tenant: int | None = None
    broker: BrokerSettings | None = None
    cipher: CipherSettings | None = None
    tenants_from: TenantStoreSettings | None = None
    credentials_from: CredentialStoreSettings | None = None
    log: str | None = field(default=None, repr=False)
    metrics: str | None = field(default=None, repr=False)
    objectives: tuple[Objective, ...] = ()
    log_days: float | None = None
    audit: AuditSettings | None = None
    http: HttpSettings | None = None
    observers: ObserverSettings | None = None
    health: HealthSettings | None = None
    alerts: AlertSettings | None = None
    environment: str | None = None
    environments: tuple[str, ...] = ()
    safety: Safety = field(factory=Safety)
    warnings: tuple[Problem, ...] = ()
    inline: tuple[Problem, ...] = ()
    origins: Mapping[str, str] = field(factory=dict[str, str])
    migrated: Migrated | None = None
    file: Path | None = None

    @property
    def store(self) -> str | None:
        """The URL of the store that is used if the program does not pass a store."""
        return self.state or self.default_state


@without_arguments_in_errors
def read_configuration(source: Source, environment: str | None = None) -> Configured:
    """Read a configuration, and look up only the secrets to which it refers.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: the environment to read the configuration for; by default the value of
            MOORAGE_ENVIRONMENT.

    Raises:
        ConfigurationError: the configuration has mistakes; `problems` lists all of them with their
            paths.
    """
    parts = read_parts(source, environment)
    parts.report.raise_problems()
    return parts.configured


@frozen(kw_only=True)
class Parts:
    """The readable parts of a configuration, which may have problems elsewhere.

    Attributes:
        configured: its valid content.
        accounts: accounts with a wrong setting, created without it.
        services: services with a wrong setting, created without it.
        report: the problems so far.
        tree: the tables as they were written, with their references resolved.
        unreadable: the names of accounts that could not be created.
    """

    configured: Configured
    accounts: tuple[Account, ...]
    services: tuple[Service, ...]
    report: Report
    tree: Mapping[str, Any] = field(repr=False)
    unreadable: frozenset[str]

    @property
    def service_names(self) -> tuple[str, ...]:
        """The names of the configured services, including invalid ones."""
        tables = self.tree.get("services")
        return tuple(map(str, tables)) if is_object(tables) else ()


def _url_of_shards(
    state: Mapping[str, Any], name: str, former_name: str, report: Report
) -> str | None:
    """Return one URL for the shards that a setting names; None if it names no store."""
    urls, former_urls = (
        [address.reveal() for address in state.get(setting, ())] for setting in (name, former_name)
    )
    if name in state and not urls:
        report.add(
            f"state.{name}",
            "The list of stores is empty.",
            "Add the URL of a store, or remove the setting.",
        )
    return url_of_shards(urls, former_urls)


def _steps(
    values: Mapping[str, Any],
    valid_services: tuple[Service, ...],
    accounts: Mapping[str, str],
    report: Report,
) -> tuple[tuple[PlatformSettings, ...], tuple[Step, ...], tuple[Service, ...]]:
    """Return the valid platforms and steps, and the services with the service that starts steps."""
    platform_tables, step_tables = values.get("platforms", {}), values.get("steps", {})
    if not platform_tables and not step_tables:
        return (), (), valid_services
    from moorage.config.steps import (  # noqa: PLC0415 - few configurations have steps
        platforms,
        services_with_steps,
        steps,
    )

    return (
        platforms(platform_tables, report),
        steps(step_tables, tuple(platform_tables), report),
        services_with_steps(valid_services, values, accounts, report),
    )


def _pipelines(
    values: Mapping[str, Any],
    tree: Mapping[str, Any],
    valid_connectors: Iterable[ConnectorSettings],
    service_names: Iterable[str],
    report: Report,
) -> tuple[PipelineSettings, ...]:
    """Return the valid pipelines."""
    if not values.get("pipelines"):
        return ()
    from moorage.config.pipelines import pipelines  # noqa: PLC0415 - few configurations have pipelines

    return pipelines(
        values["pipelines"],
        tree["pipelines"],
        {connector.description.name: connector for connector in valid_connectors},
        tuple(values.get("connectors", {})),
        service_names=frozenset(service_names),
        report=report,
    )


def read_parts(source: Source, environment: str | None = None) -> Parts:
    """Return the readable parts of a configuration, and the report of its problems.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: the environment to read the configuration for; by default the value of
            MOORAGE_ENVIRONMENT.

    Raises:
        ConfigurationError: the file cannot be read or parsed, or its version is unknown.
    """
    if not isinstance(environment, str | None):
        raise ConfigurationError(
            f"The name of the environment is {with_article(type(environment).__name__)}, not a"
            " text.",
            path="environment",
            remedy='Pass the name as a text, such as environment="test".',
        )
    variables = dict(os.environ)
    source_tree = load(source)
    tree, migration = source_tree.check_content(migrate)
    environment = environment or variables.get(VARIABLE) or None
    origins: dict[str, str] = {}
    report = Report(origins)
    report.source = None if source_tree.file is None else str(source_tree.file)
    report.lines = source_tree.lines
    plain_secret_problems = plain_secrets(
        tree, "the settings" if source_tree.file is None else "a file"
    )
    environments = tree.get(ENVIRONMENTS)
    tree = for_environment(tree, environment, report, origins)
    tree = with_variables(tree, CONFIGURATION, variables, report, origins)
    resolved_tree = follow_references(tree, variables, source_tree.folder, report)
    resolved_tree = convert_connectors(resolved_tree, report)
    values: dict[str, Any] = read(CONFIGURATION, resolved_tree, "", report)
    accounts = Accounts(report)
    owners = list(_owners(values, resolved_tree))
    for owner in owners:
        accounts.add(*owner)
    for owner in owners:
        accounts.add_routes(*owner)
    valid_services, doubtful_services = services(
        values.get("services", {}), accounts.places(), report
    )
    valid_connectors = connectors(values.get("connectors", {}), accounts.places(), report)
    valid_services = services_of(valid_connectors, valid_services)
    valid_platforms, valid_steps, valid_services = _steps(
        values, valid_services, accounts.places(), report
    )
    known_names = [
        *(service.name for service in (*valid_services, *doubtful_services)),
        *accounts.places(),
        *values.get("services", {}),
    ]
    valid_pipelines = _pipelines(values, resolved_tree, valid_connectors, known_names, report)
    for tenant in values.get("tenants", {}):
        check = partial(checked_name, tenant, "tenant")
        report.make_or_report(check, path_below("tenants", key(tenant)), exact=True)
    safety: Safety = values.get("safety", Safety())
    for account in accounts.accounts.values():
        report.make_or_report(partial(check_modes, [account], safety), "")
    state = values.get("state", {})
    state_url = _url_of_shards(state, "url", "former", report)
    keys_url = _url_of_shards(state, "keys_url", "keys_former", report)
    log: Secret | None = values.get("log", {}).get("url")
    metrics: Secret | None = values.get("metrics", {}).get("url")
    log_days: float | None = values.get("log", {}).get("keep_days")
    if log_days is not None:
        report.make_or_report(partial(_check_days, log_days), "log.keep_days", exact=True)
    environment_id = state.get("environment_id") or environment
    if environment_id is not None:
        # The first call checks that the store belongs to the environment with this name.
        check = partial(checked_name, environment_id, "environment")
        report.make_or_report(check, "state.environment_id", exact=True)
    records_per_tenant = state.get("records_per_tenant")
    if records_per_tenant is not None:
        read_count = partial(count, records_per_tenant, "records_per_tenant")
        report.make_or_report(read_count, "state.records_per_tenant", exact=True)
    # Payments' idempotency keys need a store that survives a crash, unless they have a separate
    # store.
    store_is_needed = (
        state_url is None
        and keys_url is None
        and is_needed(
            [*accounts.accounts.values(), *accounts.doubtful.values()],
            [*valid_services, *doubtful_services],
        )
    )
    configured = Configured(
        accounts=tuple(accounts.accounts.values()),
        routes=tuple(accounts.routes),
        services=valid_services,
        connectors=valid_connectors,
        pipelines=valid_pipelines,
        platforms=valid_platforms,
        steps=valid_steps,
        state=state_url,
        keys=keys_url,
        default_state=default_url(variables, environment_id) if store_is_needed else None,
        environment_id=environment_id,
        records_per_tenant=records_per_tenant,
        broker=_settings("broker", BrokerSettings, values, report),
        cipher=_settings("cipher", CipherSettings, values, report),
        tenants_from=_settings("tenants_from", TenantStoreSettings, values, report),
        audit=_settings("audit", AuditSettings, values, report),
        credentials_from=_settings("credentials_from", CredentialStoreSettings, values, report),
        log=None if log is None else log.reveal(),
        metrics=None if metrics is None else metrics.reveal(),
        objectives=tuple(values.get("objectives", ())),
        log_days=log_days,
        http=http_settings(values.get("http", {}), source_tree.folder, report),
        observers=values.get("observers"),
        health=values.get("health"),
        alerts=values.get("alerts"),
        environment=environment,
        environments=tuple(environments) if is_object(environments) else (),
        safety=safety,
        warnings=() if source_tree.file is None else plain_secret_problems,
        inline=plain_secret_problems if source_tree.file is None else (),
        origins=origins,
        migrated=migration,
        file=source_tree.file,
    )
    return Parts(
        configured=configured,
        accounts=tuple(accounts.doubtful.values()),
        services=doubtful_services,
        report=report,
        tree=resolved_tree,
        unreadable=accounts.unreadable,
    )


def environments_of(source: Source) -> tuple[str, ...]:
    """Return the names of the environments in a configuration.

    Raises:
        ConfigurationError: the file cannot be read or parsed.
    """
    environments = load(source).tree.get(ENVIRONMENTS)
    return tuple(map(str, environments)) if is_object(environments) else ()


def _settings(
    name: str, kind: type[Made], tables: Mapping[str, Any], report: Report
) -> Made | None:
    """Return the settings of a table; None if the table is absent or wrong."""
    if name not in tables or not report.has_no_problem(name) or report.is_unreadable_at(name):
        return None
    settings = report.make_or_report(partial(kind, **tables[name]), name)
    return None if isinstance(settings, ReportedProblem) else settings


def _owners(values: dict[str, Any], written: dict[str, Any]) -> Any:
    """Yield the tables that all tenants share and the tables of each tenant, with their paths."""
    yield values, written, "", None
    source_tenants = written.get("tenants")
    for tenant, tables in values.get("tenants", {}).items():
        tenant_tables = source_tenants.get(tenant) if is_object(source_tenants) else None
        yield (
            tables,
            tenant_tables if is_object(tenant_tables) else {},
            path_below("tenants", key(tenant)),
            tenant,
        )


def _open_provider(provider: Any, place: ProviderEnvironment) -> Read:
    read_secret: Read = provider.open(place)
    return read_secret


def follow_references(
    tree: dict[str, Any],
    variables: Mapping[str, str],
    folder: Path,
    report: Report,
    *,
    is_whole: bool = True,
) -> dict[str, Any]:
    """Return the configuration with the values of the secrets and variables it refers to.

    Args:
        tree: the configuration.
        variables: the environment variables.
        folder: the folder that relative paths start from.
        report: collects the problems.
        is_whole: False for the tables of one tenant, which name no secret providers.
    """
    secrets_table = tree.get(_SECRETS, {})
    provider_tables = secrets_table if is_object(secrets_table) else {}
    with ExitStack() as cleanup:
        place = ProviderEnvironment(variables, folder, cleanup)
        providers: dict[str, Read] = built_in(place)
        tables = dict(provider_tables)
        order = ordered_providers(provider_tables, report)
        for name in [*order, *(name for name in provider_tables if name not in order)]:
            # A provider may need secrets from other providers, which must be opened first.
            path = path_below(_SECRETS, key(name))
            table = References(variables, providers, report, provider_tables).follow_references(
                provider_tables[name], path
            )
            tables[name] = table
            parsed_providers = read(NamedTable(PROVIDERS), {name: table}, _SECRETS, Report())
            if name in parsed_providers and not report.is_unreadable_at(path):
                read_secret = report.make_or_report(
                    partial(_open_provider, parsed_providers[name], place), path
                )
                if not isinstance(read_secret, ReportedProblem):
                    providers[name] = read_secret
        other_tables = {name: value for name, value in tree.items() if name != _SECRETS}
        named_tables = provider_tables if is_whole else None
        references = References(variables, providers, report, named_tables)
        resolved_tree = {
            name: references.follow_references(value, key(name))
            for name, value in other_tables.items()
        }
    if _SECRETS in tree:
        resolved_tree[_SECRETS] = tables if is_object(secrets_table) else secrets_table
    return resolved_tree
