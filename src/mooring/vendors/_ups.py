"""What UPS is told, and what it says: no more than words, with nothing sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from mooring.contracts.shipping.parcels import Contents
from mooring.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    LabelSize,
    Rate,
    RateResult,
    Signature,
)
from mooring.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from mooring.contracts.shipping.tracking import Place, Tracking, TrackingEvent, TrackingStatus
from mooring.contracts.shipping.units import LengthUnit, WeightUnit, converted, plain
from mooring.contracts.vendor import merged
from mooring.domain.classify import is_success
from mooring.errors import InvalidData, UnsupportedByVendor
from mooring.vendors._reading import Answer, answer, as_money, as_time, malformed, read
from mooring.vendors._shipping import (
    changed,
    country_of,
    declared,
    decoded,
    extra_of,
    filled,
    in_order,
    kind_of,
    own_number,
    pieces,
    refusal,
    service_word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from mooring.contracts.address import Address
    from mooring.contracts.ref import Ref
    from mooring.contracts.shipping.parcels import Customs, CustomsItem, Parcel
    from mooring.contracts.shipping.rates import RateRequest
    from mooring.contracts.wire import Wire
    from mooring.domain.http import Request, Response
    from mooring.domain.money import Money
    from mooring.errors import ConnectorError, VendorRejected

CARRIER: Final = "ups"
NO_OFFER: Final = frozenset({"111210", "111217"})
"""The codes by which UPS says that it has no service for a shipment."""
_THERE: Final = ""
"""What stands in a tag that says something by being there."""
_OWN_BOX: Final = "02"
_LINE: Final = 35
_TRUE: Final = "The information on this invoice is true and correct."
_REASONS: Final = {
    Contents.MERCHANDISE: "SALE",
    Contents.GIFT: "GIFT",
    Contents.SAMPLE: "SAMPLE",
    Contents.RETURNED: "RETURN",
}
_TOTALLED: Final = frozenset({("US", "CA"), ("US", "PR")})
_SERVICES: Final = {
    "01": "Next Day Air",
    "02": "2nd Day Air",
    "03": "Ground",
    "07": "Worldwide Express",
    "08": "Worldwide Expedited",
    "11": "Standard",
    "12": "3 Day Select",
    "13": "Next Day Air Saver",
    "14": "Next Day Air Early",
    "17": "Worldwide Economy DDU",
    "54": "Worldwide Express Plus",
    "59": "2nd Day Air AM",
    "65": "Worldwide Saver",
    "72": "Worldwide Economy DDP",
}
_FORMATS: Final = {
    LabelFormat.PDF: "PDF",
    LabelFormat.ZPL: "ZPL",
    LabelFormat.EPL: "EPL",
}
_WRITTEN: Final = {code: known for known, code in _FORMATS.items()}
_PICTURE: Final = "GIF"
"""What labels are sold in that are to be in PDF: UPS writes that only when it recovers them."""
_INCHES: Final = frozenset({"US", "PR", "VI"})
"""Where parcels are measured in pounds and inches."""
_AT_HOME: Final = frozenset({("US", "US"), ("PR", "PR")})
"""From where to where references and signatures are those of each package."""
CHECKED: Final = frozenset({"US", "PR"})
"""Where addresses are checked."""
_STATUSES: Final = {
    "M": TrackingStatus.PRE_TRANSIT,
    "MV": TrackingStatus.CANCELED,
    "P": TrackingStatus.IN_TRANSIT,
    "I": TrackingStatus.IN_TRANSIT,
    "DO": TrackingStatus.IN_TRANSIT,
    "W": TrackingStatus.IN_TRANSIT,
    "O": TrackingStatus.OUT_FOR_DELIVERY,
    "X": TrackingStatus.ON_HOLD,
    "D": TrackingStatus.DELIVERED,
    "DD": TrackingStatus.DELIVERED,
    "RS": TrackingStatus.RETURNED,
}
_VOIDED: Final = "1"
_ADDRESS: Final = {
    "city": "City",
    "region": "StateProvinceCode",
    "postal_code": "PostalCode",
    "country": "CountryCode",
}


# --- what UPS is told --------------------------------------------------------


def _lines(address: Address) -> list[str]:
    return [line for line in (address.line1, address.line2, address.line3) if line]


def _address(address: Address) -> dict[str, Any]:
    known = attrs.asdict(address)
    told = filled((theirs, known[ours] or None) for ours, theirs in _ADDRESS.items())
    return {"AddressLine": _lines(address), **told}


def _party(address: Address) -> dict[str, Any]:
    """Who is somewhere, and where that is."""
    told = {
        "Name": address.company or address.name,
        "AttentionName": address.name or address.company,
        "Address": _address(address),
    }
    return filled(told.items())


def _reachable(address: Address) -> dict[str, Any]:
    """The same, and how to reach who is there."""
    digits = re.sub(r"\D", "", address.phone or "")
    return {**_party(address), "Phone": {"Number": digits}} if digits else _party(address)


def _parties(
    request: RateRequest, account: str, party: Callable[[Address], dict[str, Any]]
) -> dict[str, Any]:
    """Whose account it is and where it is returned to; where it goes; where it comes from."""
    goal = party(request.recipient)
    if request.recipient.residential:
        goal["Address"]["ResidentialAddressIndicator"] = _THERE
    told = {
        "Shipper": {**party(request.return_to or request.sender), "ShipperNumber": account},
        "ShipTo": goal,
        "ShipFrom": request.return_to and party(request.sender),
    }
    return filled(told.items())


def _measured(parcel: Parcel, country: str) -> dict[str, Any]:
    """A parcel in the units of where it comes from, its longest side first.

    Sides are told in whole units, and nothing is told smaller than it is.
    """
    british = country in _INCHES
    weight, length = (
        (WeightUnit.POUND, LengthUnit.INCH)
        if british
        else (WeightUnit.KILOGRAM, LengthUnit.CENTIMETRE)
    )
    told: dict[str, Any] = {
        "PackageWeight": {
            "UnitOfMeasurement": _unit("LBS" if british else "KGS"),
            "Weight": plain(converted(parcel.weight, parcel.weight_unit, weight, places=1)),
        }
    }
    if parcel.sides is not None:
        sides = sorted(
            (converted(one, parcel.length_unit, length, places=0) for one in parcel.sides),
            reverse=True,
        )
        told["Dimensions"] = {
            "UnitOfMeasurement": _unit("IN" if british else "CM"),
            **dict(zip(("Length", "Width", "Height"), map(plain, sides), strict=True)),
        }
    return told


def _unit(code: str) -> dict[str, str]:
    return {"Code": code, "Description": code}


def _at_home(request: RateRequest) -> bool:
    return (request.sender.country, request.recipient.country) in _AT_HOME


def _packages(request: RateRequest) -> list[dict[str, Any]]:
    """The parcels, each with its share of what all of them are worth."""
    count = len(request.parcels)
    worth = request.insurance
    shares: Iterable[Money | None] = (
        [None] * count if worth is None else worth.allocate([1] * count)
    )
    signed = request.signature if _at_home(request) else None
    kinds = {Signature.ANYBODY: "2", Signature.ADULT: "3"}
    packages: list[dict[str, Any]] = []
    for parcel, share in zip(request.parcels, shares, strict=True):
        options = {
            "DeliveryConfirmation": signed and {"DCISType": kinds[signed]},
            "DeclaredValue": share
            and {"CurrencyCode": share.currency, "MonetaryValue": str(share.amount)},
        }
        package = {
            **_measured(parcel, request.sender.country),
            "PackageServiceOptions": filled(options.items()) or None,
        }
        packages.append(filled(package.items()))
    return packages


def _forms(request: RateRequest, customs: Customs, day: date) -> dict[str, Any]:
    """The invoice that UPS prints for customs.

    Raises:
        InvalidData: it has no number, or no currency of its own.
    """
    number = own_number(customs.invoice_number or request.reference, "customs.invoice_number")
    if number is None:
        raise InvalidData(
            "UPS prints no invoice without a number.",
            field="customs.invoice_number",
            remedy="Give the number of the invoice, or a reference.",
        )
    reason = customs.explanation or customs.contents.value
    form = {
        "FormType": ["01"],
        "InvoiceNumber": number,
        "InvoiceDate": f"{day:%Y%m%d}",
        "ReasonForExport": _REASONS.get(customs.contents, reason[:20]),
        "TermsOfShipment": customs.incoterm,
        "CurrencyCode": declared(customs).currency,
        "DeclarationStatement": f"{_TRUE} {customs.signer}"[:550],
        "Contacts": {"SoldTo": _reachable(request.recipient)},
        "Product": [
            _product(item, count, each) for item in customs.items for count, each in pieces(item)
        ],
    }
    return filled(form.items())


def _product(item: CustomsItem, count: int, each: Money) -> dict[str, Any]:
    words = item.description[: 3 * _LINE]
    product = {
        "Description": [words[at : at + _LINE] for at in range(0, len(words), _LINE)],
        "Unit": {
            "Number": str(count),
            "UnitOfMeasurement": {"Code": "PCS"},
            "Value": str(each.amount),
        },
        "CommodityCode": item.hs_code and re.sub(r"[^A-Za-z0-9]", "", item.hs_code),
        "PartNumber": item.sku,
        "OriginCountryCode": item.origin,
    }
    return filled(product.items())


def _options(request: RateRequest) -> dict[str, Any] | None:
    kinds = {Signature.ANYBODY: "1", Signature.ADULT: "2"}
    abroad = request.signature if not _at_home(request) else None
    options = {
        "SaturdayDeliveryIndicator": _THERE if request.saturday else None,
        "DeliveryConfirmation": abroad and {"DCISType": kinds[abroad]},
    }
    return filled(options.items()) or None


def _check_label(request: RateRequest) -> None:
    if request.label not in _FORMATS:
        raise UnsupportedByVendor(f"UPS writes no labels in {request.label}.")
    if request.label_size not in {None, LabelSize.INCHES_4X6}:
        raise UnsupportedByVendor(f"UPS prints no labels of the size {request.label_size}.")


def rates_body(request: RateRequest, account: str) -> dict[str, Any]:
    """What asks for offers."""
    _check_label(request)
    packages = [{"PackagingType": {"Code": _OWN_BOX}, **package} for package in _packages(request)]
    shipment = {
        **_parties(request, account, _party),
        "PaymentDetails": {
            "ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]
        },
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": _THERE},
        "ShipmentServiceOptions": _options(request),
        "NumOfPieces": str(len(packages)),
        "Package": packages,
    }
    body = {"Request": {"RequestOption": "Shop"}, "Shipment": filled(shipment.items())}
    return {"RateRequest": merged(body, extra_of(CARRIER, request, "rates"))}


def shipment_body(
    request: RateRequest, offer: Ref, *, account: str, goods: str, marked: str, day: date
) -> dict[str, Any]:
    """What buys a shipment; customs are told the day."""
    _check_label(request)
    home = _at_home(request)
    references = [
        {"Value": value}
        for value in (own_number(request.reference, "reference"), marked)
        if value is not None
    ]
    customs, options = request.customs, _options(request)
    if customs is not None:
        goods = ", ".join(item.description for item in customs.items)
        options = {**(options or {}), "InternationalForms": _forms(request, customs, day)}
    packages: list[dict[str, Any]] = []
    for package in _packages(request):
        told = {"Description": goods[:_LINE], "Packaging": {"Code": _OWN_BOX}, **package}
        packages.append({**told, "ReferenceNumber": references} if home else told)
    shipment = {
        "Description": goods[:50],
        **_parties(request, account, _reachable),
        "PaymentInformation": {
            "ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]
        },
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": _THERE},
        "ReferenceNumber": None if home else references,
        "Service": {"Code": offer.id},
        "InvoiceLineTotal": customs and _total(request, customs),
        "ShipmentServiceOptions": options,
        "Package": packages,
    }
    code = _FORMATS[request.label]
    label = {
        "LabelImageFormat": {"Code": _PICTURE if code == "PDF" else code},
        "LabelStockSize": {"Height": "6", "Width": "4"},
    }
    body = {
        "Request": {"RequestOption": "nonvalidate"},
        "Shipment": filled(shipment.items()),
        "LabelSpecification": label,
    }
    return {"ShipmentRequest": merged(body, extra_of(CARRIER, request, "shipment"))}


def _total(request: RateRequest, customs: Customs) -> dict[str, str] | None:
    """What all goods are worth, where UPS wants that besides its invoice."""
    if (request.sender.country, request.recipient.country) not in _TOTALLED:
        return None
    worth = declared(customs)
    return {"CurrencyCode": worth.currency, "MonetaryValue": str(worth.amount)}


def recovery_body(label: LabelFormat, which: dict[str, Any]) -> dict[str, Any]:
    """What asks for labels that were sold."""
    code = _FORMATS.get(label)
    if code is None:
        raise UnsupportedByVendor(f"UPS writes no labels in {label}.")
    size = {"LabelStockSize": {"Height": "6", "Width": "4"}} if code != "PDF" else {}
    specification = {"LabelImageFormat": {"Code": code}, **size}
    body = {"Request": {}, "LabelSpecification": specification, **which}
    return {"LabelRecoveryRequest": body}


def by_mark(marked: str, account: str) -> dict[str, Any]:
    """The shipment that was marked so."""
    return {"ReferenceValues": {"ReferenceNumber": {"Value": marked}, "ShipperNumber": account}}


def address_body(address: Address) -> dict[str, Any]:
    """What asks whether there is such an address."""
    told = {
        "AddressLine": _lines(address),
        "PoliticalDivision2": address.city,
        "PoliticalDivision1": address.region,
        "PostcodePrimaryLow": address.postal_code and address.postal_code[:5],
        "CountryCode": address.country,
    }
    return {"XAVRequest": {"AddressKeyFormat": filled(told.items())}}


# --- what UPS says -----------------------------------------------------------


def read_rates(wire: Wire, response: Response) -> RateResult:
    """The offers, and what was said besides."""
    body = answer(response)
    if "RatedShipment" not in body.object("RateResponse").raw:
        raise malformed(response, "RatedShipment")
    messages = list(_alerts(body.object("RateResponse.Response"), "Alert"))
    rates: list[Rate] = []
    for one in body.objects("RateResponse.RatedShipment"):
        code = one.text("Service.Code")
        listed = _money(one, "TotalCharges")
        total = _money(one, "NegotiatedRateCharges.TotalCharge") or listed
        if code is None or total is None:
            messages.append(_said("An offer could not be read."))
            continue
        name = _SERVICES.get(code)
        service = service_word(CARRIER, name or code)
        rates.append(
            Rate(
                ref=wire.ref(
                    code, service=service, price=str(total.amount), currency=total.currency
                ),
                carrier=CARRIER,
                service=service,
                total=total,
                vendor_carrier="UPS",
                vendor_service=code,
                service_name=name and f"UPS {name}",
                list_price=listed,
                delivery_days=one.integer("GuaranteedDelivery.BusinessDaysInTransit"),
                guaranteed=True if one.object("GuaranteedDelivery") else None,
                raw=one.raw,
            )
        )
    if not rates and not messages:
        messages.append(_said("UPS has no service for this shipment."))
    return RateResult(rates=tuple(rates), messages=tuple(messages), raw=body.raw)


def _money(body: Answer, path: str) -> Money | None:
    return as_money(body.value(f"{path}.MonetaryValue"), body.value(f"{path}.CurrencyCode"))


def _said(text: str | None, code: str | None = None) -> CarrierMessage:
    return CarrierMessage(carrier=CARRIER, code=code, text=text)


def _alerts(body: Answer, path: str) -> Iterable[CarrierMessage]:
    return (_said(one.text("Description"), one.text("Code")) for one in body.objects(path))


def no_rates(error: VendorRejected) -> RateResult:
    """What UPS says where it has no service."""
    return RateResult(rates=(), messages=(_said(error.vendor_message, error.vendor_code),))


def read_shipment(wire: Wire, response: Response, offer: Ref) -> Shipment:
    """What was bought, with its labels as they were sold."""
    body = answer(response)
    told = body.object("ShipmentResponse.ShipmentResults")
    number = told.text("ShipmentIdentificationNumber")
    if number is None:
        raise malformed(response, "ShipmentIdentificationNumber")
    labels = read_labels(told, "PackageResults", "ShippingLabel", "ImageFormat")
    cost = _money(told, "NegotiatedRateCharges.TotalCharge")
    return sold(
        wire,
        number,
        labels,
        offer=offer,
        cost=cost or _money(told, "ShipmentCharges.TotalCharges"),
        warnings=tuple(_alerts(body.object("ShipmentResponse.Response"), "Alert")),
        raw=body.raw,
    )


def read_labels(body: Answer, path: str, image: str, format: str) -> tuple[Label, ...]:  # noqa: A002 - the vendor's word
    """The labels of an answer, one for each package."""
    labels: list[Label] = []
    for one in body.objects(path):
        written = one.text(f"{image}.{format}.Code")
        labels.append(
            Label(
                format=_WRITTEN.get((written or "").upper(), LabelFormat.UNKNOWN),
                content=decoded(one.text(f"{image}.GraphicImage")),
                vendor_format=written,
                tracking_number=one.text("TrackingNumber"),
            )
        )
    return tuple(labels)


def recovered(response: Response) -> tuple[str | None, tuple[Label, ...]]:
    """The shipment whose labels were recovered, and the labels."""
    body = answer(response).object("LabelRecoveryResponse")
    labels = read_labels(body, "LabelResults", "LabelImage", "LabelImageFormat")
    numbers = [label.tracking_number for label in labels if label.tracking_number]
    lead = body.text("ShipmentIdentificationNumber") or next(iter(numbers), None)
    return lead, labels


def sold(
    wire: Wire,
    number: str,
    labels: tuple[Label, ...],
    *,
    offer: Ref | None = None,
    cost: Money | None = None,
    **known: Any,
) -> Shipment:
    """A shipment that was bought."""
    numbers = tuple(label.tracking_number for label in labels if label.tracking_number)
    written = labels[0].format if labels else LabelFormat.UNKNOWN
    service = None if offer is None else offer.other("service")
    if cost is None and offer is not None:
        cost = as_money(offer.other("price"), offer.other("currency"))
    return Shipment(
        ref=wire.ref(number, label=None if written is LabelFormat.UNKNOWN else written.value),
        state=known.pop("state", ShipmentState.BOUGHT),
        tracking_numbers=numbers or (number,),
        tracking_url=f"https://www.ups.com/track?tracknum={number}",
        carrier=CARRIER,
        service=service,
        cost=cost,
        labels=labels,
        **known,
    )


def read_cancel(ref: Ref, response: Response) -> CancelResult:
    """What became of calling a shipment back."""
    body = answer(response)
    status = body.object("VoidShipmentResponse.SummaryResult.Status")
    code = status.text("Code")
    return CancelResult(
        ref=ref,
        state=CancelState.APPROVED if code == _VOIDED else CancelState.UNKNOWN,
        vendor_status=status.text("Description") or code,
        raw=body.raw,
    )


def read_track(response: Response, number: str) -> Tracking:
    """Where a parcel is."""
    body = answer(response)
    packages = list(body.object("trackResponse.shipment.0").objects("package"))
    own = [one for one in packages if one.text("trackingNumber") == number]
    package = next(iter(own or packages), read(None))
    # The newest comes first, and may share its second with the one before it.
    newest = [_event(one) for one in package.objects("activity")]
    events = in_order(reversed(newest))
    last = newest[0] if newest else TrackingEvent(status=TrackingStatus.UNKNOWN)
    arrived = [one.at for one in events if one.status is TrackingStatus.DELIVERED]
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=last.status,
        vendor_status=last.vendor_status,
        code=last.code,
        events=events,
        estimated_delivery=_due(package),
        delivered_at=arrived[0] if arrived else None,
        signed_by=package.text("deliveryInformation.receivedBy"),
        url=f"https://www.ups.com/track?tracknum={number}",
        raw=body.raw,
    )


def _due(package: Answer) -> Any:  # noqa: ANN401 - a datetime or None
    days = {one.text("type"): one.text("date") for one in package.objects("deliveryDate")}
    day = days.get("RDD") or days.get("SDD")
    return None if day is None else as_time(f"{day}T000000")


def _event(body: Answer) -> TrackingEvent:
    kind = body.text("status.type")
    return TrackingEvent(
        status=_STATUSES.get((kind or "").strip(), TrackingStatus.UNKNOWN),
        vendor_status=kind,
        code=body.text("status.code"),
        at=_moment(body),
        text=body.text("status.description"),
        location=_place(body.object("location.address")),
    )


def _moment(body: Answer) -> Any:  # noqa: ANN401 - a datetime or None
    """When it was, by the clock of UTC if UPS says so, and else by that of where it was."""
    for day, hour in (("gmtDate", "gmtTime"), ("date", "time")):
        clock = (body.text(hour) or "").replace(":", "").zfill(6)
        moment = as_time(f"{body.text(day)}T{clock}")
        if moment is not None:
            return moment
    return None


def _place(body: Answer) -> Place | None:
    names = ("city", "stateProvince", "postalCode", "countryCode")
    parts = [body.text(name) for name in names]
    parts[3] = parts[3] or body.text("country")
    if parts == [None] * 4:
        return None
    return Place(city=parts[0], region=parts[1], postal_code=parts[2], country=parts[3])


def read_address(response: Response, asked: Address) -> AddressResult:
    """What is said of an address."""
    body = answer(response)
    told = body.object("XAVResponse")
    if not told:
        raise malformed(response, "XAVResponse")
    first = next(told.objects("Candidate"), None)
    kinds = {"1": False, "2": True}
    residential = kinds.get(told.text("AddressClassification.Code") or "")
    if "ValidAddressIndicator" not in told.raw or first is None:
        unclear = "AmbiguousAddressIndicator" in told.raw
        text = "UPS knows several such addresses." if unclear else "UPS knows no such address."
        return AddressResult(
            verdict=AddressVerdict.UNKNOWN if unclear else AddressVerdict.INVALID,
            given=asked,
            messages=(_said(text),),
            residential=residential,
            raw=body.raw,
        )
    suggested = _suggested(first.object("AddressKeyFormat"), asked, residential)
    changes = changed(asked, suggested)
    return AddressResult(
        verdict=AddressVerdict.CORRECTED if changes else AddressVerdict.VALID,
        given=asked,
        suggested=suggested,
        changes=changes,
        residential=residential,
        raw=body.raw,
    )


def _suggested(body: Answer, asked: Address, residential: bool | None) -> Address:  # noqa: FBT001 - as it is told
    lines = [*(body.texts("AddressLine") or (body.text("AddressLine"),)), None, None]
    code, more = body.text("PostcodePrimaryLow"), body.text("PostcodeExtendedLow")
    return attrs.evolve(
        asked,
        line1=lines[0],
        line2=lines[1],
        line3=lines[2],
        city=body.text("PoliticalDivision2"),
        region=body.text("PoliticalDivision1"),
        postal_code=f"{code}-{more}" if code and more else code,
        country=country_of(body.text("CountryCode"), asked),
        residential=residential,
    )


def classify(_: Request, response: Response) -> ConnectorError | None:
    """What an error's own code and words say, besides its status."""
    if is_success(response.status):
        return None
    try:
        body = read(response.json())
    except InvalidData:
        return None
    error = next(body.objects("response.errors"), None) or next(body.objects("errors"), None)
    if error is None:
        return None
    code, words = error.text("code"), error.text("message")
    return refusal(kind_of(response.status), "UPS", response, code, words)
