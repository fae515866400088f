"""`moorage check`: check a configuration without sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.adapters.files.whole_files import WholeFile
from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import (
    INVALID_USE,
    OK,
    UNREACHABLE,
    code_of,
    error_as_dict,
    problem_fields,
)
from moorage.cli.places import open_hub
from moorage.cli.store_probes import unusable_stores
from moorage.config.configured import environments_of
from moorage.domain.values.json_text import is_list
from moorage.errors import ConfigurationError, ConnectorError
from moorage.wiring.accounts import services_of
from moorage.wiring.defaults import default_adapter_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moorage.config.configured import Configured
    from moorage.config.migration import Migrated
    from moorage.contracts.routes import Account, Route
    from moorage.domain.service.settings import Service

_MEMORY: Final = "the memory of each process"


def check(
    *,
    write: bool = False,
    all_environments: bool = False,
    credentials: str | None = None,
    context: Context,
) -> CommandResult:
    """Check a configuration without sending anything.

    The command opens the configuration as `moorage.open` does and reports all problems together. It
    reads the referenced secrets and connects to your stores, but to no vendor. A hub opens without
    its stores, so a store that cannot be used now is reported separately, with exit code 4.

    Args:
        write: rewrite a configuration of an earlier version in the current version.
        all_environments: check every environment of the configuration.
        credentials: the URL of a credential store, if your program passes one to `moorage.open`
            and the configuration names none.
        context: the options that all commands share.
    """
    if all_environments:
        return _check_environments(write=write, credentials=credentials, context=context)
    result = _check_environment(write=write, credentials=credentials, context=context)
    document = result.document
    unchecked = [name for name in document["environments"] if name != document["environment"]]
    if not unchecked:
        return result
    subject = "environment {} was" if len(unchecked) == 1 else "environments {} were"
    note = f"The {subject.format(', '.join(unchecked))} not checked. Add --all-environments."
    return attrs.evolve(
        result,
        document={**document, "unchecked": unchecked},
        output=[*result.output, "", note],
    )


def _check_environment(*, write: bool, credentials: str | None, context: Context) -> CommandResult:
    """Check a configuration for the selected environment."""
    source = context.configuration_name()
    with open_hub(context, credentials, complete=context.source_is_named) as (_, configured):
        pass
    services = (*services_of(configured.accounts), *configured.services)
    unusable = unusable_stores(configured)
    store_kind = _MEMORY if configured.store is None else configured.store.partition(":")[0]
    store_problem = next(
        (problem.found for problem in unusable if problem.path == "state.url"), None
    )
    document: dict[str, Any] = {
        "configuration": source,
        "environment": configured.environment,
        "warnings": [problem_fields(warning) for warning in configured.warnings],
        "http": default_adapter_name("http"),
        "unusable": [problem_fields(problem) for problem in unusable],
        "store": {"kind": store_kind, "reachable": store_problem is None, "problem": store_problem},
        "accounts": [_account(account) for account in configured.accounts],
        "routes": [_route(route) for route in configured.routes],
        "services": [_service(service) for service in services],
    }
    document |= _environment_data(configured)
    if write and configured.migrated is not None:
        _rewrite(configured.file, configured.migrated)
    reachability = "reachable" if store_problem is None else "not usable now"
    return CommandResult(
        document,
        [
            f"{source} is valid."
            if not unusable
            else f"{source} is valid, but these stores cannot be used now:",
            *(f"  {problem}" for problem in unusable),
            *_notes(configured, written=write),
            f"HTTP client: {document['http']}",
            f"store: {store_kind}{'' if store_kind == _MEMORY else f', {reachability}'}",
            *_table_lines(("account", "vendor", "contracts", "tenants"), document["accounts"]),
            *_table_lines(("contract", "accounts", "tenant", "only for"), document["routes"]),
            *_table_lines(("service", "host", "credentials", "protected by"), document["services"]),
        ],
        UNREACHABLE if unusable else OK,
    )


def _check_environments(*, write: bool, credentials: str | None, context: Context) -> CommandResult:
    """Check each environment of a configuration, or the configuration if it has none."""
    results, lines, codes = list[dict[str, Any]](), list[str | Table](), list[int]()
    for name in environments_of(context.source()) or (None,):
        context_of_environment = (
            context if name is None else attrs.evolve(context, environment=name)
        )
        lines += ["", f"Environment {name or 'none'}:"]
        try:
            result = _check_environment(
                write=write, credentials=credentials, context=context_of_environment
            )
        except ConnectorError as error:
            results.append({"environment": name, "error": error_as_dict(error)})
            lines.append(str(error))
            codes.append(code_of(error))
        else:
            results.append({**result.document, "environment": name})
            lines += result.output
            codes.append(result.code)
    return CommandResult({"environments": results}, lines[1:], _worst_code(codes))


def _worst_code(codes: list[int]) -> int:
    """Return the worst of several exit codes; a mistake is worse than an unavailable store."""
    return INVALID_USE if INVALID_USE in codes else max(codes)


def _environment_data(configured: Configured) -> dict[str, Any]:
    """Return the environments, overrides and migration of a configuration as JSON values."""
    return {
        "environments": [*configured.environments],
        "overridden": dict(configured.origins),
        "migrated": None if configured.migrated is None else configured.migrated.diff,
    }


def _notes(configured: Configured, *, written: bool) -> Iterable[str]:
    """Yield a configuration's warnings, environment, overrides and migration as lines of text."""
    for warning in configured.warnings:
        yield f"warning: {warning}"
    if configured.environments:
        names = ", ".join(configured.environments)
        yield f"environment: {configured.environment or 'none'} (configured: {names})"
    for path, origin in configured.origins.items():
        yield f"overridden: {path} by {origin}"
    if configured.migrated is not None:
        migration = configured.migrated
        yield f"The configuration has version {migration.version}; the new one differs by:"
        yield f"\n{migration.diff}"
        yield "The file has been rewritten." if written else "Rewrite the file with --write."


def _rewrite(source: Path | None, migration: Migrated) -> None:
    """Replace the file atomically with the current version, and keep a copy as `.old`.

    If the file is a symbolic link, the file that it leads to is replaced.
    """
    if source is None or source.suffix not in {"", ".toml"}:
        raise ConfigurationError(
            "--write rewrites only TOML files.",
            path="--write",
            remedy="Apply the shown difference by hand.",
        )
    try:
        target = source.resolve(strict=True)
        mode = target.stat().st_mode & 0o777
        _replace_file(target.with_name(f"{target.name}.old"), target.read_bytes(), mode)
        _replace_file(target, migration.text.reveal().encode(), mode)
    except OSError as error:
        problem = f"{source} cannot be written ({error.strerror})."
    else:
        return
    raise ConfigurationError(
        problem,
        path="--write",
        remedy="Give this user write permission on the file and its folder.",
    )


def _replace_file(path: Path, content: bytes, mode: int) -> None:
    with WholeFile(path) as file:
        file.allow(mode)
        file.write(content)
        file.keep()


def _table_lines(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> Iterable[str | Table]:
    if rows:
        yield ""
        yield Table(columns, ([_cell_text(row[name]) for name in columns] for row in rows))


def _cell_text(value: Any) -> str:
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
    credentials = "configured" if service.credentials is not None else None
    base_urls = [region.base_url for region in service.regions]
    if service.base_url is not None:
        base_urls.append(service.base_url)
    return {
        "service": service.name,
        "host": ", ".join(urlsplit(url).netloc for url in base_urls) or None,
        "credentials": "from a store" if service.needs_credentials else credentials,
        "protected by": [name for name, is_enabled in protections.items() if is_enabled],
    }
