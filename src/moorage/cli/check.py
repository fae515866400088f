"""`moorage check`: what a configuration says, proved without sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from moorage.adapters.whole_files import WholeFile
from moorage.cli.answer import Answer, Table
from moorage.cli.desk import Desk
from moorage.cli.ends import OK, UNWELL, plain
from moorage.cli.places import opened_store
from moorage.contracts.routes import Directory
from moorage.domain.admission import ReadCircuit
from moorage.domain.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.json_text import is_list
from moorage.domain.keys import state_key
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.opening import open_tenants
from moorage.wiring.accounts import places_of, services_of
from moorage.wiring.defaults import memory_storage, standing_for
from moorage.wiring.suitable import check_money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moorage.config.configured import Configured
    from moorage.config.migration import Migrated
    from moorage.contracts.routes import Account, Route
    from moorage.domain.service import Service

_MEMORY: Final = "the memory of each process"


def check(*, write: bool = False, desk: Desk) -> Answer:
    """Prove a configuration without sending anything.

    It is read as a program would read it, and every account, route and service is made. Of what is
    outside only the store of shared state is tried, which is ours, and the secrets are asked for
    that it refers to.

    Args:
        write: write a configuration of an earlier version anew, in the current one.
        desk: what all commands share.
    """
    source = desk.called()
    found = desk.configured()
    Directory(found.accounts, found.routes)
    services = (*services_of(found.accounts), *found.services)
    store, away = _store(found, services)
    if found.tenants_from is not None:
        open_tenants(found.tenants_from.url.reveal(), found.tenants_from.keys)
    told: dict[str, Any] = {
        "configuration": source,
        "environment": found.environment,
        "warnings": [plain(one) for one in found.warnings],
        "http": standing_for("http"),
        "store": {"kind": store, "reachable": away is None, "problem": away},
        "accounts": [_account(one) for one in found.accounts],
        "routes": [_route(one) for one in found.routes],
        "services": [_service(one) for one in services],
    }
    told |= _aside(found)
    if write and found.migrated is not None:
        _rewrite(found.file, found.migrated)
    reached = "reachable" if away is None else f"not reachable: {away}"
    return Answer(
        told,
        [
            f"{source} is right.",
            *_aloud(found, written=write),
            f"HTTP client: {told['http']}",
            f"store: {store}{'' if store == _MEMORY else f', {reached}'}",
            *_listed(("account", "vendor", "contracts", "tenants"), told["accounts"]),
            *_listed(("contract", "accounts", "tenant", "only for"), told["routes"]),
            *_listed(("service", "host", "credentials", "protected by"), told["services"]),
        ],
        OK if away is None else UNWELL,
    )


def _aside(found: Configured) -> dict[str, Any]:
    """What is said of it besides, for programs."""
    return {
        "environments": [*found.environments],
        "overridden": dict(found.origins),
        "migrated": None if found.migrated is None else found.migrated.diff,
    }


def _aloud(found: Configured, *, written: bool) -> Iterable[str]:
    """The same, for people."""
    for one in found.warnings:
        yield f"warning: {one}"
    if found.environments:
        known = ", ".join(found.environments)
        yield f"environment: {found.environment or 'none'} (it knows {known})"
    for path, origin in found.origins.items():
        yield f"overridden: {path} by {origin}"
    if found.migrated is not None:
        yield f"It is written in version {found.migrated.version}:\n\n{found.migrated.diff}"
        yield "It has been written anew." if written else "Write it anew with --write."


def _rewrite(source: Path | None, migrated: Migrated) -> None:
    """Put the current version in place, in one step, and keep the earlier one beside it."""
    if source is None or source.suffix not in {"", ".toml"}:
        raise ConfigurationError(
            "only files of TOML are written.",
            path="--write",
            remedy="Write it anew by hand, after the difference that is shown.",
        )
    try:
        mode = source.stat().st_mode & 0o777
        _put(source.with_name(f"{source.name}.old"), source.read_bytes(), mode)
        _put(source, migrated.text.reveal().encode(), mode)
    except OSError as error:
        problem = f"{source} cannot be written ({error.strerror})."
    else:
        return
    raise ConfigurationError(
        problem, path="--write", remedy="Let this user write the file and its folder."
    )


def _put(path: Path, content: bytes, mode: int) -> None:
    with WholeFile(path) as file:
        file.allow(mode)
        file.write(content)
        file.keep()


def _listed(columns: tuple[str, ...], found: list[dict[str, Any]]) -> Iterable[str | Table]:
    if found:
        yield ""
        yield Table(columns, ([_cell(one[name]) for name in columns] for one in found))


def _cell(value: Any) -> str:
    return ", ".join(value) if is_list(value) else value or ""


def _account(account: Account) -> dict[str, Any]:
    vendor = account.vendor
    return {
        "account": account.name,
        "vendor": vendor.name,
        "contracts": [*vendor.kinds],
        "tenants": None if account.tenants is None else sorted(account.tenants),
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "contract": route.kind,
        "accounts": [*route.accounts],
        "tenant": route.tenant,
        "only for": sorted(route.countries | route.currencies),
    }


def _service(service: Service) -> dict[str, Any]:
    protections = {
        "retry": service.retry,
        "circuit": service.circuit,
        "limits": service.limits,
        "bulkhead": service.bulkhead,
        "cache": service.cache,
    }
    credentials = "its own" if service.credentials is not None else None
    return {
        "service": service.name,
        "host": None if service.base_url is None else urlsplit(service.base_url).netloc,
        "credentials": "asked for" if service.needs_credentials else credentials,
        "protected by": [name for name, one in protections.items() if one],
    }


def _store(found: Configured, services: Iterable[Service]) -> tuple[str, str | None]:
    """What kind of store it is, and why it cannot be reached if so."""
    places = places_of(found.accounts, found.services)
    if found.state is None:
        check_money(services, memory_storage(), places)
        return _MEMORY, None
    kind = found.state.partition(":")[0]
    asked = ReadCircuit(
        CircuitRule(CircuitBreakerConfig()), state_key("circuit", "moorage check", None)
    )
    try:
        with opened_store(found.state) as store:
            check_money(services, store, places)
            store.execute(asked)
    except StorageUnavailable as error:
        return kind, error.message
    return kind, None
