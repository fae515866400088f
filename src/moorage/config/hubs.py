"""Opens hubs from a configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from warnings import warn

from moorage.config.assembly import assemble, check_parts
from moorage.config.configured import read_parts
from moorage.config.problems import path_below, similar_word
from moorage.config.tenants import read_tenant
from moorage.contracts.hub_configuration import HubConfiguration
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.frozen_values import fields_of
from moorage.errors import ConfigurationError, Problem
from moorage.hub.hub import AsyncHub, Hub
from moorage.hub.internals import close_with, keep_origin
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.configured import Configured, Parts
    from moorage.config.loading import Source


_HUB_ARGUMENTS: Final = ("transports", "tokens", "environment_id", "tenants", "tenants_every")
"""The arguments of `open` besides the ports of a manager."""


class ConfigurationWarning(UserWarning):
    """A warning about a valid configuration with a setting that should be changed."""


@without_arguments_in_errors
def open(source: Source, *, environment: str | None = None, **ports: Any) -> Hub:  # noqa: A001 - used as moorage.open
    """Return the hub that a configuration describes.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: the environment to read the configuration for; by default the value of
            MOORAGE_ENVIRONMENT.
        ports: further arguments of `Hub`, which replace those of the configuration; and `tenants`,
            which looks up tenants, with `tenants_every`, the seconds for which a result is used.

    Raises:
        ConfigurationError: the configuration has mistakes, or a port has an unknown name.
            `problems` lists all of them with their paths; nothing has been opened.
    """
    return open_hub(source, environment, ports, Hub, is_async=False)[0]


@without_arguments_in_errors
def aopen(source: Source, *, environment: str | None = None, **ports: Any) -> AsyncHub:
    """Return the asynchronous hub that a configuration describes.

    The arguments are those of `open`. This function itself is synchronous: it blocks while it reads
    the file and the secrets that it refers to.
    """
    return open_hub(source, environment, ports, AsyncHub, is_async=True)[0]


H = TypeVar("H", Hub, AsyncHub)


def open_hub(
    source: Source,
    environment: str | None,
    passed_ports: Mapping[str, Any],
    kind: type[H],
    *,
    is_async: bool,
    complete: bool = True,
) -> tuple[H, Configured]:
    """Return the hub that a configuration describes, and the configuration.

    Args:
        source: the path of a file, or a mapping.
        environment: the environment to read the configuration for.
        passed_ports: the ports that the program passes.
        kind: the class of the hub.
        is_async: True if the hub is asynchronous.
        complete: True to refuse a service without known credentials.

    Raises:
        ConfigurationError: the configuration has mistakes; `problems` lists all of them.
    """
    check_ports(passed_ports)
    parts = read_parts(source, environment)
    configured = parts.configured
    fixed_paths = _fixed_paths(configured, passed_ports)
    assembled_parts = assemble(parts, passed_ports, is_async=is_async, complete=complete)
    parts.report.raise_problems()
    _warn(configured)
    ports = assembled_parts.ports
    owned_stores = _owned_stores(configured, passed_ports)
    if owned_stores:
        opens_store = not passed_ports.keys() >= owned_stores
        ports.setdefault("environment_id", _environment_name(configured, opens_store=opens_store))
    check_again = partial(check_parts, ports=dict(ports), complete=complete)
    tenants = ports.pop("tenants", None)
    tenants_every = ports.pop("tenants_every", None)
    if tenants_every is None and configured.tenants_from is not None:
        tenants_every = configured.tenants_from.every
    hub = kind(
        configured.accounts,
        configured.routes,
        services=configured.services,
        safety=configured.safety,
        **ports,
    )
    if tenants is not None:
        interval = 5.0 if tenants_every is None else tenants_every
        hub.look_up_tenants(tenants, read_tenant, every=interval)
    close_with(hub, assembled_parts.owned)
    for connector in configured.connectors:
        build = connector.build(hub.manager, is_async=is_async)
        hub.connectors.declare(connector.description, build)
    if configured.platforms or configured.steps:
        from moorage.config.steps import define  # noqa: PLC0415 - few configurations have steps

        define(hub.steps, configured.platforms, configured.steps, is_async=is_async)
    hub.health_settings = configured.health
    hub.alert_settings = configured.alerts
    hub.objectives = configured.objectives
    read_again = partial(_reload, configured, fixed_paths, environment, check_again)
    keep_origin(hub, source, read_again)
    return hub, configured


def check_ports(names: Iterable[object], path: str = "") -> None:
    """Raise an error for an argument name that neither `open` nor `aopen` accepts.

    Args:
        names: the names that were passed.
        path: the path of the names, if they come from a setting.

    Raises:
        ConfigurationError: one of them is unknown.
    """
    argument_names = [*(field.name for field in fields_of(Ports)), *_HUB_ARGUMENTS]
    for name in names:
        if name not in argument_names:
            nearest_name = similar_word(str(name), argument_names)
            hint = "" if nearest_name is None else f"Did you mean {nearest_name}? "
            raise ConfigurationError(
                f"`moorage.open` has no argument {str(name)!r}.",
                path=path_below(path, str(name)),
                remedy=f"{hint}Use {', '.join(argument_names)}; set everything else in the"
                " configuration.",
            )


def _fixed_paths(configured: Configured, ports: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of settings that a reload cannot change, since they belong to open ports."""
    opens_store = "state" not in ports
    paths = ["state.url"] if opens_store else []
    paths += ["state.keys_url"] * ("claims" not in ports)
    if "environment_id" not in ports and _owned_stores(configured, ports):
        paths.append("state.environment_id")
    paths.append("broker")
    paths += ["state.records_per_tenant"] * ("records_per_tenant" not in ports)
    if "cipher" not in ports:
        paths.append("cipher")
    if "tenants" not in ports:
        paths += ["tenants_from.url", "tenants_from.keys"]
        if "tenants_every" not in ports:
            paths.append("tenants_from.every")
    if "credentials" not in ports:
        paths += ["credentials_from.url", "credentials_from.keys"]
    if "log" not in ports:
        paths.append("log.url")
    paths += ["metrics.url", "connectors", "platforms", "steps", "health", "alerts", "objectives"]
    if "audit" not in ports:
        paths.append("audit")
    if "http" not in ports:
        paths.append("http")
    if "observers" not in ports:
        paths.append("observers")
    return tuple(paths)


