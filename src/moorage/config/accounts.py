"""Creates the accounts, routes and services of a configuration from its tables."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.config.problems import (
    REPORTED,
    Report,
    ReportedProblem,
    key,
    path_below,
    quote_value,
    similar_word,
)
from moorage.config.trial_values import report_common_problems
from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route, missing_costs
from moorage.domain.secrets.options import option_of
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import checked_name
from moorage.domain.values.frozen_values import evolve, fields_of
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError, InvalidData
from moorage.wiring.accounts import service_paths
from moorage.wiring.installed_vendors import vendor_class
from moorage.wiring.vendor_classes import VENDOR_CLASSES
from moorage.wiring.wrong_options import wrong_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import Vendor

_ACCOUNT_SETTINGS: Final = ("kind", "cost", "webhook_secrets")


class Accounts:
    """The accounts that all tenants share, the accounts of single tenants, and the routes to them.

    Args:
        report: collects the problems.

    Attributes:
        accounts: the valid accounts by name.
        doubtful: accounts with a wrong setting, created without that setting; they are only checked
            further, never used.
        routes: the valid routes.
    """

    def __init__(self, report: Report) -> None:
        self.accounts: dict[str, Account] = {}
        self.doubtful: dict[str, Account] = {}
        self.routes: list[Route] = []
        self._report = report
        self._wrong: dict[str, str] = {}
        self._checked_routes: list[tuple[Route, str]] = []

    def add(
        self, read: Mapping[str, Any], written: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Create the accounts of one tenant, or the accounts that all tenants share.

        Args:
            read: the tables after reading.
            written: the same tables as in the source.
            path: the path of the tables.
            tenant: the tenant that owns the accounts; None for shared accounts.
        """
        vendors_path = path_below(path, "vendors")
        tables: Mapping[str, Any] = read.get("vendors", {})
        source_vendors = written.get("vendors")
        for name in dict.fromkeys(
            [*(source_vendors if is_object(source_vendors) else ()), *tables]
        ):
            account_path = path_below(vendors_path, key(name))
            account_name = name if tenant is None else f"{tenant}.{name}"
            table = tables.get(name)
            if table is None:
                self._wrong[account_name] = account_path
            elif not self._report.has_no_problem(account_path):
                self._wrong[account_name] = account_path
                self._add_with_errors(account_name, name, table, account_path, tenant)
            elif tenant is not None and "." in name:
                # Otherwise "b.c" of the tenant "a" would have the name of "c" of the tenant "a.b".
                self._wrong[account_name] = account_path
                self._report.add(account_path, "The name contains a dot.", "Write - or _ instead.")
            elif account_name in self.accounts:
                self._report.add(
                    account_path, "Another account has this name.", "Rename one of the accounts."
                )
            else:
                self._account(account_name, name, table, account_path, tenant)

    def _add_with_errors(
        self, account_name: str, name: str, table: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Create an account without its wrong settings, if it can be created without them.

        Further problems that do not depend on these settings are reported.
        """
        created_accounts: list[Account] = []

        def attempt(table: Mapping[str, Any], report: Report) -> None:
            trial_accounts = Accounts(report)
            trial_accounts._account(account_name, name, table, path, tenant)
            created_accounts.extend(trial_accounts.accounts.values())

        attempt(table, Report())
        variants = self._report.trial_values.get(path, ())
        is_mistaken = report_common_problems(
            self._report, path, [partial(attempt, variant) for variant in variants]
        )
        if created_accounts and not is_mistaken:
            self.doubtful[account_name] = created_accounts[0]

    @property
    def unreadable(self) -> frozenset[str]:
        """The names of accounts that could not be created even without their wrong settings."""
        return frozenset(self._wrong) - self.accounts.keys() - self.doubtful.keys()

    def places(self) -> dict[str, str]:
        """Return the configuration path of each account's services, by service name."""
        return self._wrong | service_paths(self.accounts.values(), ())

    def add_routes(
        self, read: Mapping[str, Any], written: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        """Create the routes of one tenant, or the shared routes, once all accounts exist."""
        for kind in CONTRACTS:
            kind_path = path_below(path, kind)
            is_listed = is_list(written.get(kind))
            for position, rules in enumerate(read.get(kind, ())):
                route_path = f"{kind_path}[{position}]" if is_listed else kind_path
                self._route(kind, rules, route_path, tenant)

    def _account(
        self, account_name: str, name: str, table: Mapping[str, Any], path: str, tenant: str | None
    ) -> None:
        vendor_type = vendor_class(table.get("kind", name))
        option_names: set[str] = {str(field.name) for field in fields_of(cast("Any", vendor_type))}
        options = {name: value for name, value in table.items() if name in option_names}
        vendor_factory = partial(vendor_type, **options)
        vendor = self._report.make_or_report(vendor_factory, path, options)
        if vendor is REPORTED:
            self._wrong[account_name] = path
            return
        valid_vendor = cast("Vendor", vendor)
        settings = {
            name: value
            for name, value in table.items()
            if name not in option_names and name not in _ACCOUNT_SETTINGS
        }
        fields = {name: table[name] for name in _ACCOUNT_SETTINGS[1:] if name in table}
        if tenant is not None:
            fields["tenants"] = {tenant}
        if (
            self._report.make_or_report(
                partial(Ref, vendor_type.name, account_name, "1"), path, exact=True
            )
            is REPORTED
        ):
            self._wrong[account_name] = path
            return

        def complete_account() -> Account:
            account = Account(account_name, valid_vendor, settings=settings, **fields)
            # Options and settings are only validated when the services are created.
            try:
                _services(settings, valid_vendor)
            except (ConfigurationError, InvalidData) as error:
                refusal = error
            else:
                return account
            if option_of(refusal) in {*settings, *fields}:
                raise refusal
            option = wrong_option(valid_vendor, refusal, partial(_services, settings))
            raise ConfigurationError(refusal.message, path=option or "", remedy=refusal.remedy)

        account = self._report.make_or_report(
            complete_account, path, {**options, **settings, **fields}
        )
        if isinstance(account, Account):
            self.accounts[account_name] = account
        else:
            self._wrong[account_name] = path

    def _route(self, kind: str, rules: Mapping[str, Any], path: str, tenant: str | None) -> None:
        names: tuple[str, ...] = rules["vendor"]
        accounts = tuple(self._account_name(name, tenant) for name in names)
        for position, (name, account) in enumerate(zip(names, accounts, strict=True)):
            account_path = f"{path}.vendor" if len(names) == 1 else f"{path}.vendor[{position}]"
            self._check(kind, name, account, account_path, tenant)
        fields = {name: value for name, value in rules.items() if name != "vendor"}
        route = self._report.make_or_report(
            partial(Route, kind, accounts, tenant=tenant, **fields),
            path,
            fields,
        )
        if isinstance(route, Route):
            covering_path = next(
                (
                    route_path
                    for checked_route, route_path in self._checked_routes
                    if checked_route.covers(route)
                ),
                None,
            )
            if covering_path is not None:
                self._report.add(
                    path,
                    f"This route is never used, because {covering_path} covers all of its"
                    " operations.",
                    "Remove one of the routes, or set different countries or currencies.",
                )
            known_accounts = [self.accounts[name] for name in accounts if name in self.accounts]
            problem = missing_costs(route, known_accounts)
            if problem is not None and len(known_accounts) == len(accounts):
                self._report.add(f"{path}.{problem.path}", problem.found, problem.remedy)
            self._checked_routes.append((route, path))
            self.routes.append(route)

    def _account_name(self, name: str, tenant: str | None) -> str:
        """Return the name of the tenant's own account if there is one, or of the shared account."""
        tenant_account = f"{tenant}.{name}"
        return (
            tenant_account
            if tenant is not None and tenant_account in {*self.accounts, *self._wrong}
            else name
        )

    def _check(self, kind: str, name: str, account: str, path: str, tenant: str | None) -> None:
        match = self.accounts.get(account) or self.doubtful.get(account)
        if match is None and account in self._wrong:
            return
        if match is not None and kind in match.vendor.kinds and match.open_to(tenant):
            return
        fitting_names = [
            other_account.name
            if other_account.tenants is None
            else other_account.name.removeprefix(f"{tenant}.")
            for other_account in (*self.accounts.values(), *self.doubtful.values())
            if kind in other_account.vendor.kinds and other_account.open_to(tenant)
        ]
        if fitting_names:
            remedy, candidates = f"Use one of: {', '.join(sorted(fitting_names))}.", fitting_names
        else:
            vendors = [
                item for item in VENDOR_CLASSES if VENDOR_CLASSES[item].startswith(f"{kind}.")
            ]
            candidates = [] if name in vendors else vendors
            table = f"vendors.{name}" if name in vendors else "vendors"
            remedy = f"Configure an account first, in the table `{table}`."
        self._report.add(
            path,
            f"{quote_value(name)} is not an account for {kind}.",
            remedy,
            nearest=similar_word(name, candidates),
        )


def services(
    tables: Mapping[str, Any], places: Mapping[str, str], report: Report
) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """Return the valid services, and separately the invalid ones without their wrong settings.

    Args:
        tables: the settings that could be read, by service name.
        places: the path of each account's service, by service name.
        report: collects the problems.
    """
    valid_services, doubtful_services = list[Service](), list[Service]()
    for name, table in tables.items():
        path = path_below("services", key(name))
        if (
            report.make_or_report(partial(checked_name, name, "service"), path, exact=True)
            is REPORTED
        ):
            continue
        is_clear = report.has_no_problem(path)
        if name in places:
            report.add(
                path,
                f"The account {places[name]} has a service with the same name.",
                "Rename the account or the service.",
            )
        service = _service(name, path, table, report if is_clear else Report())
        if isinstance(service, Service):
            (valid_services if is_clear else doubtful_services).append(service)
        if not is_clear:
            variants = report.trial_values.get(path, ())
            report_common_problems(
                report, path, [partial(_service, name, path, variant) for variant in variants]
            )
    return tuple(valid_services), tuple(doubtful_services)


def _service(
    name: str, path: str, table: Mapping[str, Any], report: Report
) -> Service | ReportedProblem:
    return report.make_or_report(partial(Service, name, **table), path, table)


def _services(settings: Mapping[str, Any], vendor: Vendor) -> list[Service]:
    vendor.clients()
    return [evolve(service, **settings) for service in vendor.services().values()]
