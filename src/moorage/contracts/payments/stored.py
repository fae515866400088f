"""Means of payment that a vendor stores for a buyer's later payments."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments.requests import Customer, is_known_customer, is_source
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import is_a, is_maybe
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments.values import MeansOfPayment, NextAction
    from moorage.contracts.ref import Ref


class StoredState(StrEnum):
    """The state of a stored means of payment.

    `requires_action` waits for the buyer, and `pending` for their bank; a means in either state
    cannot be charged yet.
    """

    STORED = "stored"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    FAILED = "failed"
    REMOVED = "removed"
    UNKNOWN = "unknown"


@frozen
class StoreRequest:
    """A means of payment to store for later payments; nothing is charged.

    Attributes:
        source: the vendor's token or nonce of the means of payment, never a card number.
        customer: the buyer, with the vendor's id.
        return_url: URL that the buyer returns to after a redirect.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    source: str = field(validator=[is_a(str), is_source], repr=False)
    customer: Customer = field(kw_only=True, validator=[is_a(Customer), is_known_customer])
    return_url: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )

    @property
    def customer_id(self) -> str:
        """The vendor's id of the buyer."""
        return self.customer.id or ""


@frozen(kw_only=True)
class StoredMeans:
    """A means of payment that a vendor stores for a buyer.

    Fields that the vendor does not state are None.

    Attributes:
        ref: reference of the stored means, for removing it.
        state: state of the stored means.
        vendor_state: the vendor's own word for the state.
        customer: the vendor's id of the buyer.
        means: the means of payment; its `stored` is the `source` of a later charge.
        next_action: step that the buyer has to take first.
        created_at: time of creation.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: StoredState
    vendor_state: str | None = None
    customer: str | None = None
    means: MeansOfPayment | None = None
    next_action: NextAction | None = None
    created_at: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
