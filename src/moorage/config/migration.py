"""Converts configurations of earlier versions to the current version.

A step is a function that converts a whole configuration to the next version. A setting that it
cannot convert stays unchanged, and is refused later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.config.toml_text import mask_secrets, write_toml
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CURRENT: Final = 1


@frozen
class Migrated:
    """A configuration converted from an earlier version to the current one.

    Attributes:
        version: the version in which it was written.
        diff: the changes, in TOML, with secrets masked.
        text: the whole configuration in TOML, to be written to a file; it may contain secrets.
    """

    version: int
    diff: str
    text: Secret = field(repr=False, eq=False)


def migrate(tree: dict[str, Any]) -> tuple[dict[str, Any], Migrated | None]:
    """Return a configuration in the current version, and its conversion if there was one.

    Raises:
        ConfigurationError: its version is unknown.
    """
    version = _version(tree)
    if version == CURRENT:
        return tree, None
    converted_tree = tree
    for step in range(version, CURRENT):
        converted_tree = {
            "version": step + 1,
            **_STEPS[step](_without_keys(converted_tree, "version")),
        }
    return converted_tree, Migrated(
        version, _diff(tree, converted_tree), Secret(write_toml(converted_tree))
    )


def _version(tree: Mapping[str, Any]) -> int:
    version = tree.get("version", CURRENT)
    if type(version) is not int or version < 0:
        raise ConfigurationError(
            "The version must be 0 or a positive whole number.",
            path="version",
            remedy=f"Write a whole number; the current version is {CURRENT}.",
        )
    if version > CURRENT:
        raise ConfigurationError(
            f"The configuration has version {version}, but the installed moorage reads versions up"
            f" to {CURRENT}.",
            path="version",
            remedy="Install a newer version of moorage, or rewrite the configuration as"
            f" version {CURRENT}.",
        )
    return version


def _migrate_version_0(tree: dict[str, Any]) -> dict[str, Any]:
    """Convert `accounts` and `routes` of version 0 to tables of vendors and kinds."""
    other_settings = _without_keys(tree, "accounts", "routes")
    shared_tables: dict[str, Any] = {}
    accounts = tree.get("accounts")
    if is_object(accounts) and "vendors" not in tree:
        shared_tables["vendors"] = {name: _vendor(account) for name, account in accounts.items()}
    elif accounts is not None:
        other_settings["accounts"] = accounts
    routes = tree.get("routes", [])
    if not (is_list(routes) and all(_is_route(route, tree) for route in routes)):
        return {**other_settings, **shared_tables, "routes": routes}
    tenants: dict[str, Any] = {}
    for route in routes:
        tenant = route.get("tenant")
        target = shared_tables if tenant is None else tenants.setdefault(tenant, {})
        target.setdefault(route["kind"], []).append(_rule_changes(route))
    for target in (shared_tables, *tenants.values()):
        for kind, rules in target.items():
            if is_list(rules) and len(rules) == 1:
                target[kind] = rules[0]
    if tenants:
        shared_tables["tenants"] = tenants
    return {**other_settings, **shared_tables}


def _vendor(account: Any) -> Any:
    if not is_object(account) or "vendor" not in account or "kind" in account:
        return account
    return {"kind": account["vendor"], **_without_keys(account, "vendor")}


def _is_route(route: Any, tree: Mapping[str, Any]) -> bool:
    """Return whether a route of version 0 can be converted without replacing a setting."""
    return (
        is_object(route)
        and isinstance(route.get("kind"), str)
        and route["kind"] not in {"vendors", "tenants", *tree}
        and isinstance(route.get("tenant", ""), str)
        and not ("tenant" in route and "tenants" in tree)
    )


def _rule_changes(route: dict[str, Any]) -> dict[str, Any]:
    accounts = route.get("accounts", [])
    if is_list(accounts) and len(accounts) == 1:
        accounts = accounts[0]
    return {"vendor": accounts, **_without_keys(route, "kind", "tenant", "accounts")}


_STEPS: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {0: _migrate_version_0}
"""The conversion from each version to the next."""


def _without_keys(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}


def _diff(before: dict[str, Any], after: dict[str, Any]) -> str:
    from difflib import unified_diff  # noqa: PLC0415 - needed for old configurations only

    old_lines, new_lines = (
        write_toml(mask_secrets(tree)).splitlines(keepends=True) for tree in (before, after)
    )
    return "".join(unified_diff(old_lines, new_lines, "as it is", f"as version {CURRENT}"))
