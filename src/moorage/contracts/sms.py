"""Text messages: values, statuses, and the operations of SMS vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import are_all, as_tuple, is_a, is_maybe, is_moment
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.sms_opt_outs import OptOut, OptOutPage
    from moorage.contracts.sms_templates import TemplateMessage
    from moorage.contracts.verification import Verification, VerificationRequest
    from moorage.contracts.wire import Wire
    from moorage.domain.secrets.secret import Secret

KIND: Final = "sms"

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED_CHARACTERS: Final = frozenset("\f^{}\\[~]|€")


class SmsCapability(StrEnum):
    """An optional feature of an SMS vendor."""

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
    VERIFICATION = "verification"
    VERIFICATION_CALL = "verification_call"
    OPT_OUTS = "opt_outs"
    TEMPLATES = "templates"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    SMS_FALLBACK = "sms_fallback"


class SmsStatus(StrEnum):
    """The progress of a message."""

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
        """True if the status will not change, except that a delivered message may still be read."""
        return self not in {self.SCHEDULED, self.QUEUED, self.SENT, self.UNKNOWN}

    def then(self, update: SmsStatus) -> SmsStatus:
        """The status after an event that may be late; a final status can only change to read."""
        return update if _PROGRESS_OF_STATUS[update] > _PROGRESS_OF_STATUS[self] else self


_PROGRESS_OF_STATUS: Final = {
    **dict.fromkeys(SmsStatus, 4),
    SmsStatus.UNKNOWN: 0,
    SmsStatus.SCHEDULED: 1,
    SmsStatus.QUEUED: 2,
    SmsStatus.SENT: 3,
    SmsStatus.READ: 5,
}


_NEEDED_CAPABILITIES: Final = {
    "sender_pool": SmsCapability.SENDER_POOL,
    "media": SmsCapability.MEDIA,
    "callback_url": SmsCapability.CALLBACK,
    "send_at": SmsCapability.SCHEDULED,
    "validity": SmsCapability.VALIDITY,
}
"""The capability that each optional field of a message needs."""


class LineType(StrEnum):
    """The type of line that a number belongs to."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    VOIP = "voip"
    OTHER = "other"
    UNKNOWN = "unknown"


def check_number(value: object, field: str) -> str:
    """Return `value` if it is a telephone number in E.164 form, otherwise raise an error."""
    if isinstance(value, str) and _E164.fullmatch(value):
        return value
    raise InvalidData(
        f"The {field} must be a phone number in international form.",
        field=field,
        remedy="Give '+', the country code and the number, with digits only, such as"
        " +4915112345678.",
    )


