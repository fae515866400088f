"""Accounts, routes and services, made of tables that have been read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.config.problems import WRONG, Report, Wrong, key, near, quoted, under
from moorage.config.stand_ins import note_common
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import checked_name
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError, InvalidData
from moorage.wiring.accounts import places_of
from moorage.wiring.catalog import KINDS, vendor_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import Vendor

_OF_ACCOUNTS: Final = ("kind", "cost", "webhook_secrets")
_ORIGINS: Final = {"secret": "credentials", "token_endpoint": "base_url"}
"""By field of what vendors make of their options: the option that it comes from."""


class Accounts:
    """The accounts of everybody and of tenants, and the routes to them.

    Args:
        report: is told what is wrong.

    Attributes:
        accounts: those that are right, by name.
        doubtful: those of which a setting is wrong, made without it; they are looked at further,
            and never used.
        routes: the routes that are right.
    """

    def __init__(self, report: Report) -> None:
        self.accounts: dict[str, Account] = {}
        self.doubtful: dict[str, Account] = {}
        self.routes: list[Route] = []
        self._report = report
        self._wrong: dict[str, str] = {}
        self._led: list[tuple[Route, str]] = []

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
            if table is None:
                self._wrong[whole] = own
            elif not self._report.clear(own):
                self._wrong[whole] = own
                self._doubt(whole, name, table, own, tenant)
            elif tenant is not None and "." in name:
                # Or "b.c" of the tenant "a" would be called as "c" of the tenant "a.b".
                self._wrong[whole] = own
                self._report.add(own, "there is a dot in its name.", "Write - or _ instead.")
            elif whole in self.accounts:
                self._report.add(own, "another account is called so.", "Give it another name.")
            else:
                self._account(whole, name, table, own, tenant)

    def _doubt(
        self, whole: str, name: str, table: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Make an account without the settings that are wrong, if it can be made.

        Mistakes that have nothing to do with these are noted.
        """
        made: list[Account] = []

        def attempt(table: Mapping[str, Any], report: Report) -> None:
            apart = Accounts(report)
            apart._account(whole, name, table, path, tenant)
            made.extend(apart.accounts.values())

        attempt(table, Report())
        others = self._report.stand_ins.get(path, ())
        mistaken = note_common(self._report, path, [partial(attempt, one) for one in others])
        if made and not mistaken:
            self.doubtful[whole] = made[0]

    def places(self) -> dict[str, str]:
        """The place of each service of these accounts and of those that are wrong, by its name."""
        return self._wrong | places_of(self.accounts.values(), ())

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
            self._wrong[whole] = path
            return
        settings = {
            name: one for name, one in table.items() if name not in own and name not in _OF_ACCOUNTS
        }
        fields = {name: table[name] for name in _OF_ACCOUNTS[1:] if name in table}
        if tenant is not None:
            fields["tenants"] = {tenant}
        if self._report.made(partial(Ref, kind.name, whole, "1"), path, exact=True) is WRONG:
            self._wrong[whole] = path
            return

        def complete() -> Account:
            account = Account(whole, cast("Vendor", vendor), settings=settings, **fields)
            # What its options and settings are good for shows when its services are made.
            try:
                _services(account)
            except (ConfigurationError, InvalidData) as error:
                field = getattr(error, "path", None) or getattr(error, "field", None)
                if field in {*own, *settings, *fields}:
                    raise
                problem, remedy = error.message, error.remedy
            else:
                return account
            # What vendors make of their options has fields of its own, such as a secret.
            option = _ORIGINS.get(str(field))
            path = option if option in options else ""
            raise ConfigurationError(problem, path=path, remedy=remedy)

        account = self._report.made(complete, path, {**options, **settings, **fields})
        if isinstance(account, Account):
            self.accounts[whole] = account
        else:
            self._wrong[whole] = path

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
            before = next((one for one in self._led if one[0].covers(route)), None)
            if before is not None:
                self._report.add(
                    path,
                    f"no operation ever gets here: {before[1]} takes all of them.",
                    "Leave one of the two out, or give them different countries or currencies.",
                )
            self._led.append((route, path))
            self.routes.append(route)

    def _known(self, name: str, tenant: str | None) -> str:
        """An account of the tenant's own comes before one of that name for everybody."""
        own = f"{tenant}.{name}"
        return own if tenant is not None and own in {*self.accounts, *self._wrong} else name

    def _check(self, kind: str, name: str, account: str, path: str, tenant: str | None) -> None:
        found = self.accounts.get(account) or self.doubtful.get(account)
        if found is None and account in self._wrong:
            return
        if found is not None and kind in found.vendor.kinds and found.open_to(tenant):
            return
        fitting = [
            one.name if one.tenants is None else one.name.removeprefix(f"{tenant}.")
            for one in (*self.accounts.values(), *self.doubtful.values())
            if kind in one.vendor.kinds and one.open_to(tenant)
        ]
        self._report.add(
            path,
            f"{quoted(name)} is not an account for {kind}.",
            f"Use one of: {', '.join(sorted(fitting))}." if fitting else "Configure one first.",
            nearest=near(name, fitting),
        )


def services(
    tables: Mapping[str, Any], places: Mapping[str, str], report: Report
) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """The services of tables that have been read, and those of which a setting is wrong.

    Args:
        tables: the settings that could be read, by the names of the services.
        places: the place of each service of an account, by its name.
        report: is told what is wrong.
    """
    right, doubtful = list[Service](), list[Service]()
    for name, table in tables.items():
        path = under("services", key(name))
        if report.made(partial(checked_name, name, "service"), path, exact=True) is WRONG:
            continue
        clear = report.clear(path)
        if name in places:
            report.add(
                path,
                f"the account {places[name]} has a service of this name.",
                "Rename one of them.",
            )
        service = _service(name, path, table, report if clear else Report())
        if isinstance(service, Service):
            (right if clear else doubtful).append(service)
        if not clear:
            others = report.stand_ins.get(path, ())
            note_common(report, path, [partial(_service, name, path, one) for one in others])
    return tuple(right), tuple(doubtful)


def _service(name: str, path: str, table: Mapping[str, Any], report: Report) -> Service | Wrong:
    return report.made(partial(Service, name, **table), path, table)


def _services(account: Account) -> list[Service]:
    account.vendor.clients()
    return [attrs.evolve(one, **account.settings) for one in account.vendor.services().values()]
