"""Opens the stores and other parts that a configuration names, and checks their combination.

`moorage.open` and `moorage check` both use this module, so they refuse the same configurations. All
problems, including those found while reading, go to one report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.config.connectors import check_modes
from moorage.config.cross_checks import check_settings
from moorage.config.default_state import prepare
from moorage.config.problems import ReportedProblem, key
from moorage.config.store_files import check_store_files
from moorage.contracts.catalog import CONTRACTS
from moorage.domain.http.urls import origin_of
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.values.frozen_values import fields_of, frozen
from moorage.errors import ConfigurationError
from moorage.wiring.accounts import account_path, clients_of, services_of
from moorage.wiring.defaults import memory_storage
from moorage.wiring.ports import Ports
from moorage.wiring.service_checks import (
    check_guards,
    check_http2,
    check_money,
    check_register,
    check_steps,
    check_tls,
)
from moorage.wiring.store_urls import (
    aopen_credentials,
    aopen_log,
    aopen_metrics,
    aopen_storage,
    aopen_tenants,
    open_credentials,
    open_log,
    open_metrics,
    open_storage,
    open_tenants,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.configured import Configured, Parts
    from moorage.config.problems import Report
    from moorage.contracts.routes import Account
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.ports.observer import Observer

S = TypeVar("S")

_SETTINGS: Final = frozenset(field.name for field in fields_of(Service))
_REQUEST_SETTINGS: Final = frozenset(
    {"base_url", "cache", "headers", "idempotency_header", "log_content", "timeouts"}
)
"""The settings of a service that are for HTTP requests."""
_OPENERS: Final[Mapping[bool, tuple[Callable[..., Any], ...]]] = {
    False: (open_storage, open_tenants, open_credentials, open_log, open_metrics),
    True: (aopen_storage, aopen_tenants, aopen_credentials, aopen_log, aopen_metrics),
}


@frozen(kw_only=True)
class AssembledParts:
    """The opened ports of a hub, and the ports that the hub must close.

    Attributes:
        ports: the ports that the program passed, and the ports that the configuration names.
        owned: the ports that were opened here, which the hub closes.
    """

    ports: dict[str, Any]
    owned: tuple[Any, ...]


def assemble(
    parts: Parts, passed_ports: Mapping[str, Any], *, is_async: bool, complete: bool
) -> AssembledParts:
    """Open the ports that a configuration names, and report problems that make a hub impossible.

    Opening reads only certificate files, and connects to no server.

    Args:
        parts: the parts that could be read, and the report of the problems so far.
        passed_ports: the ports that the program passes, which replace those of the configuration.
        is_async: True if the hub is asynchronous.
        complete: True to refuse a service without known credentials.
    """
    configured, report = parts.configured, parts.report
    storage, tenants, credentials, log, metrics = _OPENERS[is_async]
    ports, owned_ports = dict(passed_ports), list[Any]()

    def open_port(
        port: str,
        settings: S | None,
        make: Callable[[S], Any],
        path: str = "",
        *,
        closes: bool = True,
    ) -> None:
        """Open a port from its settings, unless the program passed it or there are none."""
        if port in passed_ports or settings is None:
            return
        opened_port = report.make_or_report(partial(make, settings), path)
        if not isinstance(opened_port, ReportedProblem):
            ports[port] = opened_port
            if closes:
                owned_ports.append(opened_port)

    url = configured.state if "claims" in passed_ports else configured.store
    # The default file is named after the environment.
    location_known = configured.state is not None or report.has_no_problem("state")
    make_state = partial(_storage, storage, is_named=configured.state is not None)
    open_port("state", url if location_known else None, make_state)
    owned_ports = _with_broker(parts, ports, owned_ports, is_async=is_async)
    open_port("claims", configured.keys, partial(_keys_storage, storage))
    if configured.records_per_tenant is not None and "records_per_tenant" not in passed_ports:
        ports["records_per_tenant"] = configured.records_per_tenant
    open_port("cipher", configured.cipher, lambda settings: settings.open(), closes=False)
    open_port(
        "tenants",
        configured.tenants_from,
        lambda settings: tenants(settings.url.reveal(), settings.keys),
        closes=False,
    )
    open_port(
        "credentials",
        configured.credentials_from,
        lambda settings: credentials(settings.url.reveal(), settings.keys),
        closes=False,
    )
    open_port("log", configured.log, lambda log_url: log(log_url, **_table_options(log_url)))
    open_port("audit", configured.audit, lambda settings: settings.open())
    _audit_credentials(parts, ports, is_async=is_async, complete=complete)
    open_port("http", configured.http, lambda settings: settings.open(report, is_async=is_async))
    check_store_files(configured, passed_ports, report)
    owned_ports += _open_observers(configured, report, ports, metrics)
    check_parts(parts, ports, complete=complete)
    check_modes(configured.connectors, report, is_async=is_async)
    return AssembledParts(ports=ports, owned=tuple(owned_ports))


def _audit_credentials(
    parts: Parts, ports: dict[str, Any], *, is_async: bool, complete: bool
) -> None:
    """Record uses of the credential store in the audit trail, if that is configured."""
    settings, report = parts.configured.audit, parts.report
    if settings is None or not settings.uses:
        return
    from moorage.adapters.credentials.audited import (  # noqa: PLC0415 - few configurations need it
        AsyncAuditedCredentials,
        AuditedCredentials,
    )

    credentials, trail = ports.get("credentials"), ports.get("audit")
    if credentials is not None and trail is not None:
        audited_class = AsyncAuditedCredentials if is_async else AuditedCredentials
        ports["credentials"] = audited_class(credentials, trail)
    elif credentials is None and complete and report.has_no_problem("credentials_from"):
        report.add(
            "audit.uses",
            "The audit trail cannot record uses of credentials, because no credential store"
            " is configured.",
            "Set a store under [credentials_from], pass `credentials=` to moorage.open, or"
            " remove this setting.",
        )


def _observers(configured: Configured) -> tuple[Observer, ...]:
    """Return the configured observers, and the observer that collects signs of bad health."""
    observers = () if configured.observers is None else configured.observers.open()
    if configured.health is None:
        return observers
    from moorage.adapters.observers.health_signals import (  # noqa: PLC0415 - few configurations need it
        HealthSignals,
    )

    return (*observers, HealthSignals())


def _table_options(url: str) -> dict[str, bool]:
    """Return the options with which a store creates its missing table."""
    return {} if url == "memory:" else {"create": True}


def _storage(
    storage: Callable[..., Any],
    url: str,
    *,
    is_named: bool,
) -> Any:
    """Open the configured store, or the default file after preparing its folder."""
    if not is_named:
        prepare(url)
    return storage(url)


def _with_broker(
    parts: Parts, ports: dict[str, Any], owned_ports: list[Any], *, is_async: bool
) -> list[Any]:
    """Make the store of shared state ask the configured broker first.

    Returns:
        The ports that the hub closes; a store that the program passed stays open.
    """
    broker, report, store = parts.configured.broker, parts.report, ports.get("state")
    if broker is None:
        return owned_ports
    if store is None:
        if report.has_no_problem("state"):
            report.add(
                "broker",
                "The broker leases tokens of a shared store, but each process has its own state.",
                "Set state.url to a store that your processes share, or remove [broker].",
            )
        return owned_ports
    is_passed = not any(port is store for port in owned_ports)
    if is_passed and not broker.is_for(store):
        return owned_ports
    leasing_store = report.make_or_report(partial(broker.leasing, store, is_async=is_async), "")
    if isinstance(leasing_store, ReportedProblem):
        return owned_ports
    ports["state"] = leasing_store
    if is_passed:
        return [*owned_ports, leasing_store.channels]
    return [leasing_store if port is store else port for port in owned_ports]


_PLACES_OF_KEYS: Final[dict[str, str | None]] = {
    "state.url": "state.keys_url",
    "state.former": "state.keys_former",
}


def _keys_storage(storage: Callable[..., Any], url: str) -> Any:
    """Open the separate store for idempotency keys."""
    try:
        return storage(url)
    except ConfigurationError as error:
        error.path = _PLACES_OF_KEYS.get(error.path or "", error.path)
        raise


def _open_observers(
    configured: Configured,
    report: Report,
    ports: dict[str, Any],
    metrics: Callable[..., Any],
) -> list[Any]:
    """Add the configured observers to the ports, and return the ones that the hub must close.

    Metrics are added to the observers that the program passes.
    """
    if "observers" not in ports and (configured.observers or configured.health):
        observers = report.make_or_report(partial(_observers, configured), "observers")
        if not isinstance(observers, ReportedProblem):
            ports["observers"] = observers
    url = configured.metrics
    if url is None:
        return []
    recorder = report.make_or_report(partial(metrics, url, **_table_options(url)), "")
    if isinstance(recorder, ReportedProblem):
        return []
    ports["observers"] = (*Ports(observers=ports.get("observers", ())).observers, recorder)
    return [recorder]


def check_parts(parts: Parts, ports: Mapping[str, Any], *, complete: bool) -> None:
    """Report problems because of which a hub with these ports would not work.

    Args:
        parts: the parts that could be read, and the report of the problems so far.
        ports: the ports of the hub.
        complete: True to refuse a service without known credentials.
    """
    configured, report = parts.configured, parts.report
    accounts = (*configured.accounts, *parts.accounts)
    services = (*configured.services, *parts.services)
    checks = _Checks(parts, ports, complete=complete and ports.get("credentials") is None)
    for account in accounts:
        checks.account(account)
    for service in services:
        checks.service(service, f"services.{key(service.name)}")
    for account in configured.accounts:
        _check_webhooks(account, report)
    _check_choice(accounts, configured, report)
    if not any(name in parts.tree for name in ("objectives", "health", "alerts", "broker")):
        return
    from moorage.config.monitoring_checks import (  # noqa: PLC0415 - few configurations need it
        KnownNames,
        check_monitoring,
    )

    names = KnownNames(
        services=frozenset(
            [
                *(service.name for service in (*services_of(accounts), *services)),
                *parts.service_names,
            ]
        ),
        unreadable=parts.unreadable,
        accounts=accounts,
        valid={
            service.name: service
            for service in (*services_of(configured.accounts), *configured.services)
        },
        other_tenants=ports.get("tenants") is not None or configured.tenants_from is not None,
    )
    figures_known = not complete or _has_figures(configured, ports, report)
    check_monitoring(parts.tree, names, report, has_figures=figures_known)


def _has_figures(configured: Configured, ports: Mapping[str, Any], report: Report) -> bool:
    """Return whether a hub with these ports collects metrics of calls, or may do so."""
    return (
        configured.metrics is not None
        or not (report.has_no_problem("metrics") and report.has_no_problem("log"))
        or hasattr(ports.get("log"), "summarise")
        or any(hasattr(observer, "figures") for observer in ports.get("observers", ()))
    )


class _Checks:
    """Checks the services of a configuration, and reports each problem at its path.

    Args:
        parts: the parts of the configuration.
        ports: the ports of the hub.
        complete: True to report a service without known credentials.
    """

    def __init__(self, parts: Parts, ports: Mapping[str, Any], *, complete: bool) -> None:
        configured = parts.configured
        self._report = parts.report
        self._broker = configured.broker
        self._http = ports.get("http")
        self._state, self._keys = ports.get("state"), ports.get("claims")
        self._claims = ports.get("claims") or ports.get("state") or memory_storage()
        self._complete = complete
        self._guard: OutgoingGuard | None = None
        if configured.http is not None:
            self._guard = configured.http.options.get("guard")

    def account(self, account: Account) -> None:
        """Check the services of an account."""
        place = account_path(account)
        services = self._report.make_or_report(partial(services_of, (account,)), "")
        if isinstance(services, ReportedProblem):
            return
        if account.vendor.transport is not None:
            self._check_unused_settings(account, place)
        tokens = clients_of((account,))
        for service in services:
            self._check_sending(service, place)
            check_settings(service, account.settings, place, self._report)
            if service.name not in tokens:
                self._check_credentials(service, place)

    def _check_unused_settings(self, account: Account, place: str) -> None:
        """Report HTTP settings of an account whose vendor is not called over HTTP."""
        for name in sorted(account.settings.keys() & _REQUEST_SETTINGS):
            self._report.add(
                f"{place}.{name}",
                f"The setting has no effect, because the vendor {account.vendor.name} receives"
                " no HTTP requests.",
                "Remove it.",
            )

    def service(self, service: Service, place: str) -> None:
        """Check a service that belongs to no account."""
        self._check_sending(service, place)
        check_settings(service, _SETTINGS, place, self._report)
        self._check_credentials(service, place)
        for number, endpoint in enumerate(service.endpoints):
            make_plan = partial(Plan, service, None, endpoint)
            self._report.make_or_report(make_plan, f"{place}.endpoints[{number}]")
        if service.base_url is None and not service.regions:
            self._check_missing_address(service, place)

    def _check_sending(self, service: Service, place: str) -> None:
        """Report payments that may repeat or go unencrypted, and features that the client lacks."""
        report, places = self._report, {service.name: place}
        if report.has_no_problem(f"{place}.volatile_keys") and report.has_no_problem("state"):
            report.make_or_report(partial(check_money, (service,), self._claims, places), "")
            check_lost = partial(check_register, (service,), self._state, self._keys, places)
            report.make_or_report(check_lost, "")
            report.make_or_report(partial(check_guards, (service,), self._state, places), "")
        if report.has_no_problem(f"{place}.base_url") and report.has_no_problem(f"{place}.regions"):
            report.make_or_report(partial(check_tls, (service,), places), "")
            self._check_destination(service, place)
        report.make_or_report(partial(check_steps, (service,), self._http, places), "")
        report.make_or_report(partial(check_http2, (service,), self._http, places), "")
        if self._broker is not None:
            self._broker.check(service, place, report)
        if report.has_no_problem(place):
            report.make_or_report(partial(Plan, service, None, None), place)

    def _check_destination(self, service: Service, place: str) -> None:
        """Report a service to which the HTTP client's guard would refuse every request."""
        origin = None if service.base_url is None else origin_of(service.base_url)
        if self._guard is None or origin is None:
            return
        scheme, host, port = origin
        objection = self._guard.objection(host, port, secure=scheme == "https")
        if objection is not None:
            self._report.add(
                f"{place}.base_url",
                f"The host {objection} according to [http.guard].",
                "Allow the host in [http.guard], or correct the URL.",
            )

    def _check_credentials(self, service: Service, place: str) -> None:
        """Report a service whose calls would all fail for lack of credentials."""
        credentials_path = f"{place}.credentials"
        if (
            not self._complete
            or not service.needs_credentials
            or not self._report.has_no_problem(credentials_path)
        ):
            return
        self._report.add(
            credentials_path,
            "The credentials are missing, and no credential store is configured.",
            'Set credentials = "secret://env/NAME", set a store under [credentials_from], or'
            " pass `credentials=` to moorage.open.",
        )

    def _check_missing_address(self, service: Service, place: str) -> None:
        """Report request settings of a service without an address."""
        settings = {
            "credentials": service.credentials is not None,
            "needs_credentials": service.needs_credentials,
            "headers": bool(service.headers.pairs),
            "endpoints": any(endpoint.path is not None for endpoint in service.endpoints),
        }
        names = [name for name, is_set in settings.items() if is_set]
        if (
            names
            and self._report.has_no_problem(f"{place}.base_url")
            and self._report.has_no_problem(f"{place}.regions")
        ):
            self._report.add(
                f"{place}.base_url",
                f"The URL is missing, but the service sends requests, because {names[0]} is set.",
                "Set the URL, such as https://api.example.",
            )


