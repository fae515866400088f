"""Reads the accounts and routes of a tenant from a store instead of a configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.config.accounts import Accounts
from moorage.config.configured import follow_references
from moorage.config.problems import Report, key, path_below
from moorage.config.structure import read
from moorage.config.tables import CONFIGURATION
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.routes import Account, Route


@without_arguments_in_errors
def read_tenant(
    tenant: str, tables: Mapping[str, Any], shared: Iterable[Account]
) -> tuple[tuple[Account, ...], tuple[Route, ...]]:
    """Return the accounts and routes in a tenant's tables.

    Args:
        tenant: the name of the tenant.
        tables: the tables, as under `[tenants.NAME]` in a configuration; they may refer to
            secrets in environment variables and files.
        shared: the shared accounts, which the tenant's routes may name too.

    Raises:
        ConfigurationError: the tables have mistakes; `problems` lists all of them.
    """
    report = Report()
    path = path_below("tenants", key(tenant))
    if not isinstance(tables, Mapping):
        raise ConfigurationError(
            f"The value is {with_article(type(tables).__name__)}, not a table.",
            path=path,
            remedy="Return a table as under [tenants.NAME] in a configuration.",
        )
    resolved_tree = follow_references(
        {"tenants": {tenant: dict(tables)}},
        dict(os.environ),
        Path.cwd(),
        report,
        is_whole=False,
    )
    values: dict[str, Any] = read(CONFIGURATION, resolved_tree, "", report)
    usable_accounts = {
        account.name: account
        for account in shared
        if account.open_to(tenant) and not _belongs_to(tenant, account)
    }
    accounts = Accounts(report)
    accounts.accounts.update(usable_accounts)
    tenant_tables = values.get("tenants", {}).get(tenant, {})
    accounts.add(tenant_tables, resolved_tree["tenants"][tenant], path, tenant)
    accounts.add_routes(tenant_tables, resolved_tree["tenants"][tenant], path, tenant)
    report.raise_problems()
    accounts_of_tenant = tuple(
        account for name, account in accounts.accounts.items() if name not in usable_accounts
    )
    return accounts_of_tenant, tuple(accounts.routes)


def _belongs_to(tenant: str, account: Account) -> bool:
    return account.name.startswith(f"{tenant}.") and account.tenants == frozenset({tenant})
