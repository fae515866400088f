"""Parsing of ShipEngine's responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    Rate,
    RateRequest,
    RateResult,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    CancelResult,
    CancelState,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import (
    address_result,
    arrival,
    carrier_word,
    country_of,
    in_order,
    kind_of,
    place_at,
    refusal,
    service_word,
)
from moorage.vendors.shipping._shipengine_requests import FIELDS, layout_of

if TYPE_CHECKING:
    from moorage.vendors.shipping._common import Kind

BUYING: Final = "/v1/labels/rates/"
_STATES: Final = {
    "processing": ShipmentState.PENDING,
    "completed": ShipmentState.BOUGHT,
    "error": ShipmentState.FAILED,
    "voided": ShipmentState.CANCELED,
}
_REFUNDS: Final = {
    "request_scheduled": CancelState.REQUESTED,
    "pending": CancelState.REQUESTED,
    "approved": CancelState.APPROVED,
    "rejected": CancelState.REJECTED,
}
_STATUSES: Final = {
    "NY": TrackingStatus.PRE_TRANSIT,
    "AC": TrackingStatus.PRE_TRANSIT,
    "IT": TrackingStatus.IN_TRANSIT,
    "AT": TrackingStatus.DELIVERY_ATTEMPTED,
    "SP": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "DE": TrackingStatus.DELIVERED,
    "EX": TrackingStatus.FAILED,
}
_DETAILED_STATUSES: Final = {
    word: status
    for status, words in {
        TrackingStatus.IN_TRANSIT: "DROPPED_OFF PICKED_UP RECEIVED_BY_CARRIER MISROUTED"
        " PARCEL_DAMAGED PARCEL_REPACKED PARCEL_REDIRECTED_BY_CARRIER INCORRECT_DECLARATION"
        " RECD_BY_CARRIER_NO_ELEC_ADVICE",
        TrackingStatus.OUT_FOR_DELIVERY: "OUT_FOR_DELIVERY",
        TrackingStatus.AVAILABLE_FOR_PICKUP: "AWAITING_COLLECTION_FROM_PICKUP_POINT"
        " COLLECT_AT_LOCAL_PO CUSTOMER_TO_COLLECT_FROM_CARRIER DELIVERED_TO_PICKUP_POINT",
        TrackingStatus.DELIVERY_ATTEMPTED: "ATTEMPTED_DELIVERY ATTEMPTED_DELIVERY_FINAL"
        " CUSTOMER_CARDED NO_ACCESS_TO_RECIPIENTS_ADDRESS",
        TrackingStatus.ON_HOLD: "HELD_BY_CARRIER HELD_BY_CARRIER_FOR_CLEARANCE_PRE_PROCESSING"
        " HELD_BY_CUSTOMS CARRIER_DELAYS DELAYED_NOT_CARRIER ADDRESS_QUERY DUTY_NOT_PAID",
        TrackingStatus.RETURNED: "RETURN_TO_SENDER UNDELIVERABLE_RETURNED_TO_SENDER",
        TrackingStatus.CANCELED: "CANCELLED",
    }.items()
    for word in words.split()
}
"""Statuses by the detail code, for parcels that are accepted, in transit, or an exception."""
_OPEN_STATUSES: Final = {"AC", "IT", "EX"}
_FORMATS: Final = {"pdf": LabelFormat.PDF, "png": LabelFormat.PNG, "zpl": LabelFormat.ZPL}
_PRICE: Final = ("insurance_amount", "confirmation_amount", "other_amount")
_CODES: Final[dict[str, Kind]] = {
    "unauthorized": sdk.AuthenticationFailed,
    "forbidden": sdk.AuthenticationFailed,
    "rate_limit_exceeded": sdk.RateLimitExceeded,
}
_TYPES: Final[dict[str, Kind]] = {
    "account_status": sdk.VendorRejected,
    "business_rules": sdk.VendorRejected,
    "integrations": sdk.VendorRejected,
    "security": sdk.AuthenticationFailed,
    "system": sdk.VendorFailed,
}
_BAD_REQUEST: Final = 400
"""Status of most refusals, whose type is more specific."""


def read_rates(wire: sdk.Wire, response: sdk.Response, request: RateRequest) -> RateResult:
    """Parse the rates, and the messages of carriers that offer none."""
    body = sdk.read_answer(response)
    shipment = sdk.required(
        body.text("rate_response.shipment_id") or body.text("shipment_id"), response, "shipment_id"
    )
    messages = [_message(error) for error in body.objects("rate_response.errors")]
    for item in body.objects("rate_response.invalid_rates"):
        carrier = carrier_word(item.text("carrier_code")) or None
        messages += [CarrierMessage(carrier=carrier, text=t) for t in item.texts("error_messages")]
    file, layout = request.label.value, layout_of(request)
    rates: list[Rate] = []
    for item in body.objects("rate_response.rates"):
        id, total = item.text("rate_id"), price(item, "shipping_amount", *_PRICE)
        carrier = carrier_word(item.text("carrier_code"))
        if id is None or total is None:
            text = "A rate could not be read."
            messages.append(CarrierMessage(carrier=carrier or None, text=text))
            continue
        rates.append(
            Rate(
                ref=wire.ref(id, file=file, layout=layout),
                carrier=carrier,
                service=service_word(carrier, item.text("service_code")),
                total=total,
                vendor_carrier=item.text("carrier_code"),
                vendor_service=item.text("service_code"),
                service_name=item.text("service_type"),
                delivery_days=item.integer("delivery_days"),
                delivery_date=item.time("estimated_delivery_date"),
                guaranteed=item.flag("guaranteed_service"),
                carrier_account=item.text("carrier_id"),
                raw=item.raw,
            )
        )
    return RateResult(
        rates=tuple(rates), messages=tuple(messages), ref=wire.ref(shipment), raw=body.raw
    )


def _message(body: sdk.Answer) -> CarrierMessage:
    return CarrierMessage(
        carrier=carrier_word(body.text("carrier_code")) or None,
        code=body.text("error_code"),
        text=body.text("message"),
    )


def price(body: sdk.Answer, first: str, *others: str) -> sdk.Money | None:
    """The sum of several amounts, of which the first must exist; None if there is no valid sum."""
    amounts_sent = [body.object(name) for name in (first, *others)]
    amounts = [
        sdk.as_money(item.value("amount"), item.value("currency"))
        for number, item in enumerate(amounts_sent)
        if item or not number
    ]
    stated_amounts = [amount for amount in amounts if amount is not None]
    if (
        len(stated_amounts) < len(amounts)
        or len({amount.currency for amount in stated_amounts}) > 1
    ):
        return None
    return sdk.Money.from_minor(
        sum(amount.minor for amount in stated_amounts), stated_amounts[0].currency
    )


def read_state(body: sdk.Answer) -> ShipmentState:
    """The state of a label's purchase or cancellation."""
    state = _STATES.get(body.text("status") or "", ShipmentState.UNKNOWN)
    refund = _REFUNDS.get(body.text("refund_details.refund_status") or "")
    is_waiting = refund is CancelState.REQUESTED
    return ShipmentState.CANCELING if state is ShipmentState.CANCELED and is_waiting else state


