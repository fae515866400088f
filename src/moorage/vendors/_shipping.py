"""What vendors of shipping have in common: carriers' names, labels' files, changed addresses."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs

from moorage.contracts.shipping.tracking import TrackingEvent, TrackingStatus
from moorage.contracts.vendor import extra_for
from moorage.domain.http import Request
from moorage.domain.json_text import is_object
from moorage.domain.money import Money
from moorage.domain.redaction import Redaction
from moorage.domain.region import Region
from moorage.domain.service import Service
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import Customs, CustomsItem, Parcel
    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.wire import Wire
    from moorage.domain.http import Response

    Kind: TypeAlias = type[VendorRejected | VendorFailed | RateLimitExceeded | AuthenticationFailed]

R = TypeVar("R")

LABELS: Final = "labels"

_CARRIERS: Final = {
    "dhlexpress": "dhl_express",
    "fedexdefault": "fedex",
    "stampscom": "usps",
    "upsdap": "ups",
}
_SERVICES: Final = {
    "fedex_2day": "fedex_2_day",
    "ups_2nd_day_air": "ups_second_day_air",
    "ups_2nd_day_air_am": "ups_second_day_air_am",
    "usps_express": "usps_priority_express",
    "usps_express_mail_international": "usps_priority_mail_express_international",
    "usps_priority_mail": "usps_priority",
    "usps_priority_mail_express": "usps_priority_express",
}
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_MASKED: Final = Redaction()
_LONGEST: Final = 300
_MARKED: Final = 35
_MARK: Final = 32
_DAY: Final = timedelta(days=1)
_KINDS: Final[dict[int, Kind]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    408: VendorFailed,
    422: InvalidRequest,
    425: VendorFailed,
    429: RateLimitExceeded,
}
_COMPARED: Final = ("line1", "line2", "line3", "city", "region", "postal_code", "country")


def _word(text: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def carrier_word(text: str | None) -> str:
    """A carrier in the word that is the same for every vendor."""
    joined = re.sub(r"[^a-z0-9]+", "", (text or "").lower())
    return _CARRIERS.get(joined, joined if joined.isalpha() else _word(text or ""))


def service_word(carrier: str, text: str | None) -> str:
    """A carrier's service in the word that is the same for every vendor."""
    word = _word(text or "")
    word = word if word.startswith(f"{carrier}_") else f"{carrier}_{word}"
    return _SERVICES.get(word, word)


def texts(value: Iterable[str]) -> tuple[str, ...]:
    """Several texts, such as URLs."""
    return tuple(value)


