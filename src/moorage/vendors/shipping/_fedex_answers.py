"""Parsing of FedEx's rates, shipments, address checks, cancellations and errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address
from moorage.contracts.shipping.rates import CarrierMessage, LabelFormat, Rate, RateResult
from moorage.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.vendors.shipping._common import (
    changed_fields,
    country_of,
    decoded_base64,
    kind_of,
    refusal,
    service_word,
)
from moorage.vendors.shipping._fedex_requests import CARRIER

if TYPE_CHECKING:
    from moorage.vendors.shipping._common import Kind

VENDOR: Final = "FedEx"
_IDENTITY: Final = re.compile(r"NOT\.AUTHORIZED|FORBIDDEN|LOGIN\.REAUTHENTICATE")
_FAILED: Final = re.compile(r"INTERNAL\.SERVER|SERVICE\.UNAVAILABLE\.ERROR|SYSTEM\.(UN|TEMP)")
_FORMATS: Final = {
    "PDF": LabelFormat.PDF,
    "PNG": LabelFormat.PNG,
    "ZPLII": LabelFormat.ZPL,
    "EPL2": LabelFormat.EPL,
}
_NUMBERS: Final = (
    "TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN"
    " SEVENTEEN EIGHTEEN NINETEEN TWENTY"
)
_DAYS: Final = {"ONE_DAY": 1} | {
    f"{word}_DAYS": number for number, word in enumerate(_NUMBERS.split(), 2)
}


def read_rates(wire: sdk.Wire, response: sdk.Response) -> RateResult:
    """Parse the rates in a response, and FedEx's messages about them."""
    body = sdk.read_answer(response)
    offers = body.value("output.rateReplyDetails")
    if offers is None and not body.object("output"):
        raise sdk.malformed(response, "output")
    messages = list(read_alerts(body))
    rates: list[Rate] = []
    for rate_reply_detail in body.objects("output.rateReplyDetails"):
        service, total = rate_reply_detail.text("serviceType"), _price(rate_reply_detail, "ACCOUNT")
        if service is None or total is None:
            messages.append(CarrierMessage(carrier=CARRIER, text="A rate could not be read."))
            continue
        duration = rate_reply_detail.text("commit.transitDays.minimumTransitTime")
        rates.append(
            Rate(
                ref=wire.ref(service),
                carrier=CARRIER,
                service=service_word(CARRIER, service),
                total=total,
                vendor_carrier="FedEx",
                vendor_service=service,
                service_name=rate_reply_detail.text("serviceName"),
                list_price=_price(rate_reply_detail, "LIST"),
                delivery_days=_DAYS.get(
                    duration or rate_reply_detail.text("operationalDetail.transitTime") or ""
                ),
                delivery_date=rate_reply_detail.time("commit.dateDetail.dayFormat")
                or rate_reply_detail.time("operationalDetail.deliveryDate"),
                raw=rate_reply_detail.raw,
            )
        )
    return RateResult(
        rates=tuple(rates),
        messages=tuple(messages),
        ref=wire.ref(body.text("transactionId") or "quote"),
        raw=body.raw,
    )


def _price(body: sdk.Answer, kind: str) -> sdk.Money | None:
    for rated_shipment_detail in body.objects("ratedShipmentDetails"):
        if rated_shipment_detail.text("rateType") == kind:
            currency = rated_shipment_detail.value("currency") or rated_shipment_detail.value(
                "shipmentRateDetail.currency"
            )
            return sdk.as_money(rated_shipment_detail.value("totalNetCharge"), currency)
    return None


def read_alerts(body: sdk.Answer, path: str = "output.alerts") -> tuple[CarrierMessage, ...]:
    """Parse the additional messages in FedEx's response."""
    return tuple(
        CarrierMessage(carrier=CARRIER, code=item.text("code"), text=item.text("message"))
        for item in body.objects(path)
    )


def no_rates(wire: sdk.Wire, error: sdk.VendorRejected) -> RateResult:
    """FedEx's message that it does not serve a route."""
    message = CarrierMessage(carrier=CARRIER, code=error.vendor_code, text=error.vendor_message)
    raw_answer = None if error.response is None else sdk.read_answer(error.response).raw
    return RateResult(rates=(), messages=(message,), ref=wire.ref("quote"), raw=raw_answer)


def read_shipment(wire: sdk.Wire, response: sdk.Response) -> Shipment:
    """Parse a bought shipment and its labels.

    Raises:
        VendorFailed: the response does not identify the shipment.
    """
    body = sdk.read_answer(response)
    sold_shipment = sdk.as_answer(body.value("output.transactionShipments.0"))
    pieces = list(sold_shipment.objects("pieceResponses"))
    numbers = [number for piece in pieces if (number := piece.text("trackingNumber"))]
    master = sdk.required(
        sold_shipment.text("masterTrackingNumber") or next(iter(numbers), None),
        response,
        "masterTrackingNumber",
    )
    service = sold_shipment.text("serviceType")
    papers = (
        shipment_document.text("url")
        for shipment_document in sold_shipment.objects("shipmentDocuments")
    )
    return Shipment(
        ref=bought_ref(wire, master, numbers),
        state=ShipmentState.BOUGHT,
        tracking_numbers=tuple(numbers) or (master,),
        carrier=CARRIER,
        service=service_word(CARRIER, service) if service else None,
        cost=_cost(sold_shipment),
        labels=tuple(label for piece in pieces for label in _labels(piece)),
        documents=tuple(paper for paper in papers if paper),
        warnings=(*read_alerts(body), *read_alerts(sold_shipment, "alerts")),
        raw=body.raw,
    )


