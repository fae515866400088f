"""Payments that an application starts at a bank."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.bank.access import is_return_url
from moorage.contracts.bank.iban import Iban
from moorage.contracts.bank.payment_orders import CreditTransfer, SterlingTransfer
from moorage.contracts.bank.sort_codes import SortCodeAccount
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import check_kind, is_a, is_maybe
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.ref import Ref


class BankPaymentStatus(StrEnum):
    """The state of a payment at the bank.

    `pending` means that the bank received the payment, and has not executed it: the owner may have
    to approve it, or a check is under way. `settled` means that the money has left the account.
    `unknown` means that moorage does not know the bank's word; it is not a success.
    """

    PENDING = "pending"
    SETTLED = "settled"
    REFUSED = "refused"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


def _as_account(value: Any) -> Any:
    """Parse a string as an IBAN."""
    return value if value is None or isinstance(value, SortCodeAccount) else Iban(value)


def _is_transfer(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a value that is not a payment in euros or in pounds."""
    if not isinstance(value, SterlingTransfer):
        check_kind(value, CreditTransfer, attribute.name)


@frozen(kw_only=True)
class PaymentOrder:
    """A payment to start at a bank, where the account's owner approves it.

    Attributes:
        debtor: account that pays: an IBAN, which may be a string, or an account with a sort code.
            A payment in pounds needs none; the owner then chooses the account at the bank.
        transfer: the payment: a `CreditTransfer` in euros, or a `SterlingTransfer` in pounds.
        instant: True for a SEPA instant payment in euros, or for Faster Payments in pounds.
        return_url: https:// address to which the owner returns after the approval.
        ip_address: IP address of the owner's browser, which banks ask for.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    debtor: Iban | SortCodeAccount | None = field(default=None, converter=_as_account)
    transfer: CreditTransfer | SterlingTransfer = field(validator=_is_transfer)
    instant: bool = field(default=False, validator=is_a(bool))
    return_url: str = field(repr=False, validator=is_return_url)
    ip_address: str | None = field(default=None, repr=False, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a payment in euros from an account without an IBAN."""
        if isinstance(self.transfer, CreditTransfer) and not isinstance(self.debtor, Iban):
            raise InvalidData(
                "A payment in euros must name the IBAN of the account that pays.",
                field="debtor",
                remedy="Give a string such as 'DE89 3704 0044 0532 0130 00'.",
            )


@frozen(kw_only=True)
class BankPayment:
    """A payment that was started at a bank.

    Attributes:
        ref: reference of the payment. `finish_payment` may extend the reference, so store the
            one in its result.
        status: state of the payment.
        vendor_status: the bank's own word for the status.
        link: URL of the page on which the owner approves the payment; None if there is none,
            or it is no longer available.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the bank's complete response.
    """

    ref: Ref
    status: BankPaymentStatus
    vendor_status: str | None = None
    link: str | None = field(default=None, repr=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
