"""`moorage circuit`: open, close or reset a circuit by hand, for every process at once."""

from __future__ import annotations

from typing import Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.places import opened_hub
from moorage.domain.circuit import CircuitState


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Where:
    """Which circuit of a service.

    Attributes:
        tenant: the tenant whose circuit.
        endpoint: the endpoint whose circuit, if it has one of its own.
        region: the region, if there are several.
    """

    tenant: str | None = None
    endpoint: str | None = None
    region: str | None = None


_WHOLE: Final = Where()


def hold_open(service: str, /, *, where: Where = _WHOLE, desk: Desk) -> Answer:
    """Hold a circuit open, so that nobody calls, until it is reset.

    Args:
        service: whose circuit.
        where: which of its circuits.
        desk: what all commands share.
    """
    return _set(service, where, CircuitState.FORCED_OPEN, desk)


def hold_closed(service: str, /, *, where: Where = _WHOLE, desk: Desk) -> Answer:
    """Hold a circuit closed, so that everybody calls whatever fails, until it is reset.

    Args:
        service: whose circuit.
        where: which of its circuits.
        desk: what all commands share.
    """
    return _set(service, where, CircuitState.DISABLED, desk)


def reset(service: str, /, *, where: Where = _WHOLE, desk: Desk) -> Answer:
    """Let a circuit begin anew: closed, with nothing counted.

    Args:
        service: whose circuit.
        where: which of its circuits.
        desk: what all commands share.
    """
    return _set(service, where, CircuitState.CLOSED, desk)


def _set(service: str, where: Where, state: CircuitState, desk: Desk) -> Answer:
    desk.state()  # which others must share, or nobody would notice
    own = attrs.asdict(where)
    with opened_hub(desk) as hub:
        before = hub.manager.circuit_state(service, **own).state
        hub.manager.set_circuit(service, state, **own)
    found = {"service": service, **own, "before": before.value, "state": state.value}
    whose = "".join(f" of {one}" for one in own.values() if one)
    return Answer(
        found, [f"the circuit of {service}{whose} was {before.value} and is {state.value}"]
    )
