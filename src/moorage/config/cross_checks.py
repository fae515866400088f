"""Finds settings that contradict each other, or name a service that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.config.problems import key, near, quoted
from moorage.domain.auth.methods import AuthMethod, Credentials
from moorage.domain.monitoring.alerts import FIGURES
from moorage.domain.service.settings import INHERIT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from moorage.config.configured import Configured
    from moorage.config.problems import Report
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


def check_names(
    configured: Configured, services: Collection[str], kinds: Collection[str], report: Report
) -> None:
    """Report probes, alerts and objectives of services and accounts that do not exist.

    Args:
        configured: the configuration.
        services: the names of all services.
        kinds: the contracts that the accounts offer.
        report: collects the problems.
    """
    for place, name in _named_services(configured):
        if name is not None and name not in services:
            report.add(
                place,
                f"There is no service named {quoted(name)}.",
                f"Use one of: {', '.join(sorted(services)) or 'none is configured'}.",
                nearest=near(name, services),
            )
    if configured.alerts is None:
        return
    for name, channel in configured.alerts.channels.items():
        if channel.kind in {"email", "sms"} and channel.kind not in kinds:
            report.add(
                f"alerts.channels.{key(name)}.kind",
                f"No account offers {channel.kind}, so nothing could be sent.",
                "Add an account that does, or use another kind of channel.",
            )


def _named_services(configured: Configured) -> Iterator[tuple[str, str | None]]:
    """Yield the services that probes, alerts and objectives name, by the path of the name."""
    for number, objective in enumerate(configured.objectives):
        yield f"objectives[{number}].service", objective.service
    for number, probe in enumerate([] if configured.health is None else configured.health.probes):
        if probe.function is None:
            yield f"health.probes[{number}].service", probe.service
    if configured.alerts is not None:
        for number, rule in enumerate(configured.alerts.rules):
            if rule.when in FIGURES:
                yield f"alerts.rules[{number}].service", rule.service
        for name, channel in configured.alerts.channels.items():
            yield f"alerts.channels.{key(name)}.service", channel.service
