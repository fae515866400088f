"""Text messages: what is sent, what became of it, and what vendors of them can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.contracts.kinds import are_all, as_tuple, is_a, is_maybe, is_moment
from moorage.contracts.vendor import no_options
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "sms"

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


class SmsCapability(StrEnum):
    """What not every vendor can do."""

    SENDER_POOL = "sender_pool"
    MEDIA = "media"
    CALLBACK = "callback"
    SCHEDULED = "scheduled"
    CANCEL = "cancel"
    VALIDITY = "validity"
    LOOK_UP = "look_up"
    VALIDATE_NUMBER = "validate_number"
    CARRIER = "carrier"
    BALANCE = "balance"


class SmsStatus(StrEnum):
    """How far a message has come."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELED = "canceled"
    RECEIVED = "received"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more, but that it may yet be read."""
        return self not in {self.SCHEDULED, self.QUEUED, self.SENT, self.UNKNOWN}

    def then(self, news: SmsStatus) -> SmsStatus:
        """The status after this news, which may be late: what is over stays so, but may be read."""
        return news if _FAR[news] > _FAR[self] else self


_FAR: Final = {
    **dict.fromkeys(SmsStatus, 4),
    SmsStatus.UNKNOWN: 0,
    SmsStatus.SCHEDULED: 1,
    SmsStatus.QUEUED: 2,
    SmsStatus.SENT: 3,
    SmsStatus.READ: 5,
}


class LineType(StrEnum):
    """What a number belongs to."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    VOIP = "voip"
    OTHER = "other"
    UNKNOWN = "unknown"


def check_number(value: object, field: str) -> str:
    """`value` as a telephone number in the form of E.164."""
    if isinstance(value, str) and _E164.fullmatch(value):
        return value
    raise InvalidData(
        "This is not a telephone number in international form.",
        field=field,
        remedy="Give '+', the country code and the number, digits only, such as +4915112345678.",
    )


def _is_number(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_number(value, attribute.name)


@attrs.frozen(kw_only=True)
class SmsMessage:
    """One message to one person.

    Attributes:
        to: the number, as E.164 writes it.
        text: what it says.
        sender: a number or a name; by default the account's own.
        sender_pool: instead, the vendor's name for the numbers to choose from.
        media: the URLs of pictures and the like.
        send_at: not before this time.
        validity: how long the vendor may try.
        callback_url: where the vendor tells what became of it.
        reference: a word of ours that the vendor keeps with it, where it can.
        extra: options of single vendors, by the vendor's name, in the vendor's words.
    """

    to: str = attrs.field(validator=_is_number, repr=False)
    text: str = attrs.field(repr=False, validator=is_a(str))
    sender: str | None = attrs.field(default=None, validator=is_maybe(str))
    sender_pool: str | None = attrs.field(default=None, validator=is_maybe(str))
    media: tuple[str, ...] = attrs.field(
        default=(), converter=as_tuple, repr=False, validator=are_all(str)
    )
    send_at: datetime | None = attrs.field(default=None, validator=is_moment)
    validity: timedelta | None = attrs.field(default=None, validator=is_maybe(timedelta))
    callback_url: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    reference: str | None = attrs.field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what says nothing, or when nobody could know."""
        if not (self.text or self.media):
            raise InvalidData(
                "A message says nothing.", field="text", remedy="Give a text, or media."
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that sending it takes."""
        asked = {
            SmsCapability.SENDER_POOL: self.sender_pool,
            SmsCapability.MEDIA: self.media,
            SmsCapability.CALLBACK: self.callback_url,
            SmsCapability.SCHEDULED: self.send_at,
            SmsCapability.VALIDITY: self.validity,
        }
        return frozenset(capability for capability, value in asked.items() if value)


@attrs.frozen
class Price:
    """An amount as messages are billed: exact, and often finer than its currency has coins.

    It is no `Money`, which refuses such an amount.

    Attributes:
        amount: in major units.
        currency: its code of three letters.
    """

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@attrs.frozen(kw_only=True)
class SmsReceipt:
    """What a vendor says of a message.

    Attributes:
        ref: the message at the vendor.
        status: how far it has come; `failed` also if only some of its parts were taken.
        vendor_status: the same in the vendor's word.
        parts: the vendor's ids of the parts that it took, where it tells parts apart. News of any
            of them is news of the message.
        segments: of how many parts it is made.
        price: what it costs, where the vendor says.
        error_code, error_message: why it failed, in the vendor's words.
        raw: all that the vendor said.
    """

    ref: Ref
    status: SmsStatus
    vendor_status: str | None = None
    parts: tuple[str, ...] = attrs.field(default=(), eq=False)
    segments: int | None = None
    price: Price | None = None
    error_code: str | None = None
    error_message: str | None = attrs.field(default=None, repr=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class NumberCheck:
    """What a vendor knows of a number; None is what it does not say.

    Attributes:
        number: as E.164 writes it, if it is one.
        valid: whether it can be one.
        country: the country's code of two letters.
        national: how it is written at home.
        line: what it belongs to.
        carrier: who serves it.
        reasons: why it is none, in the vendor's words.
        raw: all that the vendor said.
    """

    number: str | None = attrs.field(repr=False)
    valid: bool
    country: str | None = None
    national: str | None = attrs.field(default=None, repr=False)
    line: LineType = LineType.UNKNOWN
    carrier: str | None = None
    reasons: tuple[str, ...] = ()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Balance:
    """What is left in an account; negative is owed."""

    amount: Price
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class SmsEvent:
    """News of a message, or one that came in.

    Attributes:
        id: what tells this news from any other.
        ref: the message at the vendor.
        status: how far it has come, `received` if it came in.
        vendor_status: the same in the vendor's word.
        at: when, if the vendor says.
        sender, text: of a message that came in.
        error_code: why it failed, in the vendor's words.
        raw: all that the vendor said.
    """

    id: str | None
    ref: Ref
    status: SmsStatus
    vendor_status: str | None = None
    at: datetime | None = None
    sender: str | None = attrs.field(default=None, repr=False)
    text: str | None = attrs.field(default=None, repr=False)
    error_code: str | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class SmsVendor(Protocol):
    """What a vendor of text messages does; the optional verbs are named by its capabilities."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt: ...

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt: ...

    async def cancel(self, wire: Wire, ref: Ref, /) -> SmsReceipt: ...

    async def validate_number(
        self, wire: Wire, number: str, /, *, country: str | None
    ) -> NumberCheck: ...

    async def check_balance(self, wire: Wire, /) -> Balance: ...


def is_gsm(text: str) -> bool:
    """Whether a text can be sent in the letters of GSM 03.38, of which more go into a part."""
    return all(letter in _BASIC or letter in _EXTENDED for letter in text)


def segments(text: str) -> int:
    """Of how many parts a text is made: 160 or 153 letters of GSM 03.38, else 70 or 67 of UCS-2."""
    if is_gsm(text):
        # What is extended takes two places, and both are in one part.
        return _parts([2 if letter in _EXTENDED else 1 for letter in text], 160, 153)
    return _parts([len(letter.encode("utf-16-le")) // 2 for letter in text], 70, 67)


def _parts(widths: list[int], alone: int, together: int) -> int:
    if sum(widths) <= alone:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > together:
            count, used = count + 1, 0
        used += width
    return count
