"""Helpers of shipping vendors: carrier names, label files, address checks and more."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.shipments import AddressResult, AddressVerdict
from moorage.contracts.shipping.tracking import Place, TrackingEvent, TrackingStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import CustomsItem, Parcel
    from moorage.contracts.shipping.rates import CarrierMessage, RateRequest

    Kind: TypeAlias = type[
        sdk.VendorRejected | sdk.VendorFailed | sdk.RateLimitExceeded | sdk.AuthenticationFailed
    ]

R = TypeVar("R")

LABELS: Final = "labels"

_CARRIERS: Final = {
    "dhlexpress": "dhl_express",
    "dhlparcel": "dhl_parcel",
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
_SERVICE_CODE: Final = re.compile(r"[A-Z0-9+]{1,10}")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_REDACTION: Final = sdk.Redaction()
_MAX_LENGTH: Final = 300
_MARKED: Final = 35
_MARK_LENGTH: Final = 32
_DAY: Final = timedelta(days=1)
_KINDS: Final[dict[int, Kind]] = {
    400: sdk.InvalidRequest,
    401: sdk.AuthenticationFailed,
    403: sdk.AuthenticationFailed,
    408: sdk.VendorFailed,
    422: sdk.InvalidRequest,
    425: sdk.VendorFailed,
    429: sdk.RateLimitExceeded,
}
_COMPARED: Final = ("line1", "line2", "line3", "city", "region", "postal_code", "country")


def _unit_word(text: str) -> str:
    separated_words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", separated_words.lower()).strip("_")


def carrier_word(text: str | None) -> str:
    """Return a carrier's name in the same spelling for all vendors."""
    compact_name = re.sub(r"[^a-z0-9]+", "", (text or "").lower())
    return _CARRIERS.get(
        compact_name, compact_name if compact_name.isalpha() else _unit_word(text or "")
    )


def by_carrier_word(names: str) -> dict[str, str]:
    """A vendor's names of carriers, separated by spaces in `names`, by moorage's names for them."""
    return {carrier_word(name): name for name in names.split()}


def service_word(carrier: str, text: str | None) -> str:
    """Return the name of a carrier's service in the same spelling for all vendors."""
    word = _unit_word(text or "")
    word = word if word.startswith(f"{carrier}_") else f"{carrier}_{word}"
    return _SERVICES.get(word, word)


def service_code(carrier: str, service: str) -> str:
    """Return the carrier's code for a service name of the contract, such as TPN24 for x_tpn24.

    Raises:
        InvalidData: the service has no such form.
    """
    code = service.removeprefix(f"{carrier}_").replace("_", "").upper()
    if _SERVICE_CODE.fullmatch(code) is None:
        raise sdk.InvalidData(
            f"The service is not a service code of {carrier}.",
            field="choose.services",
            remedy=f"Use a service code of your contract, such as '{carrier}_abc' for ABC.",
        )
    return code


def listed_texts(body: sdk.Answer, path: str) -> tuple[str, ...]:
    """The strings of a list in a response, without empty or unencodable ones."""
    entries = body.value(path)
    numbers = range(len(entries)) if sdk.is_list(entries) else ()
    return tuple(text for number in numbers if (text := body.text(f"{path}.{number}")))


def texts(value: Any) -> Any:
    """Return a text, or several, as a tuple; other values are unchanged and refused later."""
    if isinstance(value, str):
        return (value,)
    is_series = isinstance(value, (list, tuple, set, frozenset))
    return tuple(cast("Iterable[Any]", value)) if is_series else value


