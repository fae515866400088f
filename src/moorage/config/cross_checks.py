"""Finds settings that contradict each other, or name a service that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.problems import key, near, quoted, shown
from moorage.domain.auth.methods import AuthMethod, Credentials
from moorage.domain.monitoring.alert_settings import repeated_rules, unknown_channels
from moorage.domain.monitoring.alerts import FIGURES
from moorage.domain.monitoring.settings import repeated_probes
from moorage.domain.service.settings import INHERIT
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from moorage.config.problems import Report
    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service

_IN_AUTHORIZATION: Final = frozenset(
    {
        AuthMethod.BASIC,
        AuthMethod.BEARER,
        AuthMethod.DIGEST,
        AuthMethod.NEGOTIATE,
        AuthMethod.OAUTH2,
    }
)
"""The methods whose credentials are sent in the header Authorization."""


def check_settings(
    service: Service, given_names: Collection[str], place: str, report: Report
) -> None:
    """Report settings of a service that contradict each other.

    Args:
        service: the service.
        given_names: the names of the settings in the configuration; the vendor gives the others.
        place: the path of the settings.
        report: collects the problems.
    """
    if report.clear(f"{place}.timeout") and report.clear(f"{place}.endpoints"):
        longest = max([service.timeout, *_timeouts_of_endpoints(service)])
        for name, seconds in _wait_settings(service):
            if name.partition(".")[0] in given_names and seconds > longest:
                report.add(
                    f"{place}.{name}",
                    f"{seconds:g} seconds never pass, because a call ends after {longest:g}.",
                    "Give fewer seconds, or raise the timeout.",
                )
    if "headers" in given_names:
        _check_headers(service, place, report)


def _timeouts_of_endpoints(service: Service) -> list[float]:
    return [endpoint.timeout for endpoint in service.endpoints if endpoint.timeout is not INHERIT]


def _wait_settings(service: Service) -> Iterator[tuple[str, float]]:
    """Yield each duration that must not be longer than a call, by its setting."""
    wait_seconds = {
        "attempt_timeout": service.attempt_timeout,
        "max_limit_wait": service.max_limit_wait,
        "bulkhead.max_wait": None if service.bulkhead is None else service.bulkhead.max_wait,
        "hedge.delay": None if service.hedge is None else service.hedge.delay,
        **{f"timeouts.{name}": wait for name, wait in attrs.asdict(service.timeouts).items()},
    }
    for name, seconds in wait_seconds.items():
        if seconds is not None:
            yield name, seconds


def _check_headers(service: Service, place: str, report: Report) -> None:
    """Report headers that are written twice, or that the credentials replace."""
    seen_names = set[str]()
    for name, _ in service.headers.pairs:
        if name.lower() in seen_names:
            report.add(
                f"{place}.headers.{key(name)}",
                "The header is written twice, and the case of letters makes no difference.",
                "Keep one of the two.",
            )
        seen_names.add(name.lower())
        if name.lower() == "authorization" and _sends_authorization(service):
            report.add(
                f"{place}.headers.{key(name)}",
                "The credentials of the service replace this header in every request.",
                "Remove the header, or the credentials.",
            )


def _sends_authorization(service: Service) -> bool:
    credentials = service.credentials
    if isinstance(credentials, Credentials):
        return credentials.method in _IN_AUTHORIZATION
    return credentials is not None


@attrs.frozen(kw_only=True)
class KnownNames:
    """The services and contracts that alerts, probes and objectives may name.

    Attributes:
        services: the names of all services, also of those with a wrong setting.
        unreadable: the names of accounts that could not be created, so that their services are
            unknown.
        accounts: the accounts that could be created.
        other_tenants: whether there may be tenants that are not in the configuration.
    """

    services: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    accounts: tuple[Account, ...] = ()
    other_tenants: bool = False

    def is_unknown(self, service: str) -> bool:
        """Return whether no service can have this name."""
        if self.other_tenants and "." in service:
            # A tenant's account has the tenant's name before the first dot.
            return False
        parts = service.split(".")
        accounts = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        return service not in self.services and not accounts & self.unreadable

    def offers(self, kind: str, tenant: str | None) -> bool:
        """Return whether an account for a contract may be open to a tenant."""
        if self.unreadable or (self.other_tenants and tenant is not None):
            return True
        return any(
            kind in account.vendor.kinds and account.open_to(tenant) for account in self.accounts
        )


def check_monitoring(
    tree: Mapping[str, Any], names: KnownNames, report: Report, *, has_figures: bool
) -> None:
    """Report contradictions between objectives, probes, alert rules, channels and services.

    The tables are examined as they were written, so that a mistake in one of them does not hide
    those in others.

    Args:
        tree: the configuration, with its references resolved.
        names: the names of services and the accounts that exist.
        report: collects the problems.
        has_figures: whether rules can read figures of calls.
    """
    health, alerts = _table(tree.get("health")), _table(tree.get("alerts"))
    rules = list(_tables(alerts.get("rules"), "alerts.rules"))
    probes = list(_tables(health.get("probes"), "health.probes"))
    channels = _table(alerts.get("channels"))
    for place, name in _named_services(tree, rules, probes, channels):
        if names.is_unknown(name):
            report.add(
                place,
                f"There is no service named {quoted(name)}.",
                f"Use one of: {', '.join(sorted(names.services)) or 'none is configured'}.",
                nearest=near(name, names.services),
            )
    contradictions = [
        *repeated_rules((path, rule.get("name")) for path, rule in rules),
        *unknown_channels(
            ((path, rule.get("name"), _texts(rule.get("channels"))) for path, rule in rules),
            [str(name) for name in channels],
        ),
        *repeated_probes((path, probe.get("service")) for path, probe in probes),
    ]
    for problem in contradictions:
        if report.clear(problem.path):
            report.add(problem.path, shown(problem.found, dict(tree)), problem.remedy)
    for name, channel in channels.items():
        _check_channel(_table(channel), f"alerts.channels.{key(name)}", names, report)
    if not has_figures:
        _check_figures(rules, report)


def _table(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def _tables(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each table of a list with its path, or the single table in place of a list."""
    if is_object(value):
        yield path, value
    elif is_list(value):
        for position, entry in enumerate(value):
            if is_object(entry):
                yield f"{path}[{position}]", entry


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list, or the single one in place of a list."""
    values = value if is_list(value) else [value]
    return tuple(str(entry) for entry in values if isinstance(entry, str))


def _named_services(
    tree: Mapping[str, Any],
    rules: Iterable[tuple[str, Mapping[str, Any]]],
    probes: Iterable[tuple[str, Mapping[str, Any]]],
    channels: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    """Yield the services that probes, alerts and objectives name, by the path of the name."""
    tables = [
        *_tables(tree.get("objectives"), "objectives"),
        *((path, probe) for path, probe in probes if "function" not in probe),
        *((path, rule) for path, rule in rules if rule.get("when") in FIGURES),
        *((f"alerts.channels.{key(name)}", _table(entry)) for name, entry in channels.items()),
    ]
    for path, table in tables:
        service = table.get("service")
        if isinstance(service, str):
            yield f"{path}.service", str(service)


def _check_channel(
    channel: Mapping[str, Any], path: str, names: KnownNames, report: Report
) -> None:
    """Report a channel of email or SMS that no account could send."""
    kind, tenant = channel.get("kind"), channel.get("tenant")
    owner = str(tenant) if isinstance(tenant, str) else None
    if kind in {"email", "sms"} and not names.offers(str(kind), owner):
        report.add(
            f"{path}.kind",
            f"No account offers {kind}, so nothing could be sent."
            if owner is None
            else f"No account offers {kind} to the tenant, so nothing could be sent.",
            "Add an account that does, or use another kind of channel.",
        )


def _check_figures(rules: Iterable[tuple[str, Mapping[str, Any]]], report: Report) -> None:
    """Report rules that need figures of calls while nothing has any."""
    for path, rule in rules:
        when = rule.get("when")
        if when in FIGURES:
            report.add(
                f"{path}.when",
                f"The figure {when} needs metrics or an integration log, and there are none.",
                "Write [metrics] or [log] with its URL, or give `log=` to moorage.open.",
            )
