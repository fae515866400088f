"""The actions on circuits, limits and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.dashboard.acts.action_kinds import Act, always_permit
from moorage.dashboard.people import Group
from moorage.domain.resilience.circuit import CircuitState
from moorage.hub.internals import core_of
from moorage.runtime.flows import run_now
from moorage.services.calling.manual_operations import ManualAct, perform_recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.dashboard.acts.action_kinds import ActContext


def _owner(context: ActContext) -> str:
    service, tenant, region = (
        context.required_value("service"),
        context.get("tenant"),
        context.get("region"),
    )
    words = [service, f"in {region}" if region else "", f"for {tenant}" if tenant else ""]
    return " ".join(word for word in words if word)


def _set_circuit(state: CircuitState) -> Callable[[ActContext], str]:
    def perform_act(context: ActContext) -> str:
        service = context.required_value("service")
        tenant, region = context.get("tenant"), context.get("region")
        manager = context.reader.hub.manager
        previous_state = manager.circuit_state(service, tenant=tenant, region=region).state
        manager.set_circuit(
            service,
            state,
            tenant=tenant,
            region=region,
            actor=context.person.name,
            reason=context.reason,
        )
        return (
            f"The circuit of {_owner(context)} was {previous_state.value} and is {state.value} now."
        )

    return perform_act


def _reset_limits(context: ActContext) -> str:
    remaining_seconds = context.reader.hub.manager.reset_limits(
        context.required_value("service"),
        tenant=context.get("tenant"),
        actor=context.person.name,
        reason=context.reason,
    )
    if not remaining_seconds:
        return f"The limits of {_owner(context)} were not paused; nothing was changed."
    return (
        f"Calls of {_owner(context)} are sent again. The pause had {remaining_seconds:.0f} s left."
    )


def _renew_credentials(context: ActContext) -> str:
    service, tenant = context.required_value("service"), context.get("tenant")
    context.reader.check_renewable(service)
    core = core_of(context.reader.hub.manager)
    manual_act = ManualAct(
        act="credentials.renew",
        subject=f"credentials of {'/'.join(filter(None, (service, tenant)))}",
        actor=context.person.name,
        reason=context.reason,
    )

    async def renew_credentials() -> None:
        old_credentials = await core.get_credentials(service, tenant)
        await core.refresh_credentials(service, tenant, old_credentials)

    run_now(perform_recorded(core, manual_act, renew_credentials))
    return f"The credentials of {_owner(context)} were renewed. All processes use the new ones."


def _explain_renewal(context: ActContext) -> str:
    context.reader.check_renewable(context.required_value("service"))
    return (
        f"moorage requests new credentials of {_owner(context)}, although the present ones may"
        " still work. Credentials that are only read from a place, such as a file, are read from"
        " there again."
    )


_CIRCUIT: Final[dict[str, Any]] = {
    "group": always_permit(Group.CIRCUITS),
    "fields": ("service", "tenant", "region"),
    "needs_reason": True,
    "back": ("/service", ("service", "tenant")),
}

SERVICE_ACTS: Final = (
    Act(
        **_CIRCUIT,
        name="circuit-open",
        title="Pause the service?",
        button="Pause calls",
        explain=lambda acting: (
            f"The circuit of {_owner(acting)} is held open: all calls are refused until you resume"
            " them."
        ),
        perform=_set_circuit(CircuitState.FORCED_OPEN),
    ),
    Act(
        **_CIRCUIT,
        name="circuit-disable",
        title="Disable the circuit?",
        button="Disable",
        explain=lambda acting: (
            f"Calls of {_owner(acting)} are sent despite failures until you reset the circuit."
        ),
        perform=_set_circuit(CircuitState.DISABLED),
    ),
    Act(
        **_CIRCUIT,
        name="circuit-reset",
        title="Reset the circuit?",
        button="Reset",
        explain=lambda acting: (
            f"The circuit of {_owner(acting)} closes: calls are sent again, and its failures are"
            " counted from zero."
        ),
        perform=_set_circuit(CircuitState.CLOSED),
    ),
    Act(
        name="limits-reset",
        group=always_permit(Group.LIMITS),
        fields=("service", "tenant"),
        needs_reason=True,
        back=("/service", ("service", "tenant")),
        title="End the pause?",
        button="End the pause",
        explain=lambda acting: (
            f"The vendor asked for a pause. If you end it, calls of {_owner(acting)} are sent at"
            " once."
        ),
        perform=_reset_limits,
    ),
    Act(
        name="credentials-renew",
        group=always_permit(Group.CREDENTIALS),
        fields=("service", "tenant"),
        needs_reason=True,
        back=("/service", ("service", "tenant")),
        title="Renew the credentials?",
        button="Renew the credentials",
        explain=_explain_renewal,
        perform=_renew_credentials,
    ),
)