def bought_ref(wire: sdk.Wire, master: str, numbers: list[str]) -> sdk.Ref:
    """A bought shipment's reference; if there are several parcels, it contains their numbers."""
    return wire.ref(master, parcels=",".join(numbers) if len(numbers) > 1 else None)


def _cost(sold: sdk.Answer) -> sdk.Money | None:
    rating = sold.object("completedShipmentDetail.shipmentRating")
    details = list(rating.objects("shipmentRateDetails"))
    actual_rate_type = rating.text("actualRateType")
    chosen_answer = next(
        (detail for detail in details if detail.text("rateType") == actual_rate_type), None
    )
    if chosen_answer is None:
        return None
    return sdk.as_money(chosen_answer.value("totalNetCharge"), chosen_answer.value("currency"))


def _labels(piece: sdk.Answer) -> list[Label]:
    return [
        Label(
            format=_FORMATS.get(package_document.text("docType") or "", LabelFormat.UNKNOWN),
            content=decoded_base64(package_document.text("encodedLabel")),
            url=package_document.text("url"),
            vendor_format=package_document.text("docType"),
            tracking_number=piece.text("trackingNumber"),
        )
        for package_document in piece.objects("packageDocuments")
        if package_document.text("contentType") == "LABEL"
    ]


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    resolved_answer = sdk.as_answer(body.value("output.resolvedAddresses.0"))
    if not resolved_answer:
        raise sdk.malformed(response, "resolvedAddresses")
    matched_address = _address(resolved_answer, address)
    is_valid = _deliverable(resolved_answer, matched_address.country)
    changes = changed_fields(address, matched_address) if is_valid else ()
    verdict = AddressVerdict.CORRECTED if changes else AddressVerdict.VALID
    if not is_valid:
        verdict = AddressVerdict.UNKNOWN if is_valid is None else AddressVerdict.INVALID
    messages = (*read_alerts(resolved_answer, "customerMessages"), *read_alerts(body))
    if verdict is AddressVerdict.INVALID and not messages:
        messages = (CarrierMessage(carrier=CARRIER, text="The address could not be resolved."),)
    return AddressResult(
        verdict=verdict,
        given=address,
        suggested=matched_address if is_valid else None,
        changes=changes,
        messages=messages,
        residential=matched_address.residential,
        raw=body.raw,
    )


def _address(resolved: sdk.Answer, address: Address) -> Address:
    lines = [*resolved.texts("streetLinesToken"), None, None, None]
    code = [resolved.text("parsedPostalCode.base"), resolved.text("parsedPostalCode.addOn")]
    return Address(
        name=address.name,
        company=address.company,
        line1=lines[0],
        line2=lines[1],
        line3=lines[2],
        city=resolved.text("city"),
        region=resolved.text("stateOrProvinceCode"),
        postal_code="-".join(part for part in code if part) or resolved.text("postalCode"),
        country=country_of(resolved.text("countryCode"), address),
        phone=address.phone,
        email=address.email,
        residential={"RESIDENTIAL": True, "BUSINESS": False}.get(
            resolved.text("classification") or ""
        ),
        tax_id=address.tax_id,
    )


def _deliverable(address: sdk.Answer, country: str) -> bool | None:
    """True if FedEx found the address; in the US, it must be an exact delivery point."""
    is_resolved, point = address.flag("attributes.Resolved"), address.flag("attributes.DPV")
    return point if is_resolved and country == "US" and point is not None else is_resolved


def read_cancel(response: sdk.Response) -> str:
    """Parse the cancellation of a shipment.

    Raises:
        VendorFailed: the response does not confirm it.
    """
    body = sdk.read_answer(response)
    if body.flag("output.cancelledShipment") is not True:
        raise sdk.malformed(response, "cancelledShipment")
    return body.text("output.message") or "cancelledShipment"


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response's body; FedEx also reports errors with a success status."""
    body = sdk.error_answer(response)
    error = next(body.objects("errors"), None)
    if error is None and sdk.is_success(response.status):
        is_refused = request.path.endswith("/cancel") and (
            body.flag("output.cancelledShipment") is False
        )
        error = next(body.objects("output.alerts"), sdk.as_answer({})) if is_refused else None
    if error is None:
        return None
    code = error.text("code")
    return refusal(
        _error_kind(code or "", response.status), VENDOR, response, code, error.text("message")
    )


def _error_kind(code: str, status: int) -> Kind:
    if _IDENTITY.match(code):
        return sdk.AuthenticationFailed
    if _FAILED.match(code):
        return sdk.VendorFailed
    return kind_of(status)
