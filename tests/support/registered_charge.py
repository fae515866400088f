"""A charge that was registered but never sent, because its process ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.idempotency.unsettled import RegisterOperation
from moorage.packing import pack
from moorage.services.contracts.payment_effects import Request, request_fingerprint

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge


def registered_charge(key: str, charge: Charge) -> RegisterOperation:
    """Return the command that registers a charge at the account `stripe`."""
    return RegisterOperation(
        "payments",
        None,
        key,
        fingerprint=request_fingerprint(Request("charge", (charge,), {})),
        operation="charge",
        accounts=("stripe",),
        content=("", pack(((charge,), {}))),
        span=0,
        memory=10**12,
    )
