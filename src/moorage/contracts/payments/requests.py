"""Arguments of payment operations, such as a charge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.address import Address
from moorage.contracts.payments.lines import LineItem, check_lines
from moorage.contracts.payments.vendor import PaymentsCapability
from moorage.contracts.validators import (
    OneOf,
    are_all,
    are_texts,
    as_table,
    as_tuple,
    is_a,
    is_count,
    is_maybe,
    is_moment,
)
from moorage.contracts.vendor import no_options
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef

KIND: Final = "payments"

_CARD: Final = re.compile(r"[0-9](?:[ .-]?[0-9]){11,18}")
_LONGEST_TEXT: Final = 1_000
_MAX_LENGTH: Final = 200
_START_OPERATIONS: Final = ("charge", "authorize", "create_intent")


class ThreeDs(OneOf, field="three_ds"):
    """The use of 3-D Secure, by which the buyer confirms the payment at their bank."""

    AUTO = "auto"
    ALWAYS = "always"


@frozen(kw_only=True)
class Customer:
    """The buyer, with the details that the vendor needs.

    Attributes:
        id: the vendor's id of the buyer.
        country: ISO 3166 code of two letters, which routes may match.
        ip: IP address of the buyer.
    """

    id: str | None = field(default=None, validator=is_maybe(str))
    name: str | None = field(default=None, repr=False, validator=is_maybe(str))
    email: str | None = field(default=None, repr=False, validator=is_maybe(str))
    phone: str | None = field(default=None, repr=False, validator=is_maybe(str))
    country: str | None = field(default=None, validator=is_maybe(str))
    ip: str | None = field(default=None, repr=False, validator=is_maybe(str))


def is_known_customer(_: object, attribute: attrs.Attribute[Any], value: Customer) -> None:
    """Refuse a customer without an id at the vendor."""
    if not value.id:
        raise InvalidData(
            "A means of payment can only be stored for a buyer who has a customer id at the"
            " vendor.",
            field=f"{attribute.name}.id",
            remedy="Give the customer id that the vendor assigned to the buyer.",
        )


def is_short(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Accept None or a string of at most 1,000 characters."""
    if value is not None and len(value) > _LONGEST_TEXT:
        raise InvalidData(
            f"The {attribute.name} must have at most {_LONGEST_TEXT} characters.",
            field=attribute.name,
            remedy="Give a shorter text.",
        )


def is_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a positive amount of money."""
    check_amount(value, attribute.name)


def is_source(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Refuse an empty source, and one that looks like a card number."""
    if value is None:
        return
    if not value.strip():
        raise InvalidData(
            "The source of a payment must not be empty.",
            field=attribute.name,
            remedy="Give the token, the nonce or the stored id that the vendor issued.",
        )
    if looks_like_a_card(value):
        raise InvalidData(
            "The source looks like a card number, which must never reach your servers.",
            field=attribute.name,
            remedy="Let the vendor's form in the browser exchange the card number for a token,"
            " and give the token.",
        )