def filled(body: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Those fields that have a value."""
    return {name: value for name, value in body if value is not None}


def as_number(value: Decimal) -> int | float:
    """A number for JSON that is written there exactly as it is.

    Raises:
        InvalidData: it has more digits than a number of JSON is read with.
    """
    if value == value.to_integral_value():
        return int(value)
    near = float(value)
    if Decimal(repr(near)) != value:
        raise InvalidData(
            f"{value} cannot be told as a number of JSON.",
            field="value",
            remedy="Give a number of fewer digits.",
        )
    return near


def kind_of(status: int) -> Kind:
    """What a status stands for where the body does not say more."""
    return VendorFailed if status >= 500 else _KINDS.get(status, VendorRejected)


def refusal(
    kind: Kind, vendor: str, response: Response, code: str | None, words: str | None
) -> ConnectorError:
    """What a vendor refused, in its own words but for secrets."""
    said = None if words is None else _MASKED.words(words, _LONGEST)
    fields: dict[str, Any] = {"by_vendor": True} if kind is RateLimitExceeded else {}
    return kind(
        f"{vendor} refused: {said or code or 'it does not say why'}",
        status=response.status,
        vendor_code=code,
        vendor_message=said,
        response=response,
        **fields,
    )


def in_order(events: Iterable[TrackingEvent]) -> tuple[TrackingEvent, ...]:
    """Events from the first to the last; those without a time come before."""
    return tuple(
        sorted(events, key=lambda one: (one.at is not None, (one.at and one.at.timestamp()) or 0))
    )


def arrival(events: Iterable[TrackingEvent]) -> datetime | None:
    """When a shipment arrived first, by events that may not all say when."""
    times = [one.at for one in events if one.status is TrackingStatus.DELIVERED and one.at]
    return min(times, default=None)


def label_service(name: str, hosts: Sequence[str]) -> Service:
    """Where labels' files are kept: it is told nothing of who we are."""
    regions = [Region(f"host-{number}", url) for number, url in enumerate(hosts, 1)]
    return Service(name, regions=regions)


async def fetched(wire: Wire, url: str) -> bytes | None:
    """A label's file; None if it cannot be had, for the label is bought all the same."""
    try:
        return (await wire.send(Request.get(url), to=LABELS)).body
    except ConnectorError:
        return None


def country_of(told: str | None, given: Address) -> str:
    """The country that was told; what is no code of one is not known better than it was given."""
    return told if told is not None and _COUNTRY.fullmatch(told) else given.country


def changed(given: Address, suggested: Address) -> tuple[str, ...]:
    """The names of the fields of an address in which two differ, but for case and spaces."""
    before, after = attrs.asdict(given), attrs.asdict(suggested)
    return tuple(name for name in _COMPARED if _same(before[name]) != _same(after[name]))


def _same(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()


def decoded(text: str | None) -> bytes | None:
    """What a text in Base64 holds; None if it is none."""
    try:
        return b64decode(text or "", validate=True) or None
    except ValueError:
        return None


def mark(wire: Wire, key: str) -> str:
    """A reference by which a carrier finds again what was bought with a key.

    It is a digest, so that nobody's own reference is ever taken for it.
    """
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()[:_MARK]


def extra_of(carrier: str, request: RateRequest, which: str) -> dict[str, Any]:
    """The options that are meant for one of a carrier's two bodies, "rates" or "shipment".

    Raises:
        InvalidData: they name neither.
    """
    options = extra_for(carrier, request.extra)
    for name, option in options.items():
        if name not in {"rates", "shipment"} or not is_object(option):
            raise InvalidData(
                f"The extra options for {carrier} do not say what they are for.",
                field=f"extra.{carrier}.{name}",
                remedy="Give a table 'rates', a table 'shipment', or both.",
            )
    chosen: dict[str, Any] = options.get(which, {})
    return chosen


def own_number(given: str | None, field: str) -> str | None:
    """A reference of ours that fits on a carrier's label.

    Raises:
        InvalidData: it is longer.
    """
    if given is not None and len(given) > _MARKED:
        raise InvalidData(
            "This reference does not fit on a label.",
            field=field,
            remedy=f"Give one of at most {_MARKED} characters.",
        )
    return given or None


def follows(carrier: str, asked: str) -> None:
    """Refuse to follow what another carrier carries.

    Raises:
        UnsupportedByVendor: it is not this carrier that was asked for.
    """
    if carrier_word(asked) != carrier:
        raise UnsupportedByVendor(f"{carrier} follows its own parcels only, not those of {asked}.")


def known(asked: RateRequest | None) -> RateRequest:
    """What an offer is for, at a carrier that keeps no offers.

    Raises:
        UnsupportedByVendor: only the reference of the offer is known.
    """
    if asked is None:
        raise UnsupportedByVendor(
            "This carrier keeps no offers.",
            remedy="Buy the rate that get_rates returned, and not its reference alone.",
        )
    return asked


def pieces(item: CustomsItem) -> Iterator[tuple[int, Money]]:
    """How many pieces are worth how much each: two lines where it does not come out even."""
    each, more = divmod(item.value.minor, item.quantity)
    for count, minor in ((item.quantity - more, each), (more, each + 1)):
        if count:
            yield count, Money.from_minor(minor, item.value.currency)


def declared(customs: Customs) -> Money:
    """What all goods of a declaration are worth.

    Raises:
        InvalidData: their worth is in several currencies.
    """
    first, *others = (item.value for item in customs.items)
    if any(one.currency != first.currency for one in others):
        raise InvalidData(
            "The goods of a declaration are worth something in several currencies.",
            field="customs.items",
            remedy="State all values in one currency.",
        )
    return sum(others, first)


async def on_its_day(
    wire: Wire,
    request: RateRequest,
    today: date,
    asked: Callable[[date], Request],
    *,
    key: str | None,
    parse: Callable[[Response], R],
) -> R:
    """Send what names its day; a key that was used the day before keeps that day."""
    try:
        return await wire.send(asked(request.ship_date or today), key=key, parse=parse)
    except IdempotencyConflict:
        if request.ship_date is not None:
            raise
        return await wire.send(asked(today - _DAY), key=key, parse=parse)


def sides(parcel: Parcel, number: int) -> tuple[Decimal, Decimal, Decimal]:
    """The sides of a parcel, at a carrier that must know them.

    Raises:
        InvalidData: they are not known.
    """
    if parcel.sides is None:
        raise InvalidData(
            "This carrier must know how large a parcel is.",
            field=f"parcels[{number}].length",
            remedy="Give length, width and height.",
        )
    return parcel.sides