def _is_number(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_number(value, attribute.name)


@frozen(kw_only=True)
class SmsMessage:
    """A text message to one recipient.

    Attributes:
        to: number in E.164 form.
        text: text of the message.
        sender: number or name of the sender; by default the account's own.
        sender_pool: the vendor's name of a pool of senders, given instead of a sender.
        media: URLs of pictures and other media.
        send_at: earliest time of sending.
        validity: seconds for which the vendor may try to deliver.
        callback_url: URL that the vendor reports the status to.
        reference: text of your own that the vendor stores with the message, if it can.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    to: str = field(validator=_is_number, repr=False)
    text: str = field(repr=False, validator=is_a(str))
    sender: str | None = field(default=None, validator=is_maybe(str))
    sender_pool: str | None = field(default=None, validator=is_maybe(str))
    media: tuple[str, ...] = field(
        default=(), converter=as_tuple, repr=False, validator=are_all(str)
    )
    send_at: datetime | None = field(default=None, validator=is_moment)
    validity: timedelta | None = field(default=None, validator=is_maybe(timedelta))
    callback_url: str | None = field(default=None, repr=False, validator=is_maybe(str))
    reference: str | None = field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a message without content, and conflicting times."""
        if not (self.text or self.media):
            raise InvalidData(
                "The message must have a text or media.",
                field="text",
                remedy="Set `text` or `media`.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this message."""
        return frozenset(
            [
                capability
                for field, capability in _NEEDED_CAPABILITIES.items()
                if getattr(self, field)
            ]
        )


@frozen
class Price:
    """An exact price, which may be finer than the smallest coin of its currency.

    It is not a `Money`, which refuses such an amount.

    Attributes:
        amount: price in major units.
        currency: ISO 4217 code of three letters.
    """

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@frozen(kw_only=True)
class SmsReceipt:
    """The receipt of a message: the vendor's response about the message.

    Attributes:
        ref: reference of the message at the vendor.
        status: progress of the message; `failed` even if some of its parts were accepted.
        vendor_status: the vendor's own word for the status.
        parts: the vendor's ids of the accepted parts, where it identifies them. An event of any
            part is an event of the message.
        segments: number of parts that the text is split into.
        price: price of the message, if the vendor states it.
        error_code, error_message: the vendor's reason for a failure.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    status: SmsStatus
    vendor_status: str | None = None
    parts: tuple[str, ...] = field(default=(), eq=False)
    segments: int | None = None
    price: Price | None = None
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=False)
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class NumberCheck:
    """The vendor's information about a number; a value that the vendor does not state is None.

    Attributes:
        number: number in E.164 form, if it is valid.
        valid: True if the number can exist.
        country: ISO 3166 country code of two letters.
        national: number as it is written in its country.
        line: type of line.
        carrier: telephone company.
        reasons: the vendor's reasons why the number is invalid.
        raw: the vendor's complete response.
    """

    number: str | None = field(repr=False)
    valid: bool
    country: str | None = None
    national: str | None = field(default=None, repr=False)
    line: LineType = LineType.UNKNOWN
    carrier: str | None = None
    reasons: tuple[str, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Balance:
    """The balance of an account; a negative amount is debt."""

    amount: Price
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class SmsEvent:
    """A status report of a sent message, or a received message.

    Attributes:
        id: unique id of the event.
        ref: reference of the message at the vendor.
        status: progress of the message; `received` for an incoming message.
        vendor_status: the vendor's own word for the status.
        at: time of the event, if the vendor states it.
        sender, to, text: sender, recipient and text of a received message; the recipient is your
            number.
        media: URLs of pictures and other files of a received message. Most vendors require the
            credentials of the account for downloading them.
        error_code: the vendor's code of a failure.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    status: SmsStatus
    vendor_status: str | None = None
    at: datetime | None = None
    sender: str | None = field(default=None, repr=False)
    to: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    media: tuple[str, ...] = field(default=(), repr=False)
    error_code: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


class SmsVendor(Protocol):
    """The operations of an SMS vendor; its `capabilities` list the optional ones."""

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt: ...

    async def send_template(
        self, wire: Wire, message: TemplateMessage, /, *, key: str | None
    ) -> SmsReceipt: ...

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt: ...

    async def cancel(self, wire: Wire, ref: Ref, /) -> SmsReceipt: ...

    async def validate_number(
        self, wire: Wire, number: str, /, *, country: str | None
    ) -> NumberCheck: ...

    async def check_balance(self, wire: Wire, /) -> Balance: ...

    async def opt_outs(self, wire: Wire, after: Ref | None, /) -> OptOutPage: ...

    async def find_opt_outs(self, wire: Wire, number: str, /) -> tuple[OptOut, ...]: ...

    async def remove_opt_out(self, wire: Wire, number: str, /) -> None: ...

    async def start_verification(
        self, wire: Wire, request: VerificationRequest, /, *, key: str | None
    ) -> Verification: ...

    async def check_verification(
        self, wire: Wire, ref: Ref, code: Secret, /, *, to: str
    ) -> Verification: ...


def is_gsm(text: str) -> bool:
    """True if all characters are in the GSM 03.38 alphabet, in which message parts are longer."""
    return all(letter in _BASIC or letter in _EXTENDED_CHARACTERS for letter in text)


def segments(text: str) -> int:
    """The number of parts into which a text is split, by its alphabet and length."""
    if is_gsm(text):
        # A character of the extension table takes two places, which must be in the same part.
        return _parts([2 if letter in _EXTENDED_CHARACTERS else 1 for letter in text], 160, 153)
    return _parts([len(letter.encode("utf-16-le")) // 2 for letter in text], 70, 67)


def _parts(widths: list[int], single_limit: int, joined_limit: int) -> int:
    if sum(widths) <= single_limit:
        return 1
    count, used_units = 1, 0
    for width in widths:
        if used_units + width > joined_limit:
            count, used_units = count + 1, 0
        used_units += width
    return count
