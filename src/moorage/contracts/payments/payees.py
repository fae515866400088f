"""Payouts to payees, such as suppliers or sellers of a marketplace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments.requests import is_amount, is_reference, is_short
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import is_a, is_filled, is_maybe_filled
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments.states import PayoutState
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


@frozen
class PayeeTransfer:
    """Money to send to a payee.

    Attributes:
        amount: amount above zero.
        payee: the vendor's id of the payee, or their email address where the vendor accepts one.
        reference: your own name of the transfer, such as the number of a credit note.
        note: text for the payee.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = field(validator=is_amount)
    payee: str = field(validator=[is_filled, is_short], repr=False)
    reference: str = field(validator=[is_a(str), is_reference], kw_only=True)
    note: str | None = field(
        default=None, kw_only=True, repr=False, validator=[is_maybe_filled, is_short]
    )
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )


@frozen(kw_only=True)
class PayeePayout:
    """Money that was sent to a payee; a value that the vendor does not state is None.

    Attributes:
        ref: reference of the transfer at the vendor, for looking it up.
        state: state of the transfer; `pending` until the payee has the money, and `canceled` if it
            came back to you.
        vendor_state: the vendor's own word for the state.
        amount: amount that the payee receives.
        fee: fee that the vendor charges you.
        payee: the vendor's id of the payee, or their email address.
        reference: your own name of the transfer.
        reason: the vendor's reason of a failure.
        created_at: time of creation.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: PayoutState
    vendor_state: str | None = None
    amount: Money | None = None
    fee: Money | None = None
    payee: str | None = field(default=None, repr=False)
    reference: str | None = None
    reason: str | None = None
    created_at: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
