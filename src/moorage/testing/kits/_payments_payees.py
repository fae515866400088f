"""Checks of payments to payees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.contracts.payments import Money, PayeeTransfer, PaymentsCapability, PayoutState
from moorage.errors import ConnectionFailed, InvalidData, VendorFailed
from moorage.testing.kits._contract_harness import with_body
from moorage.testing.kits._payments_harness import Harness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.payments import PayeePayout

Open: TypeAlias = Callable[[], Harness]

_AMOUNT: Final = Money("20.05", "EUR")
_SENT: Final = frozenset({PayoutState.PENDING, PayoutState.IN_TRANSIT, PayoutState.PAID})


def transfer_to(payee: str) -> PayeeTransfer:
    """Return a transfer to a payee."""
    return PayeeTransfer(_AMOUNT, payee, reference="CN-7", note="Thank you")


async def a_payee_is_paid_once(make: Open) -> None:
    """A payout is sent once per key, even after a lost response, and can be looked up."""
    async with make() as harness:
        if PaymentsCapability.PAYEES not in harness.capabilities:
            return
        transfer = transfer_to(harness.subject.payee or "")
        missing_call = harness("pay_payee", transfer, idempotency_key=None)
        await harness.refused(InvalidData, missing_call, "A transfer without a key")
        harness.sandbox.fail(Lost())
        lost_call = harness("pay_payee", transfer, idempotency_key="p-1")
        await harness.refused(ConnectionFailed, lost_call, "A lost answer")
        payee_payout: PayeePayout = await harness("pay_payee", transfer, idempotency_key="p-1")
        require(payee_payout.state in _SENT, f"A new payout is {payee_payout.state}.")
        keys = [
            harness.key_of(request)
            for request in harness.sandbox.requests
            if request.method != "GET" and not harness.is_sign_in(request)
        ]
        require(len(keys) == 2 and keys[0] and keys[0] == keys[1], "The key has changed.")
        require(transfer.payee not in repr(payee_payout), "The payee is shown.")
        payout: PayeePayout = await harness("get_payee_payout", payee_payout.ref)
        require(payout.ref == payee_payout.ref, "Another transfer was looked up.")
        require(payout.state is PayoutState.PAID, f"A paid payout is {payout.state}.")
        require(payout.amount == _AMOUNT, f"{_AMOUNT} became {payout.amount}.")
        require(payout.reference == "CN-7", "The reference is lost.")
        harness.sandbox.fail(AlteredAnswer(partial(with_body, b"{}")))
        broken_call = harness("pay_payee", transfer, idempotency_key="p-2")
        await harness.refused(VendorFailed, broken_call, "An empty answer")


PAYEES: Final = (a_payee_is_paid_once,)
