"""Finds probes, alerts and objectives that cannot work with the services of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import key, quote_word, shown_message, similar_word
from moorage.domain.monitoring.alert_conditions import FIGURES
from moorage.domain.monitoring.alert_settings import (
    repeated_rules,
    unknown_channels,
    webhook_problem,
)
from moorage.domain.monitoring.health import SERVICE_CONCERNS
from moorage.domain.monitoring.objectives import repeated_objectives
from moorage.domain.monitoring.probes import probe_problem
from moorage.domain.monitoring.settings import repeated_probes
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moorage.config.problems import Report
    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service
    from moorage.errors import Problem

_SERVICE_RULES: Final = (*FIGURES, *SERVICE_CONCERNS)
"""The values of `when` for which the `service` of an alert rule is the name of a service."""


@frozen(kw_only=True)
class KnownNames:
    """The services and contracts that alerts, probes and objectives may name.

    Attributes:
        services: the names of all services, including those with a wrong setting.
        unreadable: the names of accounts that could not be created, so that their services are
            unknown.
        accounts: the accounts that could be created.
        valid: the services without a wrong setting, by name.
        other_tenants: True if there may be tenants that are not in the configuration.
    """

    services: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    accounts: tuple[Account, ...] = ()
    valid: Mapping[str, Service] = field(factory=dict[str, "Service"])
    other_tenants: bool = False

    def is_unknown(self, service: str) -> bool:
        """Return True if no service can have this name."""
        if self.other_tenants and "." in service:
            # A tenant's account has the tenant's name before the first dot.
            return False
        parts = service.split(".")
        accounts = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        return service not in self.services and not accounts & self.unreadable

    def pings(self, service: str) -> bool:
        """Return whether the vendor of a service has a harmless request for probes."""
        return any(
            account.name == service and account.vendor.ping() is not None
            for account in self.accounts
        )

    def offers(self, kind: str, tenant: str | None) -> bool:
        """Return whether an account may serve a contract, such as email, for a tenant."""
        if self.unreadable or (self.other_tenants and tenant is not None):
            return True
        return any(
            kind in account.vendor.kinds and account.open_to(tenant) for account in self.accounts
        )


def check_monitoring(
    tree: Mapping[str, Any], names: KnownNames, report: Report, *, has_figures: bool
) -> None:
    """Report contradictions between objectives, probes, alert rules, channels and services.

    The services whose limits a broker leases must exist, too.

    The tables are checked as they were written, so that a mistake in one table does not hide
    mistakes in others.

    Args:
        tree: the configuration, with its references resolved.
        names: the names of services and the accounts that exist.
        report: collects the problems.
        has_figures: True if rules can read figures of calls.
    """
    health, alerts = _table(tree.get("health")), _table(tree.get("alerts"))
    rules = list(_tables(alerts.get("rules"), "alerts.rules"))
    probes = list(_tables(health.get("probes"), "health.probes"))
    channels = _table(alerts.get("channels"))
    objectives = list(_tables(tree.get("objectives"), "objectives"))
    leased_services = _texts(_table(tree.get("broker")).get("services"))
    named_services = _named_services([*objectives, *probes], rules, channels)
    for place, name in (*named_services, *(("broker.services", name) for name in leased_services)):
        if names.is_unknown(name):
            report.add(
                place,
                f"There is no service named {quote_word(name)}.",
                f"Use one of: {', '.join(sorted(names.services)) or 'none is configured'}.",
                nearest=similar_word(name, names.services),
            )
    contradictions = [
        *repeated_rules((path, rule.get("name")) for path, rule in rules),
        *unknown_channels(
            ((path, rule.get("name"), _texts(rule.get("channels"))) for path, rule in rules),
            [str(name) for name in channels],
        ),
        *repeated_objectives((path, objective.get("name")) for path, objective in objectives),
        *repeated_probes((path, probe.get("service")) for path, probe in probes),
    ]
    for path, probe in probes:
        contradictions += _problems_of_probe(path, probe, names)
    for name, channel in channels.items():
        contradictions += _problems_of_webhook(f"alerts.channels.{key(name)}", channel, names)
    for problem in contradictions:
        if report.has_no_problem(problem.path):
            report.add(problem.path, shown_message(problem.found, dict(tree)), problem.remedy)
    for name, channel in channels.items():
        _check_channel(_table(channel), f"alerts.channels.{key(name)}", names, report)
    if not has_figures:
        _check_figures(rules, report)


def _table(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def _tables(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each table of a list, or the single table in its place, with its path."""
    if is_object(value):
        yield path, value
    elif is_list(value):
        for position, entry in enumerate(value):
            if is_object(entry):
                yield f"{path}[{position}]", entry


