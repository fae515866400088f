"""Accounts, routes and services, made of tables that have been read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.config.problems import WRONG, key, near, quoted, under
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.domain.json_text import is_list, is_object
from moorage.domain.keys import checked_name
from moorage.domain.service import Service
from moorage.wiring.catalog import KINDS, vendor_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.config.problems import Report
    from moorage.contracts.vendor import Vendor

_OF_ACCOUNTS: Final = ("kind", "cost", "webhook_secrets")


class Accounts:
    """The accounts of everybody and of tenants, and the routes to them.

    Args:
        report: is told what is wrong.
    """

    def __init__(self, report: Report) -> None:
        self.accounts: dict[str, Account] = {}
        self.routes: list[Route] = []
        self._report = report
        self._wrong: set[str] = set()

    def add(
        self, read: Mapping[str, Any], written: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Make the accounts of one tenant, or of everybody.

        Args:
            read: its tables as they were read.
            written: the same as they were written.
            path: where they stand.
            tenant: whose they are.
        """
        at = under(path, "vendors")
        tables: Mapping[str, Any] = read.get("vendors", {})
        named = written.get("vendors")
        for name in dict.fromkeys([*(named if is_object(named) else ()), *tables]):
            own = under(at, key(name))
            whole = name if tenant is None else f"{tenant}.{name}"
            table = tables.get(name)
            if table is None or not self._report.clear(own):
                self._wrong.add(whole)
            elif tenant is not None and "." in name:
                # Or "b.c" of the tenant "a" would be called as "c" of the tenant "a.b".
                self._wrong.add(whole)
                self._report.add(own, "there is a dot in its name.", "Write - or _ instead.")
            elif whole in self.accounts:
                self._report.add(own, "another account is called so.", "Give it another name.")
            else:
                self._account(whole, name, table, own, tenant)

    def lead(
        self, read: Mapping[str, Any], written: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Make the routes of one tenant, or of everybody; all accounts are there."""
        for kind in KINDS:
            at = under(path, kind)
            listed = is_list(written.get(kind))
            for place, rules in enumerate(read.get(kind, ())):
                own = f"{at}[{place}]" if listed else at
                self._route(kind, rules, own, tenant)

    def _account(
        self, whole: str, name: str, table: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        kind = vendor_class(table.get("kind", name))
        own: set[str] = {str(field.name) for field in attrs.fields(cast("Any", kind))}
        options = {name: one for name, one in table.items() if name in own}
        make = partial(kind, **options)
        vendor = self._report.made(make, path, options)
        if vendor is WRONG:
            self._wrong.add(whole)
            return
        settings = {
            name: one for name, one in table.items() if name not in own and name not in _OF_ACCOUNTS
        }
        fields = {name: table[name] for name in _OF_ACCOUNTS[1:] if name in table}
        if tenant is not None:
            fields["tenants"] = {tenant}
        if self._report.made(partial(Ref, kind.name, whole, "1"), path, exact=True) is WRONG:
            self._wrong.add(whole)
            return

        def complete() -> Account:
            account = Account(whole, cast("Vendor", vendor), settings=settings, **fields)
            # What its options and settings are good for shows when its services are made.
            _services(account)
            return account

        account = self._report.made(complete, path, {**options, **settings, **fields})
        if isinstance(account, Account):
            self.accounts[whole] = account
        else:
            self._wrong.add(whole)

    def _route(self, kind: str, rules: Mapping[str, Any], path: str, tenant: str | None) -> None:
        names: tuple[str, ...] = rules["vendor"]
        accounts = tuple(self._known(name, tenant) for name in names)
        for place, (name, account) in enumerate(zip(names, accounts, strict=True)):
            at = f"{path}.vendor" if len(names) == 1 else f"{path}.vendor[{place}]"
            self._check(kind, name, account, at, tenant)
        fields = {name: one for name, one in rules.items() if name != "vendor"}
        route = self._report.made(
            partial(Route, kind, accounts, tenant=tenant, **fields),
            path,
            fields,
        )
        if isinstance(route, Route):
            self.routes.append(route)

    def _known(self, name: str, tenant: str | None) -> str:
        """An account of the tenant's own comes before one of that name for everybody."""
        own = f"{tenant}.{name}"
        return own if tenant is not None and own in {*self.accounts, *self._wrong} else name

    def _check(self, kind: str, name: str, account: str, path: str, tenant: str | None) -> None:
        if account in self._wrong:
            return
        found = self.accounts.get(account)
        if found is not None and kind in found.vendor.kinds and found.open_to(tenant):
            return
        fitting = [
            one.name if one.tenants is None else one.name.removeprefix(f"{tenant}.")
            for one in self.accounts.values()
            if kind in one.vendor.kinds and one.open_to(tenant)
        ]
        self._report.add(
            path,
            f"{quoted(name)} is no account for {kind}.",
            f"Use one of: {', '.join(sorted(fitting))}." if fitting else "Configure one first.",
            nearest=near(name, fitting),
        )


def services(tables: Mapping[str, Any], report: Report) -> Iterator[Service]:
    """The services of tables that have been read."""
    for name, table in tables.items():
        path = under("services", key(name))
        if report.made(partial(checked_name, name, "service"), path, exact=True) is WRONG:
            continue
        service = report.made(partial(Service, name, **table), path, table)
        if isinstance(service, Service):
            yield service


def _services(account: Account) -> list[Service]:
    account.vendor.clients()
    return [attrs.evolve(one, **account.settings) for one in account.vendor.services().values()]
