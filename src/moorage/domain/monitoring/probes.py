"""Health probes: harmless scheduled calls that find out whether a service works.

Times are seconds of a clock that never steps back, passed in by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Request
from moorage.domain.http.urls import is_absolute, same_origin
from moorage.domain.monitoring.readings import ProbeReading
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.health import health
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    Problem,
    RateLimitExceeded,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.service.settings import Service

ENDPOINT: Final = "health_probe"
"""The operation name of health probes in events, in the integration log and in metrics."""


def _name(value: object) -> str:
    return checked_name(value, "service")


def _request(value: Request | str | None) -> Request | None:
    if value is None or isinstance(value, Request):
        return value
    if isinstance(value, str):
        return Request.get(value)
    raise ConfigurationError(
        f"The request of a probe has the type {type(value).__name__}.",
        path="request",
        remedy="Use a Request, or the path of a GET request such as '/health'.",
    )


def _is_share(_: object, __: object, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a valid share of the interval.",
            path="jitter",
            remedy="Set a number from 0 to 1, such as 0.1.",
        )


@frozen(kw_only=True)
class Probe:
    """A harmless call to a service, repeated at intervals to test whether it works.

    A probe counts against the rate limits of its service, because the vendor counts it too, but
    never waits for them: if a limit is used up, the probe is skipped. It is not repeated.

    Attributes:
        service: The name of the service.
        request: The request that is sent, or the path of a GET. By default the harmless request
            that the vendor's connector knows.
        function: A function without arguments that is called instead of sending a request.
        every: Seconds between two probes.
        jitter: The share of the interval by which the times of probes vary at random.
        timeout: Time limit of a probe in seconds.
        threshold: The number of failures in a row from which the service counts as unavailable;
            with fewer it counts as degraded.
        counts_in_circuit: Whether the circuit counts the probe. If so, failed probes may open it,
            and no probes are made while it is open.
    """

    service: str = field(converter=_name)
    request: Request | None = field(default=None, converter=_request)
    function: Callable[[], Any] | None = None
    every: float = field(default=60.0, converter=plain_seconds, validator=is_seconds)
    jitter: float = field(default=0.1, validator=_is_share)
    timeout: float = field(default=5.0, converter=plain_seconds, validator=is_seconds)
    threshold: int = field(default=2, validator=is_count)
    counts_in_circuit: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse a probe with both a request and a function."""
        if self.request is not None and self.function is not None:
            raise ConfigurationError(
                f"The probe of {self.service!r} has both a request and a function.",
                path="function",
                remedy="Set either a request or a function.",
            )


def probe_problem(
    service: Service, request: Request | str | None, *, has_function: bool, is_pinged: bool
) -> Problem | None:
    """Return why a service cannot be probed; None if it can be.

    The path in the problem names the wrong setting of the probe.

    Args:
        service: the service.
        request: the request of the probe, or its path.
        has_function: whether the probe calls a function instead.
        is_pinged: whether the vendor names a harmless request.
    """
    if service.regions:
        return Problem(
            "service",
            f"The service {service.name!r} has several regions, but a probe cannot distinguish"
            " regions.",
            "Remove the probe. The circuit of each region monitors the region.",
        )
    if has_function or (request is None and is_pinged):
        return None
    if service.base_url is None:
        return Problem(
            "function",
            f"The service {service.name!r} has no URL, so the probe cannot send a request to it.",
            "Set a function for the probe, or remove the probe.",
        )
    if request is None:
        return Problem(
            "request",
            f"moorage does not know a request that is safe for probing {service.name!r}.",
            "Set `request` of the probe, such as '/health', or a function.",
        )
    return foreign_address(
        service, request if isinstance(request, str) else request.path, "request"
    )


def foreign_address(service: Service, path: str, setting: str) -> Problem | None:
    """Return a problem if a probe's URL belongs to another server than the service's.

    Args:
        service: the service.
        path: the path of the request, or an absolute URL.
        setting: the setting that has the address.
    """
    base_url = service.base_url
    if base_url is None or not is_absolute(path) or same_origin(base_url, path):
        return None
    return Problem(
        setting,
        f"The origin of the URL differs from the origin of the service {service.name!r}.",
        "Set a path such as '/health', or select the service of that server.",
    )


@frozen
class ProbeState:
    """The last result of a health probe, and the time of the next one.

    Attributes:
        due: the time of the next probe.
        failures: the number of failures in a row.
        error: the last error, as a sentence; None after a success.
        done: true if the probe has been made.
    """

    due: float
    failures: int = 0
    error: str | None = None
    done: bool = False


def initial_state(probe: Probe, now: float, draw: float) -> ProbeState:
    """Return the state of a new health probe, which is due at a random time within its jitter.

    Args:
        probe: the probe.
        now: the time.
        draw: a random number from 0 to 1.
    """
    return ProbeState(now + probe.every * probe.jitter * draw)


def due_probes(
    probes: Sequence[Probe], states: Mapping[str, ProbeState], now: float
) -> tuple[Probe, ...]:
    """Return the health probes that are due now."""
    return tuple(probe for probe in probes if states[probe.service].due <= now)


def state_after(
    probe: Probe, state: ProbeState, error: Exception | None, now: float, draw: float
) -> ProbeState:
    """Return the state of a health probe after it has ended.

    Args:
        probe: the probe.
        state: the probe's state before.
        error: the error that it ended with, if any. An error that does not concern the service,
            such as an exhausted rate limit, changes only the time of the next probe.
        now: the time at its end.
        draw: a random number from 0 to 1.
    """
    next_probe = now + probe.every * (1 + probe.jitter * (2 * draw - 1))
    if error is None:
        return ProbeState(next_probe, done=True)
    text = failure_of(error)
    if text is None:
        return evolve(state, due=next_probe)
    return ProbeState(next_probe, state.failures + 1, text, done=True)


def failure_of(error: Exception) -> str | None:
    """Return the service's failure as a sentence; None if the error is not the service's fault."""
    if isinstance(error, RateLimitExceeded):
        return None
    is_failed = health(error) is Outcome.FAILED
    if not is_failed and not isinstance(error, (AuthenticationFailed, VendorRejected)):
        return None
    if isinstance(error, ConnectorError):
        return error.message
    # The text of a foreign exception may contain a secret.
    return f"{type(error).__name__}."


def reading_of(probe: Probe, state: ProbeState) -> ProbeReading | None:
    """Return the last result of a probe, from which the service's health is assessed.

    Return None if the probe was never made.
    """
    if not state.done:
        return None
    return ProbeReading(error=state.error, failures=state.failures, threshold=probe.threshold)
