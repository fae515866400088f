"""What an operation on payments is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.kinds import (
    OneOf,
    are_texts,
    as_table,
    is_a,
    is_count,
    is_maybe,
    is_moment,
)
from moorage.contracts.payments.vendor import PaymentsCapability
from moorage.contracts.vendor import no_options
from moorage.domain.idempotency import checked_key
from moorage.domain.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef

KIND: Final = "payments"

_CARD: Final = re.compile(r"[0-9](?:[ .-]?[0-9]){11,18}")
_LONGEST: Final = 200
_BEGUN_BY: Final = ("charge", "authorize", "create_intent")


class ThreeDs(OneOf, field="three_ds"):
    """Whether the buyer's bank is to have them confirm the payment."""

    AUTO = "auto"
    ALWAYS = "always"


@attrs.frozen(kw_only=True)
class Customer:
    """Who pays, as far as the vendor is to know.

    Attributes:
        id: the vendor's id of them.
        country: the code of two letters, which routes may go by.
        ip: where they are on the network.
    """

    id: str | None = attrs.field(default=None, validator=is_maybe(str))
    name: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    email: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    phone: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    country: str | None = attrs.field(default=None, validator=is_maybe(str))
    ip: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))


def _is_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_amount(value, attribute.name)


def _is_source(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    if not value.strip():
        raise InvalidData(
            "A source is a text.",
            field=attribute.name,
            remedy="Give the token, the nonce or the stored id that the vendor gave.",
        )
    if looks_like_a_card(value):
        raise InvalidData(
            "This looks like the number of a card, which must never come here.",
            field=attribute.name,
            remedy="Have the vendor's own form in the browser make a token of it.",
        )


def _is_reference(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not 0 < len(value) <= _LONGEST:
        raise InvalidData(
            f"A reference is a text of 1 to {_LONGEST} letters.",
            field=attribute.name,
            remedy="Give what your books call the payment, such as the invoice's number.",
        )


@attrs.frozen
class Charge:
    """What somebody is to pay, and with what.

    Attributes:
        amount: how much, above zero.
        source: the vendor's token, nonce or stored id of the means of payment, never the number of
            a card; None for an intent that the buyer chooses the means for.
        reference: what our books call it.
        customer: who pays.
        return_url: where the buyer comes back to after they were sent elsewhere.
        description: what it is for, for our own eyes and the buyer's receipt.
        statement_descriptor: what stands on the buyer's statement.
        metadata: texts that the vendor keeps with it.
        off_session: the buyer is not there to confirm anything.
        store_method: keep the means of payment for later.
        three_ds: whether the buyer's bank is to have them confirm.
        extra: options of single vendors, by the vendor's name, in the vendor's words.
    """

    amount: Money = attrs.field(validator=_is_amount)
    source: str | None = attrs.field(
        default=None, validator=[is_maybe(str), _is_source], repr=False
    )
    reference: str = attrs.field(validator=[is_a(str), _is_reference], kw_only=True)
    customer: Customer | None = attrs.field(
        default=None, kw_only=True, validator=is_maybe(Customer)
    )
    return_url: str | None = attrs.field(default=None, kw_only=True, validator=is_maybe(str))
    description: str | None = attrs.field(default=None, kw_only=True, validator=is_maybe(str))
    statement_descriptor: str | None = attrs.field(
        default=None, kw_only=True, validator=is_maybe(str)
    )
    metadata: Mapping[str, str] = attrs.field(
        factory=dict, converter=as_table, validator=are_texts, repr=False, kw_only=True
    )
    off_session: bool = attrs.field(default=False, kw_only=True, validator=is_a(bool))
    store_method: bool = attrs.field(default=False, kw_only=True, validator=is_a(bool))
    three_ds: ThreeDs = attrs.field(default=ThreeDs.AUTO, converter=ThreeDs, kw_only=True)
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, kw_only=True, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that it takes."""
        asked = {
            PaymentsCapability.OFF_SESSION: self.off_session,
            PaymentsCapability.STORE_METHOD: self.store_method,
            PaymentsCapability.STATEMENT_DESCRIPTOR: self.statement_descriptor,
            PaymentsCapability.THREE_DS: self.three_ds is not ThreeDs.AUTO,
        }
        return frozenset(capability for capability, value in asked.items() if value)

    @property
    def country(self) -> str | None:
        """The buyer's country in capitals, if it is known."""
        found = None if self.customer is None else self.customer.country
        return None if found is None else found.upper()


def _is_key(_: object, __: object, value: Any) -> None:
    checked_key(value)


def _is_begun_by(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in _BEGUN_BY:
        raise InvalidData(
            "No payment is begun by such an operation.",
            field=attribute.name,
            remedy=f"Give one of: {', '.join(_BEGUN_BY)}.",
        )


@attrs.frozen(kw_only=True)
class Unsettled:
    """A payment that nobody knows the outcome of, since not even its reference arrived.

    Asked again under its key it is done once, and what became of it comes out. At a vendor that
    knows no keys it is looked for by its reference instead, among what was made since it began.

    Attributes:
        charge: what was asked for.
        idempotency_key: the key that it was asked for with.
        operation: "charge", "authorize" or "create_intent".
        since: when it was first asked for, by our books; None is not to look for it. Vendors'
            clocks differ from ours, so take a minute off.
    """

    charge: Charge = attrs.field(validator=is_a(Charge))
    idempotency_key: str = attrs.field(validator=_is_key)
    operation: str = attrs.field(default="charge", validator=_is_begun_by)
    since: datetime | None = attrs.field(default=None, validator=is_moment)


@attrs.frozen(kw_only=True)
class PaymentQuery:
    """Which payments, disputes or payouts are asked for, newest first.

    Attributes:
        since: made at this time or later.
        until: made before this time.
        limit: at most so many on a page, as far as the vendor goes.
    """

    since: datetime | None = attrs.field(default=None, validator=is_moment)
    until: datetime | None = attrs.field(default=None, validator=is_moment)
    limit: int = attrs.field(default=50, validator=is_count)


def check_amount(value: object, field: str = "amount") -> Money:
    """`value` as an amount that can be moved."""
    if isinstance(value, Money) and value.minor > 0:
        return value
    raise InvalidData(
        "This is no amount of money above zero.",
        field=field,
        remedy="Give a Money, such as Money('149.90', 'EUR').",
    )


def looks_like_a_card(text: str) -> bool:
    """Whether this may be the number of a card: as many digits, with the check digit right."""
    if _CARD.fullmatch(text.strip()) is None:
        return False
    digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def payment_ref(make: MakeRef, id: str, amount: Money | None, /, **related: str | None) -> Ref:
    """The reference of a payment, which knows what was asked for.

    Args:
        make: makes a reference at the account, such as `Wire.ref`.
        id: the vendor's id; our own reference where it has none yet, with `unnamed="1"`.
        amount: what was asked for, where that is known.
        related: further ids that the vendor needs.
    """
    known = {} if amount is None else {"amount": str(amount.amount), "currency": amount.currency}
    return make(id, **known, **related)


def stated_amount(ref: Ref) -> Money | None:
    """What was asked for, if the reference of a payment knows it."""
    amount, currency = ref.other("amount"), ref.other("currency")
    return None if amount is None or currency is None else Money(amount, currency)


def check_currency(amount: Money | None, currency: str | None) -> None:
    """Refuse an amount that is in another currency than the payment.

    Args:
        amount: what is to be captured or given back; None is all of it.
        currency: the payment's.
    """
    if amount is not None and currency is not None and amount.currency != currency:
        raise InvalidData(
            f"The payment is in {currency}, and this amount in {amount.currency}.",
            field="amount",
            remedy=f"Give the amount in {currency}.",
        )


def capture_needs(*, final: bool) -> frozenset[str]:
    """The capabilities that a capture takes."""
    return frozenset() if final else frozenset({PaymentsCapability.MULTIPLE_CAPTURES})
