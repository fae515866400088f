"""Access to bank accounts: the owner's consent, the accounts and their balances."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.contracts.bank.iban import Iban
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import are_all, as_tuple, check_text, is_a, is_count, is_maybe
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    import attrs

    from moorage.contracts.bank.bic import Bic
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class ConsentStatus(StrEnum):
    """The state of an owner's consent.

    `pending` means that the owner has not decided, or that another owner has to agree too.
    `suspended` means that the vendor stopped the access after errors. `unknown` means that moorage
    does not know the vendor's word for the state; it is not a consent.
    """

    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


class BalanceKind(StrEnum):
    """The kind of an account's balance, such as booked or available.

    `booked` is the sum of the booked entries, `available` the amount that can be spent, `expected`
    the booked and the pending entries together, `opening` the booked balance at the beginning of
    the period, and `forward` the amount that can be spent on a later day. `unknown` is any other
    kind, whose name is in `vendor_kind`.
    """

    BOOKED = "booked"
    AVAILABLE = "available"
    EXPECTED = "expected"
    OPENING = "opening"
    FORWARD = "forward"
    UNKNOWN = "unknown"


def is_return_url(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a value that is not the https:// URL of a page."""
    check_return_url(value, attribute.name)


def check_return_url(value: object, name: str) -> None:
    """Refuse a value that is not the https:// URL of a page; errors name the field `name`."""
    check_text(value, name)
    try:
        url = urlsplit(str(value))
        is_valid = url.scheme == "https" and bool(url.hostname)
    except ValueError:
        is_valid = False
    if not is_valid or any(letter <= " " for letter in str(value)):
        raise InvalidData(
            f"The {name} must be an https:// address.",
            field=name,
            remedy="Give the page of your application to which the owner of the account returns,"
            " such as https://erp.example/banks/return.",
        )


def as_ibans(value: Any) -> Any:
    """Convert account numbers to `Iban` values; strings are parsed and checked."""
    numbers: Iterable[Any] = as_tuple(value)
    return tuple(Iban(number) for number in numbers) if isinstance(numbers, tuple) else numbers


@frozen(kw_only=True)
class ConsentRequest:
    """A request for the consent of an account's owner.

    Attributes:
        return_url: https:// address to which the owner returns after the decision.
        institution: the vendor's id of the bank, if the vendor serves several banks; by default
            the bank of the account in the configuration.
        accounts: IBANs of the accounts; without any, the owner chooses them at the bank.
        days: number of days for which the consent is to be valid; the bank may shorten it.
        language: two letters of the language in which the owner is addressed.
        ip_address: IP address of the owner's browser, which banks ask for.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    return_url: str = field(repr=False, validator=is_return_url)
    institution: str | None = field(default=None, validator=is_maybe(str))
    accounts: tuple[Iban, ...] = field(default=(), converter=as_ibans, validator=are_all(Iban))
    days: int = field(default=90, validator=is_count)
    language: str | None = field(default=None, validator=is_maybe(str))
    ip_address: str | None = field(default=None, repr=False, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )


@frozen(kw_only=True)
class BankConsent:
    """An owner's consent to let an application access bank accounts.

    Attributes:
        ref: reference of the consent.
        status: state of the consent.
        vendor_status: the vendor's own word for the status.
        link: URL of the page on which the owner agrees; None if there is none, or it is no
            longer available.
        valid_until: last day of the consent, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    status: ConsentStatus
    vendor_status: str | None = None
    link: str | None = field(default=None, repr=False)
    valid_until: date | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


def _last_digits(text: str | None) -> str:
    """The last four characters of an account number."""
    return repr(text) if text is None else f"'…{text[-4:]}'" if len(text) > 8 else "'…'"


@frozen(kw_only=True)
class BankAccount:
    """A bank account that a consent covers. The repr shows neither owner nor number.

    Attributes:
        ref: reference of the account.
        iban: account number; None if the account has another kind of number.
        number: account number as the bank writes it.
        bic: code of the bank.
        currency: currency of the account; None if the account has several, or the vendor does
            not state it.
        name: name of the account.
        owner: name of its owner.
        vendor_status: the vendor's own word for the state of the account.
        raw: the vendor's complete response.
    """

    ref: Ref
    iban: Iban | None = None
    number: str | None = field(default=None, repr=_last_digits)
    bic: Bic | None = None
    currency: str | None = None
    name: str | None = field(default=None, repr=False)
    owner: str | None = field(default=None, repr=False)
    vendor_status: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CurrentBalance:
    """A balance of a bank account.

    Attributes:
        kind: kind of the balance.
        vendor_kind: the bank's own word for the kind.
        amount: amount, negative if the account is overdrawn.
        day: day of the balance, if the bank states it.
        at: time of the last change, if the bank states it.
        with_credit: True if the amount contains a credit limit; None if the bank does not state it.
        raw: the bank's complete balance.
    """

    kind: BalanceKind
    vendor_kind: str | None = None
    amount: Money
    day: date | None = None
    at: datetime | None = None
    with_credit: bool | None = None
    raw: Any = field(default=None, repr=False, eq=False)