_FIXED_TENANTS: Final = "A running hub cannot change the store of its tenants."
_FIXED_CREDENTIALS: Final = "A running hub cannot change its credential store."
_REASONS: Final = {
    "state.url": (
        "A running hub cannot change its store, which holds the idempotency keys in use."
    ),
    "state.keys_url": "A running hub cannot change its store of idempotency keys.",
    "broker": "A running hub cannot change the broker that leases tokens to it.",
    "cipher": "A running hub cannot change its cipher.",
    "credentials_from.url": _FIXED_CREDENTIALS,
    "credentials_from.keys": _FIXED_CREDENTIALS,
    "log.url": "A running hub cannot change its integration log.",
    "metrics.url": "A running hub cannot change the store of its metrics.",
    "audit": "A running hub cannot change its audit trail.",
    "http": "A running hub cannot change its HTTP client or its connections.",
    "connectors": (
        "A running hub cannot change its connectors from the configuration; a program can replace"
        " them with `hub.connectors.replace`."
    ),
    "platforms": "A running hub cannot change its platforms.",
    "steps": "A running hub cannot change its steps.",
    "observers": "A running hub cannot change its observers.",
    "health": "A running hub cannot change its health rules and probes.",
    "alerts": "A running hub cannot change its alert rules or channels.",
    "objectives": "A running hub cannot change its service-level objectives.",
    "state.records_per_tenant": "A running hub cannot change the limit of its tenants' records.",
    "state.environment_id": (
        "A running hub cannot change its environment, because the store belongs to the environment."
    ),
}
_RESTART: Final = "Restore the previous {}, or restart the program."


def _reload(
    first_read: Configured,
    fixed_paths: tuple[str, ...],
    environment: str | None,
    check_again: Callable[[Parts], None],
    source: Source,
) -> HubConfiguration:
    """Read the configuration again, and return its accounts, routes and services."""
    parts = read_parts(source, environment)
    configured = parts.configured
    check_again(parts)
    parts.report.raise_problems()
    old_settings, new_settings = _fixed_settings(first_read), _fixed_settings(configured)
    problems = tuple(
        Problem(path, _REASONS.get(path, _FIXED_TENANTS), _RESTART.format(path))
        for path in fixed_paths
        if old_settings[path] != new_settings[path]
    )
    if problems:
        raise ConfigurationError.of(problems)
    return HubConfiguration(
        accounts=configured.accounts,
        routes=configured.routes,
        services=configured.services,
        safety=configured.safety,
    )


def _fixed_settings(configured: Configured) -> dict[str, Any]:
    """Return the settings with which the ports were opened, by their paths."""
    tenants, credentials = configured.tenants_from, configured.credentials_from
    return {
        "broker": configured.broker,
        "cipher": configured.cipher,
        "credentials_from.url": None if credentials is None else credentials.url,
        "credentials_from.keys": None if credentials is None else credentials.keys,
        "alerts": configured.alerts,
        "audit": configured.audit,
        "connectors": configured.connectors,
        "platforms": configured.platforms,
        "steps": configured.steps,
        "health": configured.health,
        "http": configured.http,
        "log.url": configured.log,
        "metrics.url": configured.metrics,
        "objectives": configured.objectives,
        "observers": configured.observers,
        "state.url": configured.store,
        "state.keys_url": configured.keys,
        "state.environment_id": configured.environment_id,
        "state.records_per_tenant": configured.records_per_tenant,
        "tenants_from.url": None if tenants is None else tenants.url,
        "tenants_from.keys": None if tenants is None else tenants.keys,
        "tenants_from.every": None if tenants is None else tenants.every,
    }


def _owned_stores(configured: Configured, passed_ports: Mapping[str, Any]) -> frozenset[str]:
    """Return the ports of the stores that belong to an environment: all except memory."""
    urls = {
        "state": configured.state if "claims" in passed_ports else configured.store,
        "claims": configured.keys,
    }
    return frozenset(
        port
        for port, url in urls.items()
        if url != "memory:" and (port in passed_ports or url is not None)
    )


def _environment_name(configured: Configured, *, opens_store: bool) -> str | None:
    """Return the environment that must own the store.

    "" for an unnamed environment, None for any environment.
    """
    return (configured.environment_id or "") if opens_store else configured.environment_id


def _warn(configured: Configured) -> None:
    if configured.warnings:
        places = ", ".join(problem.path for problem in configured.warnings)
        first_problem = configured.warnings[0]
        # The stack frames up to the caller: this function, `open_hub`, `refusing`, and `open`
        # itself.
        warn(
            f"{configured.file}: {places}: {first_problem.found} {first_problem.remedy}",
            ConfigurationWarning,
            5,
        )
