"""What a single tenant has of its own, where that does not stand in a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.config.accounts import Accounts
from moorage.config.configured import followed
from moorage.config.problems import Report, key, under
from moorage.config.structure import read
from moorage.config.tables import CONFIGURATION
from moorage.domain.secrets.frames import refusing
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.routes import Account, Route


@refusing
def read_tenant(
    tenant: str, tables: Mapping[str, Any], shared: Iterable[Account]
) -> tuple[tuple[Account, ...], tuple[Route, ...]]:
    """The accounts and routes that a tenant has of its own.

    Args:
        tenant: its name.
        tables: what stands below `[tenants.NAME]` in a configuration; they may refer to secrets.
        shared: the accounts that its routes may name besides.

    Raises:
        ConfigurationError: something in them is wrong; `problems` are all that is.
    """
    report = Report()
    path = under("tenants", key(tenant))
    if not isinstance(tables, Mapping):
        raise ConfigurationError(
            f"a {type(tables).__name__} stands where a table belongs.",
            path=path,
            remedy="Give what [tenants.NAME] has in a configuration.",
        )
    tree = followed({"tenants": {tenant: dict(tables)}}, dict(os.environ), Path.cwd(), report)
    found: dict[str, Any] = read(CONFIGURATION, tree, "", report)
    known = {one.name: one for one in shared if one.open_to(tenant) and not _is_of(tenant, one)}
    accounts = Accounts(report)
    accounts.accounts.update(known)
    tables_read = found.get("tenants", {}).get(tenant, {})
    accounts.add(tables_read, tree["tenants"][tenant], path, tenant)
    accounts.lead(tables_read, tree["tenants"][tenant], path, tenant)
    report.refuse()
    own = tuple(one for name, one in accounts.accounts.items() if name not in known)
    return own, tuple(accounts.routes)


def _is_of(tenant: str, account: Account) -> bool:
    return account.name.startswith(f"{tenant}.") and account.tenants == frozenset({tenant})
