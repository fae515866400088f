"""The contract of payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.declaration import Contract, Effect, Requirements, Target, reads
from moorage.contracts.payments import (
    PaymentsCapability,
    buyers,
    events,
    requests,
    states,
    unsettled,
    values,
)
from moorage.contracts.payments.events import PaymentEvent

if TYPE_CHECKING:
    from moorage.contracts.payments import Payment, Refund
    from moorage.contracts.ref import Ref


_LOOK_UP: Final[Requirements[Payment]] = Requirements(needs={PaymentsCapability.LOOK_UP})
_LOOK_UP_REFUND: Final[Requirements[Refund]] = Requirements(
    needs={PaymentsCapability.LOOK_UP_REFUND}
)


class PaymentsContract(Contract):
    """Takes payments by the vendor that the configuration chooses."""

    kind = "payments"
    capabilities = PaymentsCapability
    event = PaymentEvent
    values = (
        buyers,
        events,
        requests,
        states,
        unsettled,
        values,
    )
    flows = {
        "create_intent": Effect.DEFERRABLE,
        "authorize": Effect.DEFERRABLE,
        "charge": Effect.DEFERRABLE,
        "complete": Effect.DEFERRABLE,
        "capture": Effect.DEFERRABLE,
        "void": Effect.DEFERRABLE,
        "refund": Effect.DEFERRABLE,
        "follow_up": Effect.NONE,
        "settle": Effect.IMMEDIATE,
        "payments": Effect.NONE,
        "disputes": Effect.NONE,
        "payouts": Effect.NONE,
    }

    @reads(target=Target.REFERENCE)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Payment]:
        """Get the current state of a payment."""
        return _LOOK_UP

    @reads(target=Target.REFERENCE)
    def get_refund(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Refund]:
        """Get the current state of a refund, by its own reference."""
        return _LOOK_UP_REFUND