def read_cancellation(ref: sdk.Ref, body: sdk.Answer, word: str) -> CancelResult:
    """The result of a void label: the state of its refund if ShipEngine tracks one."""
    status = body.text("refund_details.refund_status")
    state = CancelState.APPROVED if status is None else _REFUNDS.get(status, CancelState.UNKNOWN)
    refund = body.object("refund_details.amount_credited") or body.object(
        "refund_details.amount_approved"
    )
    return CancelResult(
        ref=ref,
        state=state,
        vendor_status=status or word,
        refund=sdk.as_money(refund.value("amount"), refund.value("currency"))
        if state is CancelState.APPROVED
        else None,
        raw=body.raw,
    )


def read_format(body: sdk.Answer) -> LabelFormat:
    """The format of a label."""
    return _FORMATS.get(body.text("label_format") or "", LabelFormat.UNKNOWN)


def read_tracking(body: sdk.Answer) -> Tracking:
    """Parse the progress of a shipment."""
    events = [(_event(event), event.text("signer")) for event in body.objects("events")]
    signers = [signer for item, signer in events if item.status is TrackingStatus.DELIVERED]
    now = _event(body)
    carrier = body.text("carrier_code")
    delivery_time = (
        body.time("actual_delivery_date") if now.status is TrackingStatus.DELIVERED else None
    )
    return Tracking(
        number=body.text("tracking_number"),
        carrier=carrier_word(carrier) if carrier else None,
        status=now.status,
        vendor_status=now.vendor_status,
        code=now.code,
        events=in_order(item for item, _ in events),
        estimated_delivery=body.time("estimated_delivery_date"),
        delivered_at=delivery_time or arrival(item for item, _ in events),
        signed_by=next((signer for signer in signers if signer), None),
        url=body.text("tracking_url"),
        raw=body.raw,
    )