def filled(body: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The fields that have a value, without the empty ones."""
    return {name: value for name, value in body if value is not None}


def as_number(value: Decimal) -> int | float:
    """A JSON number with exactly this value.

    Raises:
        InvalidData: the number has more digits than a JSON number can have.
    """
    if value == value.to_integral_value():
        return int(value)
    nearest_float = float(value)
    if Decimal(repr(nearest_float)) != value:
        raise sdk.InvalidData(
            f"{value} cannot be written as a JSON number.",
            field="value",
            remedy="Pass a number with fewer digits.",
        )
    return nearest_float


def kind_of(status: int) -> Kind:
    """The type of error for a status, used if the body contains no error code."""
    return sdk.VendorFailed if status >= 500 else _KINDS.get(status, sdk.VendorRejected)


def refusal(
    kind: Kind, vendor: str, response: sdk.Response, code: str | None, words: str | None
) -> sdk.ConnectorError:
    """Return the error for an error response, with the vendor's text but without secrets."""
    message = None if words is None else _REDACTION.words(words, _MAX_LENGTH)
    fields: dict[str, Any] = {"by_vendor": True} if kind is sdk.RateLimitExceeded else {}
    return kind(
        f"{vendor} refused: {message or code or 'no reason is given'}",
        status=response.status,
        vendor_code=code,
        vendor_message=message,
        response=response,
        **fields,
    )


def error_object(response: sdk.Response) -> sdk.Answer:
    """The JSON object of an error response, or the first object in its list; otherwise empty."""
    try:
        return sdk.error_answer(response) or next(iter(sdk.read_answers(response)), sdk.Answer({}))
    except sdk.VendorFailed:
        return sdk.Answer({})


def state_refusal(error: sdk.VendorRejected) -> sdk.VendorRejected:
    """The error for a step that the current state of an object does not allow.

    All vendors raise this error. Some vendors respond to a step that is too late, or that names an
    unknown object, with the status of a malformed request.
    """
    if type(error) is not sdk.InvalidRequest:
        return error
    rejection = sdk.VendorRejected(error.message)
    vars(rejection).update(vars(error))
    return rejection


def in_order(events: Iterable[TrackingEvent]) -> tuple[TrackingEvent, ...]:
    """The events ordered by time; those without a time come first.

    Events of the same time are in the order of all events, which some vendors send newest first.
    """
    given_events = list(events)
    times = [event.at for event in given_events if event.at is not None]
    if times and times[0] > times[-1]:
        given_events.reverse()
    return tuple(
        sorted(
            given_events,
            key=lambda event: (event.at is not None, (event.at and event.at.timestamp()) or 0),
        )
    )


def arrival(events: Iterable[TrackingEvent]) -> datetime | None:
    """The time of arrival: the time of the first delivery event that states one."""
    times = [event.at for event in events if event.status is TrackingStatus.DELIVERED and event.at]
    return min(times, default=None)


def label_service(name: str, hosts: Sequence[str]) -> sdk.Service:
    """The service for downloads of label files; it gets no credentials."""
    regions = [sdk.Region(f"host-{number}", url) for number, url in enumerate(hosts, 1)]
    return sdk.Service(name, regions=regions)


async def fetched_label(wire: sdk.Wire, url: str) -> bytes | None:
    """Download a label file; None if that fails, because the label is bought anyway."""
    try:
        return (await wire.send(sdk.Request.get(url), to=LABELS)).body
    except sdk.ConnectorError:
        return None


def country_of(country: str | None, address: Address) -> str:
    """The country code in a response, or the given code if there is none."""
    return country if country is not None and _COUNTRY.fullmatch(country) else address.country


def changed_fields(address: Address, suggested: Address) -> tuple[str, ...]:
    """The names of fields in which two addresses differ, ignoring case and spaces."""
    address_fields, suggested_fields = attrs.asdict(address), attrs.asdict(suggested)
    return tuple(
        name
        for name in _COMPARED
        if _unchanged_text(address_fields[name]) != _unchanged_text(suggested_fields[name])
    )


def _unchanged_text(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()


def decoded_base64(text: str | None) -> bytes | None:
    """Decode base64; None if it is invalid."""
    try:
        return b64decode(text or "", validate=True) or None
    except ValueError:
        return None


def search_mark(wire: sdk.Wire, key: str) -> str:
    """The search mark of a purchase: a reference by which the carrier can find the purchase again.

    The mark is a digest of the key, so that it never equals the caller's own reference.
    """
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()[:_MARK_LENGTH]


def extra_of(carrier: str, request: RateRequest, section: str) -> dict[str, Any]:
    """The extra options for one of the carrier's requests: "rates", "shipment" or "duties".

    Raises:
        InvalidData: the options name another request.
    """
    options = sdk.extra_for(carrier, request.extra)
    for name, option in options.items():
        if name not in {"rates", "shipment", "duties"} or not sdk.is_object(option):
            raise sdk.InvalidData(
                f"The extra options for {carrier} must be in tables named 'rates',"
                " 'shipment' or 'duties', after the request that sends them.",
                field=f"extra.{carrier}.{name}",
                remedy="Put the options into tables named 'rates', 'shipment' or 'duties'.",
            )
    section_options: dict[str, Any] = options.get(section, {})
    return section_options


def reference_on_label(number: str | None, field: str) -> str | None:
    """The caller's reference, after checking that it fits on a carrier's label.

    Raises:
        InvalidData: the reference is too long.
    """
    if number is not None and len(number) > _MARKED:
        raise sdk.InvalidData(
            "The reference is too long for a label.",
            field=field,
            remedy=f"Pass a reference of at most {_MARKED} characters.",
        )
    return number or None


def check_carrier(carrier: str, requested_carrier: str) -> None:
    """Refuse to track another carrier's parcel.

    Raises:
        UnsupportedByVendor: the parcel is of another carrier.
    """
    if carrier_word(requested_carrier) != carrier:
        raise sdk.UnsupportedByVendor(
            f"{carrier} tracks only its own parcels, not those of {requested_carrier}."
        )


def required_request(request: RateRequest | None) -> RateRequest:
    """The shipment that a rate is for; a carrier that does not store its rates needs it.

    Raises:
        UnsupportedByVendor: only the reference of the rate is known.
    """
    if request is None:
        raise sdk.UnsupportedByVendor(
            "The carrier does not store rates, so it cannot find a rate by its reference.",
            remedy="Pass the rate that get_rates returned, instead of its reference.",
        )
    return request


def order_lines_per_parcel(item: CustomsItem) -> Iterator[tuple[int, sdk.Money]]:
    """Split a customs line by value per piece; two lines if the value is not divisible evenly."""
    unit_price, remainder = divmod(item.value.minor, item.quantity)
    for count, minor in ((item.quantity - remainder, unit_price), (remainder, unit_price + 1)):
        if count:
            yield count, sdk.Money.from_minor(minor, item.value.currency)


async def send_dated_request(
    wire: sdk.Wire,
    request: RateRequest,
    today: date,
    request_for: Callable[[date], sdk.Request],
    *,
    key: str | None,
    parse: Callable[[sdk.Response], R],
) -> R:
    """Send a request that contains today's date; a repeat on a later day keeps the first date."""
    try:
        return await wire.send(request_for(request.ship_date or today), key=key, parse=parse)
    except sdk.IdempotencyConflict:
        if request.ship_date is not None:
            raise
        return await wire.send(request_for(today - _DAY), key=key, parse=parse)


def required_dimensions(parcel: Parcel, number: int) -> tuple[Decimal, Decimal, Decimal]:
    """The dimensions of a parcel, after checking that they are given, as the carrier requires.

    Raises:
        InvalidData: the parcel has no dimensions.
    """
    if parcel.sides is None:
        raise sdk.InvalidData(
            "The carrier requires the dimensions of each parcel.",
            field=f"parcels[{number}].length",
            remedy="Set length, width and height of each parcel.",
        )
    return parcel.sides


def place_at(
    body: sdk.Answer, city: str, region: str, postal_code: str, *countries: str
) -> Place | None:
    """The place of a tracking event as text; None if the event has no place.

    Args:
        body: the vendor's place.
        city: the name of the city's field.
        region: the name of the region's field.
        postal_code: the name of the postal code's field.
        countries: the names of the fields that may hold the country, the preferred one first.
    """
    place = Place(
        city=body.text(city),
        region=body.text(region),
        postal_code=body.text(postal_code),
        country=next((text for name in countries if (text := body.text(name))), None),
    )
    return None if place == Place() else place


def address_result(
    address: Address,
    suggested: Address,
    *,
    valid: bool | None,
    compared: Address | None = None,
    messages: tuple[CarrierMessage, ...],
    raw: Mapping[str, Any],
) -> AddressResult:
    """The result of an address check.

    Args:
        address: the address that was checked.
        suggested: the vendor's spelling of the address.
        valid: the vendor's verdict; None if it has none.
        compared: the address as the vendor returns it without a change, if it differs.
        messages: the vendor's remarks.
        raw: the vendor's response.
    """
    changes = changed_fields(compared or address, suggested) if valid else ()
    verdict = AddressVerdict.CORRECTED if changes else AddressVerdict.VALID
    if not valid:
        verdict = AddressVerdict.UNKNOWN if valid is None else AddressVerdict.INVALID
    return AddressResult(
        verdict=verdict,
        given=address,
        suggested=suggested if valid else None,
        changes=changes,
        messages=messages,
        residential=suggested.residential,
        raw=raw,
    )