def is_reference(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Refuse a reference that is empty or too long."""
    if not 0 < len(value) <= _MAX_LENGTH:
        raise InvalidData(
            f"The reference must be a string of 1 to {_MAX_LENGTH} characters.",
            field=attribute.name,
            remedy="Give the name of the payment in your own system, such as the invoice number.",
        )


@frozen
class Charge:
    """A payment to request from a buyer.

    Attributes:
        amount: amount above zero.
        source: the vendor's token, nonce or stored id of the means of payment, never a card number;
            None for an intent; the buyer chooses the means later.
        reference: your own name of the payment, such as an invoice number.
        customer: the buyer.
        billing_address: address of the buyer's invoice.
        shipping_address: address of the delivery.
        lines: lines of the order, which add up to the amount; none by default.
        return_url: URL that the buyer returns to after a redirect.
        description: text for your own records and the buyer's receipt.
        statement_descriptor: text on the buyer's bank statement.
        metadata: texts that the vendor stores with the payment.
        off_session: True if the buyer is not present to confirm anything.
        store_method: True to store the means of payment for later payments.
        three_ds: use of 3-D Secure.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = field(validator=is_amount)
    source: str | None = field(default=None, validator=[is_maybe(str), is_source], repr=False)
    reference: str = field(validator=[is_a(str), is_reference], kw_only=True)
    customer: Customer | None = field(default=None, kw_only=True, validator=is_maybe(Customer))
    billing_address: Address | None = field(default=None, kw_only=True, validator=is_maybe(Address))
    shipping_address: Address | None = field(
        default=None, kw_only=True, validator=is_maybe(Address)
    )
    lines: tuple[LineItem, ...] = field(
        default=(), converter=as_tuple, kw_only=True, validator=are_all(LineItem)
    )
    return_url: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    description: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    statement_descriptor: str | None = field(default=None, kw_only=True, validator=is_maybe(str))
    metadata: Mapping[str, str] = field(
        factory=dict, converter=as_table, validator=are_texts, repr=False, kw_only=True
    )
    off_session: bool = field(default=False, kw_only=True, validator=is_a(bool))
    store_method: bool = field(default=False, kw_only=True, validator=is_a(bool))
    three_ds: ThreeDs = field(default=ThreeDs.AUTO, converter=ThreeDs, kw_only=True)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse lines that do not add up to the amount."""
        check_lines(self.lines, self.amount)

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this payment."""
        requested_features = {
            PaymentsCapability.OFF_SESSION: self.off_session,
            PaymentsCapability.STORE_METHOD: self.store_method,
            PaymentsCapability.STATEMENT_DESCRIPTOR: self.statement_descriptor,
            PaymentsCapability.BILLING_ADDRESS: self.billing_address,
            PaymentsCapability.SHIPPING_ADDRESS: self.shipping_address,
            PaymentsCapability.LINE_ITEMS: self.lines,
            PaymentsCapability.THREE_DS: self.three_ds is not ThreeDs.AUTO,
        }
        return frozenset(capability for capability, value in requested_features.items() if value)

    @property
    def country(self) -> str | None:
        """The buyer's country code in capitals, if known."""
        code = None if self.customer is None else self.customer.country
        return None if code is None else code.upper()


def _is_key(_: object, __: object, value: Any) -> None:
    checked_key(value)


def _is_begun_by(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in _START_OPERATIONS:
        raise InvalidData(
            f"The {attribute.name} is not an operation that starts a payment.",
            field=attribute.name,
            remedy=f"Give one of: {', '.join(_START_OPERATIONS)}.",
        )


@frozen(kw_only=True)
class Unsettled:
    """A payment with an unknown outcome; the vendor's response with its reference was lost.

    At a vendor with idempotency keys it is sent again under its key, which charges once and returns
    the result. At other vendors, the payment is searched by `reference` among the payments since it
    began.

    Attributes:
        charge: the requested payment.
        idempotency_key: key of the request.
        operation: "charge", "authorize" or "create_intent".
        since: time of the first request by your clock; None skips the search. Vendors' clocks
            differ, so subtract a minute.
    """

    charge: Charge = field(validator=is_a(Charge))
    idempotency_key: str = field(validator=_is_key)
    operation: str = field(default="charge", validator=_is_begun_by)
    since: datetime | None = field(default=None, validator=is_moment)


@frozen(kw_only=True)
class PaymentQuery:
    """A query for payments, disputes, payouts or subscriptions, returned newest first.

    Attributes:
        since: earliest time of creation, included.
        until: latest time of creation, excluded.
        limit: maximum number per page; the vendor may return fewer.
    """

    since: datetime | None = field(default=None, validator=is_moment)
    until: datetime | None = field(default=None, validator=is_moment)
    limit: int = field(default=50, validator=is_count)


def check_amount(value: object, field: str = "amount") -> Money:
    """Return `value` if it is a positive amount of money, otherwise raise an error."""
    if isinstance(value, Money) and value.minor > 0:
        return value
    raise InvalidData(
        f"The {field} must be an amount of money above zero.",
        field=field,
        remedy="Give a Money, such as Money('149.90', 'EUR').",
    )


def looks_like_a_card(text: str) -> bool:
    """True if the text may be a card number: it has the length and a valid check digit."""
    if _CARD.fullmatch(text.strip()) is None:
        return False
    digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
    doubled_numbers = [2 * digit - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled_numbers)) % 10 == 0


def payment_ref(make: MakeRef, id: str, amount: Money | None, /, **related: str | None) -> Ref:
    """Make the reference of a payment, which records the requested amount.

    Args:
        make: makes a reference at the account, such as `Wire.ref`.
        id: the vendor's id; our own reference where it has none yet, with `unnamed="1"`.
        amount: requested amount, if known.
        related: further ids that the vendor needs.
    """
    amount_parts = (
        {} if amount is None else {"amount": str(amount.amount), "currency": amount.currency}
    )
    return make(id, **amount_parts, **related)


def stated_amount(ref: Ref) -> Money | None:
    """The requested amount that a payment's reference records; None if it records none."""
    amount, currency = ref.other("amount"), ref.other("currency")
    return None if amount is None or currency is None else Money(amount, currency)


def check_currency(amount: Money | None, currency: str | None) -> None:
    """Refuse an amount in another currency than the payment's.

    Args:
        amount: amount to capture or refund; None for all of it.
        currency: currency of the payment.
    """
    if amount is not None and currency is not None and amount.currency != currency:
        raise InvalidData(
            f"The payment is in {currency}, but this amount is in {amount.currency}.",
            field="amount",
            remedy=f"Give the amount in {currency}.",
        )


def capture_needs(ref: Ref, amount: Money | None, *, final: bool) -> frozenset[str]:
    """The capabilities that a vendor needs for a capture.

    Args:
        ref: reference of the payment.
        amount: amount to capture; None for all of it.
        final: False if the rest is left for later captures.
    """
    needed_features = {
        PaymentsCapability.AUTHORIZE: True,
        PaymentsCapability.PARTIAL_CAPTURE: amount not in (None, stated_amount(ref)),
        PaymentsCapability.MULTIPLE_CAPTURES: not final,
    }
    return frozenset(capability for capability, is_needed in needed_features.items() if is_needed)
