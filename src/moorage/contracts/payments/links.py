"""Payment links: pages of a vendor on which a buyer pays a fixed amount."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.address import Address
from moorage.contracts.payments.lines import LineItem, check_lines
from moorage.contracts.payments.requests import is_amount, is_reference
from moorage.contracts.payments.vendor import PaymentsCapability
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import are_all, as_tuple, is_a, is_maybe, is_moment
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class LinkState(StrEnum):
    """The state of a payment link; `closed` accepts no payments any more."""

    OPEN = "open"
    PENDING = "pending"
    PAID = "paid"
    EXPIRED = "expired"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@frozen
class LinkRequest:
    """A page to create on which a buyer pays one amount once.

    Attributes:
        amount: amount above zero.
        reference: your own name of the payment, such as an invoice number.
        description: text that the buyer sees on the page; by default the reference.
        billing_address: address of the buyer's invoice.
        shipping_address: address of the delivery.
        lines: lines of the order, which add up to the amount; none by default.
        return_url: URL that the buyer goes to after the payment.
        expires_at: time from which the page accepts no payment.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = field(validator=is_amount)
    reference: str = field(validator=[is_a(str), is_reference], kw_only=True)
    description: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    billing_address: Address | None = field(default=None, kw_only=True, validator=is_maybe(Address))
    shipping_address: Address | None = field(
        default=None, kw_only=True, validator=is_maybe(Address)
    )
    lines: tuple[LineItem, ...] = field(
        default=(), converter=as_tuple, kw_only=True, validator=are_all(LineItem)
    )
    return_url: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    expires_at: datetime | None = field(default=None, kw_only=True, validator=is_moment)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse lines that do not add up to the amount."""
        check_lines(self.lines, self.amount)

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this link."""
        requested_features = {
            PaymentsCapability.LINKS: True,
            PaymentsCapability.LINK_EXPIRY: self.expires_at,
            PaymentsCapability.LINK_ADDRESSES: self.billing_address or self.shipping_address,
            PaymentsCapability.LINK_LINE_ITEMS: self.lines,
        }
        return frozenset(capability for capability, value in requested_features.items() if value)


@frozen(kw_only=True)
class PaymentLink:
    """A payment link at a vendor; a value that the vendor does not state is None.

    Attributes:
        ref: reference of the link, for looking it up and closing it.
        state: state of the link.
        vendor_state: the vendor's own word for the state.
        url: URL to send to the buyer.
        amount: amount of the payment.
        reference: your own name of the payment.
        expires_at: time from which the page accepts no payment.
        created_at: time of creation.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: LinkState
    vendor_state: str | None = None
    url: str | None = field(default=None, repr=False)
    amount: Money | None = None
    reference: str | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = field(default=None, eq=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