def _texts(value: object) -> tuple[str, ...]:
    """Return the strings of a list, or a single string, as a tuple."""
    values = value if is_list(value) else [value]
    return tuple(str(entry) for entry in values if isinstance(entry, str))


def _named_services(
    tables: Iterable[tuple[str, Mapping[str, Any]]],
    rules: Iterable[tuple[str, Mapping[str, Any]]],
    channels: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    """Yield the services that objectives, probes and alerts name, by the path of the name."""
    naming_tables = [
        *tables,
        *((path, rule) for path, rule in rules if rule.get("when") in _SERVICE_RULES),
        *((f"alerts.channels.{key(name)}", _table(entry)) for name, entry in channels.items()),
    ]
    for path, table in naming_tables:
        service = table.get("service")
        if isinstance(service, str):
            yield f"{path}.service", str(service)


def _problems_of_probe(path: str, probe: Mapping[str, Any], names: KnownNames) -> Iterator[Problem]:
    """Yield the reason why a probe could not call its service, if any."""
    name, request = probe.get("service"), probe.get("request")
    service = names.valid.get(name) if isinstance(name, str) else None
    if service is not None and (request is None or isinstance(request, str)):
        problem = probe_problem(
            service,
            request,
            has_function="function" in probe,
            is_pinged=names.pings(service.name),
        )
        if problem is not None:
            yield problem._replace(path=f"{path}.{problem.path}")


def _problems_of_webhook(path: str, channel: object, names: KnownNames) -> Iterator[Problem]:
    """Yield the reason why a channel could not send its webhooks, if any."""
    table = _table(channel)
    name, request_path = table.get("service"), table.get("path", "/")
    service = names.valid.get(name) if isinstance(name, str) else None
    if service is not None and table.get("kind") == "webhook" and isinstance(request_path, str):
        problem = webhook_problem(service, request_path)
        if problem is not None:
            yield problem._replace(path=f"{path}.{problem.path}")


def _check_channel(
    channel: Mapping[str, Any], path: str, names: KnownNames, report: Report
) -> None:
    """Report an alert channel for which no account can send messages."""
    kind, tenant = channel.get("kind"), channel.get("tenant")
    owner = str(tenant) if isinstance(tenant, str) else None
    if kind in ("email", "sms", "chat") and not names.offers(str(kind), owner):
        report.add(
            f"{path}.kind",
            f"No account offers {kind}, so nothing could be sent."
            if owner is None
            else f"No account offers {kind} to the tenant, so nothing could be sent.",
            f"Add an account that offers {kind}, or use another kind of channel.",
        )


def _check_figures(rules: Iterable[tuple[str, Mapping[str, Any]]], report: Report) -> None:
    """Report alert rules that need metrics of calls if nothing provides these."""
    for path, rule in rules:
        condition = rule.get("when")
        if condition in FIGURES:
            report.add(
                f"{path}.when",
                f"The figure {condition} needs metrics or an integration log, and neither is"
                " configured.",
                "Add [metrics] or [log] with a URL, or pass `log=` to moorage.open.",
            )
