"""The calls of health probes, which test whether a vendor responds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.monitoring.probes import ENDPOINT
from moorage.domain.service.settings import Endpoint
from moorage.services.calling.call import value_of
from moorage.services.calling.steps import CallOperations

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Request
    from moorage.domain.monitoring.probes import Probe
    from moorage.domain.service.settings import Service
    from moorage.services.calling.attempts import AttemptStep


def probed_service(service: Service, probe: Probe) -> Service:
    """Return a service with the settings of a probe: one attempt, no waiting, cache or bulkhead.

    The probed service shares the rate limits of the service, and also its circuit if the circuit
    counts the probe.
    """
    return attrs.evolve(
        service,
        timeout=probe.timeout,
        attempt_timeout=None,
        retry=None,
        retry_budget=None,
        circuit=service.circuit if probe.counts_in_circuit else None,
        bulkhead=None,
        hedge=None,
        cache=None,
        fallback=None,
        max_limit_wait=0.0,
        endpoints=(Endpoint(ENDPOINT),),
    )


async def make_probe(
    calling: CallOperations,
    probe: Probe,
    request: Request | None,
    step: Callable[[Callable[[], object]], AttemptStep],
    tenant: str | None,
) -> Exception | None:
    """Send one health probe; return the error that it ended with, or None.

    Args:
        calling: the current flows of calls.
        probe: the probe.
        request: the request to send, if the probe has no function.
        step: converts a function to a step of a call.
        tenant: the tenant of the probe.
    """
    probe_calls = CallOperations(
        calling.core, [probed_service(calling.plans.services[probe.service], probe)]
    )
    probe_calls.plans.environment_guard = calling.plans.environment_guard
    try:
        if request is not None:
            await probe_calls.call(probe.service, request, tenant=tenant, endpoint=ENDPOINT)
        else:
            function: Any = probe.function  # a probe without a request contains a function
            value_of(
                await probe_calls.run(
                    probe.service, step(function), tenant=tenant, endpoint=ENDPOINT
                )
            )
    except Exception as error:  # noqa: BLE001 - the result of a probe
        return error
    return None