def _check_webhooks(account: Account, report: Report) -> None:
    """Report an account's webhook secrets if no webhook can be verified with them."""
    place = f"{account_path(account)}.webhook_secrets"
    if not account.webhook_secrets or report.is_unreadable_at(place):
        return
    vendor = account.vendor
    if vendor.webhook is None:
        report.add(
            place,
            f"The vendor {vendor.name} sends no webhooks that moorage could verify.",
            "Remove the secrets, and query the vendor for the current state instead.",
        )
        return
    from moorage.parts.webhook_verifier import WebhookVerifier  # noqa: PLC0415 - slow to load

    inbox_factory = partial(
        WebhookVerifier,
        name=account.name,
        secrets=account.webhook_secrets,
        **vendor.webhook_verification(),
    )
    report.make_or_report(inbox_factory, place, exact=True)


def _check_choice(accounts: Iterable[Account], configured: Configured, report: Report) -> None:
    """Report contracts that several shared accounts offer if no route chooses an account."""
    for kind in CONTRACTS:
        names = [
            account.name
            for account in accounts
            if kind in account.vendor.kinds and account.tenants is None
        ]
        is_chosen = any(route.kind == kind for route in configured.routes)
        if len(names) > 1 and not is_chosen and report.has_no_problem(kind):
            report.add(
                kind,
                f"Several accounts offer {kind}, and no route chooses one: {', '.join(names)}.",
                f"Add [{kind}] with vendor = one of them, or a list in order of preference.",
            )
