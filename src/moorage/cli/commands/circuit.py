"""`moorage circuit`: open, close or reset a circuit by hand, for all processes together."""

from __future__ import annotations

from typing import Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.places import opened_hub
from moorage.domain.resilience.circuit import CircuitState


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class CircuitSelector:
    """Command-line options that name the circuit of a service.

    Attributes:
        tenant: the tenant that the circuit belongs to.
        endpoint: the endpoint, if it has its own circuit.
        region: the region, if the service has several.
    """

    tenant: str | None = None
    endpoint: str | None = None
    region: str | None = None


_WHOLE_SERVICE: Final = CircuitSelector()


def hold_open(
    service: str,
    /,
    *,
    where: CircuitSelector = _WHOLE_SERVICE,
    reason: str = "",
    context: Context,
) -> CommandResult:
    """Force a circuit open, so that all calls are refused, until it is reset.

    Args:
        service: the service of the circuit.
        where: the circuit, if the service has several.
        reason: the reason, for the audit trail.
        context: the options that all commands share.
    """
    return _set_state(service, where, CircuitState.FORCED_OPEN, reason, context)


def hold_closed(
    service: str,
    /,
    *,
    where: CircuitSelector = _WHOLE_SERVICE,
    reason: str = "",
    context: Context,
) -> CommandResult:
    """Disable a circuit, so that calls continue despite failures, until it is reset.

    Args:
        service: the service of the circuit.
        where: the circuit, if the service has several.
        reason: the reason, for the audit trail.
        context: the options that all commands share.
    """
    return _set_state(service, where, CircuitState.DISABLED, reason, context)


def reset(
    service: str,
    /,
    *,
    where: CircuitSelector = _WHOLE_SERVICE,
    reason: str = "",
    context: Context,
) -> CommandResult:
    """Reset a circuit: close it and clear its counts.

    Args:
        service: the service of the circuit.
        where: the circuit, if the service has several.
        reason: the reason, for the audit trail.
        context: the options that all commands share.
    """
    return _set_state(service, where, CircuitState.CLOSED, reason, context)


def _set_state(
    service: str, where: CircuitSelector, state: CircuitState, reason: str, context: Context
) -> CommandResult:
    context.state()  # raises an error if no other process shares the store
    options = attrs.asdict(where)
    with opened_hub(context) as hub:
        previous_state = hub.manager.circuit_state(service, **options).state
        hub.manager.set_circuit(service, state, reason=reason, **options)
    result = {"service": service, **options, "before": previous_state.value, "state": state.value}
    suffix = "".join(f" of {name}" for name in options.values() if name)
    return CommandResult(
        result,
        [f"the circuit of {service}{suffix} was {previous_state.value} and is {state.value}"],
    )
