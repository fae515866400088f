"""Finds contradictory settings of a service."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.config.problems import key
from moorage.domain.auth.methods import AuthMethod, Credentials
from moorage.domain.service.settings import INHERIT, Service
from moorage.domain.values.frozen_values import as_dict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from moorage.config.problems import Report
    from moorage.domain.service.settings import Endpoint

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
    """Report contradictory settings of a service.

    Args:
        service: the service.
        given_names: the names of the settings in the configuration; the others come from the
            vendor.
        place: the path of the settings.
        report: collects the problems.
    """
    if report.has_no_problem(f"{place}.timeout") and report.has_no_problem(f"{place}.endpoints"):
        longest_timeout = max(
            [service.timeout, *map(partial(_timeout_of, service), service.endpoints)]
        )
        for name, seconds in _wait_settings(service):
            if name.partition(".")[0] in given_names:
                _check_wait(f"{place}.{name}", seconds, longest_timeout, report)
        for number, endpoint in enumerate(service.endpoints):
            for name, seconds in _wait_settings(endpoint):
                path = f"{place}.endpoints[{number}].{name}"
                _check_wait(path, seconds, _timeout_of(service, endpoint), report)
    if "headers" in given_names:
        _check_headers(service, place, report)


def _check_wait(path: str, seconds: float, timeout: float, report: Report) -> None:
    if seconds > timeout:
        report.add(
            path,
            f"The wait of {seconds:g} seconds is longer than the timeout of a call,"
            f" {timeout:g} seconds.",
            "Set fewer seconds, or raise the timeout.",
        )


def _timeout_of(service: Service, endpoint: Endpoint) -> float:
    return service.timeout if endpoint.timeout is INHERIT else endpoint.timeout


def _wait_settings(owner: Service | Endpoint) -> Iterator[tuple[str, float]]:
    """Yield the name and duration of each wait that must not exceed a call's timeout."""
    wait_seconds: dict[str, float | None] = {"attempt_timeout": owner.attempt_timeout}
    if isinstance(owner, Service):
        wait_seconds["max_limit_wait"] = owner.max_limit_wait
        bulkhead = owner.bulkhead
        wait_seconds["bulkhead.max_wait"] = None if bulkhead is None else bulkhead.max_wait
    for setting, name in (("hedge", "delay"), ("retry", "base_delay")):
        value = getattr(owner, setting)
        if value is not None and value is not INHERIT and getattr(value, "max_attempts", 2) > 1:
            wait_seconds[f"{setting}.{name}"] = getattr(value, name)
    if owner.timeouts is not INHERIT:
        steps = as_dict(owner.timeouts)
        wait_seconds.update({f"timeouts.{name}": seconds for name, seconds in steps.items()})
    for name, seconds in wait_seconds.items():
        if seconds is not None and seconds is not INHERIT:
            yield name, seconds


def _check_headers(service: Service, place: str, report: Report) -> None:
    """Report headers that appear twice, or that the credentials replace."""
    seen_names = set[str]()
    for name, _ in service.headers.pairs:
        if name.lower() in seen_names:
            report.add(
                f"{place}.headers.{key(name)}",
                "The header appears twice; names of headers are not case-sensitive.",
                "Keep one of the two headers.",
            )
        seen_names.add(name.lower())
        if name.lower() == "authorization" and _sends_authorization(service):
            report.add(
                f"{place}.headers.{key(name)}",
                "The credentials of the service overwrite this header in every request.",
                "Remove the header or the credentials.",
            )


def _sends_authorization(service: Service) -> bool:
    credentials = service.credentials
    if isinstance(credentials, Credentials):
        return credentials.method in _IN_AUTHORIZATION
    return credentials is not None
