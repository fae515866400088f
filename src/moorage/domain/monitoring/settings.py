"""The health settings of a hub's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.monitoring.health import HealthPolicy
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.names import repeated_names
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.domain.monitoring.health import Expiry
    from moorage.domain.monitoring.probes import Probe


def _probes(value: Iterable[Probe]) -> tuple[Probe, ...]:
    return tuple(value)


def _expiries(value: Iterable[Expiry]) -> tuple[Expiry, ...]:
    return tuple(value)


def repeated_probes(probes: Iterable[tuple[str, object]]) -> Iterator[Problem]:
    """Yield a problem for each health probe whose service has an earlier one.

    Args:
        probes: the path and the service of each probe.
    """
    for path, name in repeated_names(probes):
        yield Problem(
            f"{path}.service", f"The service {name!r} has two probes.", "Keep one of the probes."
        )


def _are_apart(_: object, __: object, value: tuple[Probe, ...]) -> None:
    problems = list(
        repeated_probes((f"probes[{number}]", probe.service) for number, probe in enumerate(value))
    )
    if problems:
        raise ConfigurationError.of(problems)


@with_careful_constructor
@frozen(kw_only=True)
class HealthSettings:
    """The settings for health: its rules, the probes, and the certificates to watch.

    Attributes:
        policy: the rules of the assessment.
        probes: the probes, at most one for each service.
        expiries: certificates and secrets with a known expiry time.
    """

    policy: HealthPolicy = field(factory=HealthPolicy)
    probes: tuple[Probe, ...] = field(default=(), converter=_probes, validator=_are_apart)
    expiries: tuple[Expiry, ...] = field(default=(), converter=_expiries)
