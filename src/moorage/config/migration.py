"""Configurations of earlier versions, as they are written now.

A step is a function from a whole configuration to the same one in the next version. What it cannot
read it leaves where it is, for the reader to refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.toml_text import masked, write_toml
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CURRENT: Final = 1


@attrs.frozen
class Migrated:
    """A configuration of an earlier version, and what it is in the current one.

    Attributes:
        version: the one it was written in.
        diff: what changes, in TOML, with secrets masked.
        text: the whole of it in TOML, to be written to a file; there may be secrets in it.
    """

    version: int
    diff: str
    text: Secret = attrs.field(repr=False, eq=False)


def migrate(tree: dict[str, Any]) -> tuple[dict[str, Any], Migrated | None]:
    """A configuration in the current version, and what that has changed, if anything.

    Raises:
        ConfigurationError: it has a version that is not known.
    """
    version = _version(tree)
    if version == CURRENT:
        return tree, None
    current = tree
    for step in range(version, CURRENT):
        current = {"version": step + 1, **_STEPS[step](_without(current, "version"))}
    return current, Migrated(version, _diff(tree, current), Secret(write_toml(current)))


def _version(tree: Mapping[str, Any]) -> int:
    version = tree.get("version", CURRENT)
    if type(version) is not int or version < 0:
        raise ConfigurationError(
            "this is not the version of a configuration.",
            path="version",
            remedy=f"Write a whole number; the current version is {CURRENT}.",
        )
    if version > CURRENT:
        raise ConfigurationError(
            f"this is version {version} of a configuration, and what is installed reads versions up"
            f" to {CURRENT}.",
            path="version",
            remedy=f"Install a newer moorage, or write it as version {CURRENT}.",
        )
    return version


def _from_0(tree: dict[str, Any]) -> dict[str, Any]:
    """Accounts and routes, as `Account` and `Route` have them, become vendors and kinds."""
    left = _without(tree, "accounts", "routes")
    new: dict[str, Any] = {}
    accounts = tree.get("accounts")
    if is_object(accounts):
        new["vendors"] = {name: _vendor(one) for name, one in accounts.items()}
    elif accounts is not None:
        left["accounts"] = accounts
    routes = tree.get("routes", [])
    if not (is_list(routes) and all(map(_is_route, routes))):
        return {**left, **new, "routes": routes}
    tenants: dict[str, Any] = {}
    for route in routes:
        tenant = route.get("tenant")
        home = new if tenant is None else tenants.setdefault(tenant, {})
        home.setdefault(route["kind"], []).append(_rules(route))
    for home in (new, *tenants.values()):
        for kind, rules in home.items():
            if is_list(rules) and len(rules) == 1:
                home[kind] = rules[0]
    if tenants:
        new["tenants"] = tenants
    return {**left, **new}


def _vendor(account: Any) -> Any:
    if not is_object(account) or "vendor" not in account or "kind" in account:
        return account
    return {"kind": account["vendor"], **_without(account, "vendor")}


def _is_route(route: Any) -> bool:
    """Whether a route is one that can be moved."""
    return (
        is_object(route)
        and isinstance(route.get("kind"), str)
        and route["kind"] not in {"vendors", "tenants"}
        and isinstance(route.get("tenant", ""), str)
    )


def _rules(route: dict[str, Any]) -> dict[str, Any]:
    accounts = route.get("accounts", [])
    if is_list(accounts) and len(accounts) == 1:
        accounts = accounts[0]
    return {"vendor": accounts, **_without(route, "kind", "tenant", "accounts")}


_STEPS: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {0: _from_0}
"""From each version to the next."""


def _without(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: one for name, one in table.items() if name not in names}


def _diff(before: dict[str, Any], after: dict[str, Any]) -> str:
    from difflib import unified_diff  # noqa: PLC0415 - needed for old configurations only

    old, new = (write_toml(masked(one)).splitlines(keepends=True) for one in (before, after))
    return "".join(unified_diff(old, new, "as it is", f"as version {CURRENT}"))
