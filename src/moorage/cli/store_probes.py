"""Checks that the stores of a configuration can be used; opening a hub does not check this."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.cli.places import opened_store
from moorage.domain.idempotency.claims import Withdraw
from moorage.domain.observation.figures import FiguresQuery
from moorage.domain.observation.integration_log import LogQuery
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.gate_commands import ReadCircuit
from moorage.domain.state.keys import own_key, state_key
from moorage.errors import ConnectorError, Problem
from moorage.runtime.flows import run_now
from moorage.services.environment_guard import EnvironmentGuard
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.ports import Ports
from moorage.wiring.store_urls import (
    open_audit,
    open_credentials,
    open_log,
    open_metrics,
    open_tenants,
    sqlite_path,
    urls_of_shards,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.config.configured import Configured

_NAME: Final = "moorage check"
"""The service and the tenant that are looked up; nothing has this name."""


def unusable_stores(configured: Configured) -> tuple[Problem, ...]:
    """Return a problem for each store of a configuration that cannot be used at present.

    Each store is asked for a record that does not exist. A problem need not be a mistake in the
    configuration, because a server may be unavailable for the moment.
    """
    problems = list[Problem]()
    for path, probe in _probes(configured):
        try:
            probe()
        except ConnectorError as error:
            problems.append(Problem(path, error.message, error.remedy))
    return tuple(problems)


def _probes(configured: Configured) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each store's path in the configuration, and a function that reads the store."""
    yield from _probes_of_state(configured)
    if configured.log is not None and _store_exists(configured.log):
        yield "log.url", partial(_read_log, configured.log)
    if configured.metrics is not None and _store_exists(configured.metrics):
        yield "metrics.url", partial(_read_metrics, configured.metrics)
    audit, tenants, credentials = (
        configured.audit,
        configured.tenants_from,
        configured.credentials_from,
    )
    if audit is not None and _store_exists(audit.url.reveal()):
        yield "audit.url", partial(_read_audit, audit.url.reveal())
    if tenants is not None:
        make = partial(open_tenants, tenants.url.reveal(), tenants.keys)
        yield (
            "tenants_from.url",
            partial(_read_from_store, make, lambda store: store.version(_NAME)),
        )
    if credentials is not None:
        make = partial(open_credentials, credentials.url.reveal(), credentials.keys)
        yield (
            "credentials_from.url",
            partial(_read_from_store, make, lambda store: store.has(_NAME, None)),
        )


def _probes_of_state(
    configured: Configured,
) -> Iterator[tuple[str, Callable[[], object]]]:
    if configured.store is not None:
        for url in urls_of_shards(configured.store):
            yield "state.url", partial(_read_state, url)
    owned_url = configured.keys or configured.store
    if owned_url is not None and owned_url != "memory:":
        yield "state.environment_id", partial(_read_owner, owned_url, configured.environment_id)
    if configured.keys is not None:
        for url in urls_of_shards(configured.keys):
            yield "state.keys_url", partial(_read_key, url)


def _store_exists(url: str) -> bool:
    """Return whether a store's file exists; a missing file is created by the first write."""
    path = sqlite_path(url)
    return path is None or Path(path).exists()


def _table_options(url: str) -> dict[str, bool]:
    """Return the options that create missing tables, as the hub does when it opens a store."""
    return {} if url == "memory:" else {"create": True}


def _read_state(url: str) -> None:
    key = state_key("circuit", _NAME, None)
    with opened_store(url) as store:
        store.execute(ReadCircuit(CircuitRule(CircuitBreakerConfig()), key))


def _read_key(url: str) -> None:
    with opened_store(url) as store:
        # No process holds this key, so releasing it changes nothing.
        store.execute(Withdraw(own_key("key", _NAME, None, _NAME), 0, ttl=0))


def _read_owner(url: str, environment: str | None) -> None:
    """Raise an error if the store belongs to another environment."""
    with opened_store(url) as store:
        core = sync_core(Ports(state=store)).core
        try:
            refusal = run_now(EnvironmentGuard(core, environment).refusal())
        except ConnectorError:
            return  # reported for the URL of the store
    if refusal is not None:
        raise refusal


def _read_log(url: str) -> None:
    _read_from_store(
        partial(open_log, url, **_table_options(url)), lambda store: store.find(LogQuery(limit=1))
    )


def _read_metrics(url: str) -> None:
    query = FiguresQuery(since=datetime.now(UTC), by=())
    _read_from_store(
        partial(open_metrics, url, **_table_options(url)), lambda store: store.figures(query)
    )


def _read_audit(url: str) -> None:
    _read_from_store(partial(open_audit, url, create=True), lambda store: store.head())


def _read_from_store(make: Callable[[], Any], read: Callable[[Any], object]) -> None:
    store = make()
    try:
        read(store)
    finally:
        if hasattr(store, "close"):
            store.close()