def _event(body: sdk.Answer) -> TrackingEvent:
    word, code = body.text("status_code"), body.text("status_detail_code")
    status = _STATUSES.get(word or "", TrackingStatus.UNKNOWN)
    return TrackingEvent(
        status=_DETAILED_STATUSES.get(code or "", status) if word in _OPEN_STATUSES else status,
        vendor_status=word,
        code=code,
        at=body.time("occurred_at"),
        text=body.text("description") or body.text("status_description"),
        location=place_at(body, "city_locality", "state_province", "postal_code", "country_code"),
    )


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the response to an address check."""
    results = sdk.read_answers(response)
    if not results:
        raise sdk.malformed(response, "address")
    body, match = results[0], results[0].object("matched_address")
    fields = {
        field_name: match.text(vendor_field)
        for field_name, vendor_field in FIELDS.items()
        if field_name != "country"
    }
    is_home = {"yes": True, "no": False}.get(match.text("address_residential_indicator") or "")
    matched_address = Address(
        **fields,
        country=country_of(match.text("country_code"), address),
        residential=is_home,
        tax_id=address.tax_id,
    )
    status = body.text("status")
    is_valid = True if match and status in {"verified", "warning"} else None
    is_valid = False if status == "error" else is_valid
    return address_result(
        address,
        matched_address,
        valid=is_valid,
        messages=tuple(
            CarrierMessage(
                code=message.text("detail_code") or message.text("code"),
                text=message.text("message"),
            )
            for message in body.objects("messages")
        ),
        raw=body.raw,
    )


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response's body; ShipEngine also reports errors with a success status."""
    body = sdk.error_answer(response)
    if sdk.is_success(response.status):
        return _refusal_error(request, response, body)
    error = next(body.objects("errors"), None)
    if error is None:
        return None
    code = error.text("error_code")
    return refusal(
        _error_kind(error, response.status), "ShipEngine", response, code, _error_text(error)
    )


def _refusal_error(
    request: sdk.Request, response: sdk.Response, body: sdk.Answer
) -> sdk.ConnectorError | None:
    code, words = body.text("reason_code"), body.text("message")
    if request.path.startswith(BUYING) and body.text("status") == "error":
        code, words = "error", "the label could not be made."
    elif not request.path.endswith("/void") or body.flag("approved") is not False:
        return None
    return refusal(sdk.VendorRejected, "ShipEngine", response, code, words)


def _error_kind(error: sdk.Answer, status: int) -> Kind:
    by_type = _TYPES.get(error.text("error_type") or "") if status == _BAD_REQUEST else None
    return _CODES.get(error.text("error_code") or "") or by_type or kind_of(status)


def _error_text(error: sdk.Answer) -> str | None:
    texts = [error.text("field_name"), error.text("message")]
    return ": ".join(word for word in texts if word) or None
