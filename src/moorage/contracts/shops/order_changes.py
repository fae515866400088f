"""Changes of orders: parcels, cancellations and refunds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.contracts.replays import replay_field
from moorage.contracts.shops.vendor import ShopsCapability
from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_text,
    is_a,
    is_count,
    is_filled,
    is_maybe_filled,
)
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class Completion(StrEnum):
    """The progress of a change that the shop may make later."""

    DONE = "done"
    PENDING = "pending"
    UNKNOWN = "unknown"


def _is_maybe_url(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    check_text(value, attribute.name)
    try:
        url = urlsplit(str(value))
        valid = url.scheme in {"http", "https"} and bool(url.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidData(
            "The URL of the tracking page must be a web address.",
            field=attribute.name,
            remedy="Give an absolute URL, such as https://carrier.example/track/1Z999.",
        )


@frozen(kw_only=True)
class FulfilledLine:
    """A line of an order that is shipped, wholly or in part.

    Attributes:
        id: the `id` of the `OrderLine`.
        quantity: quantity that is shipped.
    """

    id: str = field(validator=is_filled)
    quantity: int = field(validator=is_count)


def _are_distinct(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    are_all(FulfilledLine)(_, attribute, value)
    if len({line.id for line in value}) < len(value):
        raise InvalidData(
            "Two lines of the fulfilment have the same id.",
            field=attribute.name,
            remedy="Give each line of the order once, with its whole quantity.",
        )


@frozen(kw_only=True)
class Fulfilment:
    """A parcel that leaves for the buyer of an order.

    Attributes:
        tracking_number: the carrier's number of the parcel. It identifies the parcel after a
            lost response; without one, such a response raises `OutcomeUnknown`.
        carrier: name of the carrier, as the buyer is to read it.
        tracking_url: address of the carrier's page about the parcel.
        lines: lines that are in the parcel; by default everything that is not shipped yet.
        notify: True to have the shop write to the buyer about the parcel.
    """

    tracking_number: str | None = field(default=None, validator=is_maybe_filled)
    carrier: str | None = field(default=None, validator=is_maybe_filled)
    tracking_url: str | None = field(default=None, repr=False, validator=_is_maybe_url)
    lines: tuple[FulfilledLine, ...] = field(
        default=(), converter=as_tuple, validator=_are_distinct
    )
    notify: bool = field(default=False, validator=is_a(bool))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to record this parcel."""
        return frozenset([ShopsCapability.PARTIAL_FULFILMENT] if self.lines else [])


@frozen(kw_only=True)
class FulfilmentReceipt:
    """The shop's confirmation that a parcel was sent.

    Attributes:
        ref: reference of the order at the vendor.
        id: the vendor's id of the fulfilment; None if the vendor gives it none.
        completion: done if the shop shows the items as shipped.
        vendor_status: the vendor's own word for that.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    id: str | None
    completion: Completion
    vendor_status: str | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CancelReceipt:
    """The shop's response to the cancellation of an order.

    Attributes:
        ref: reference of the order at the vendor.
        completion: done if the order is cancelled, pending if the shop is still cancelling it.
        vendor_status: the vendor's own word for that.
        raw: the vendor's complete answer.
    """

    ref: Ref
    completion: Completion
    vendor_status: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ShopRefund:
    """The shop's confirmation of a refund to the buyer.

    Attributes:
        ref: reference of the order at the vendor.
        id: the vendor's id of the refund.
        amount: refunded amount.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    id: str
    amount: Money
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


def check_same_currency(amount: Money, ref: Ref, field: str) -> None:
    """Refuse an amount whose currency differs from that of the referenced order or item."""
    currency = ref.other("currency")
    if currency == amount.currency:
        return
    raise InvalidData(
        f"The {field} is in {amount.currency}, but the currency of the reference is"
        f" {currency or 'not stated'}.",
        field=field,
        remedy="Give an amount in the currency of the shop, and use the `ref` of an order or item"
        " that you read from the shop.",
    )
