"""Requests to Authorize.Net: questions and transactions, with fields in the order of its schema.

Authorize.Net converts JSON to XML, and refuses fields in another order than that of its schema. It
takes the credentials in the body of each request. They are inserted when a request is sent, so that
no log and no stored request contains them.
"""

from __future__ import annotations

import json
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._order_details import names_of, stated_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.address import Address
    from moorage.contracts.payments import Charge, RefundReason
    from moorage.vendors.payments.authorize_net import AuthorizeNet

VENDOR: Final = "Authorize.Net"
PATH: Final = "/xml/v1/request.api"
LONGEST: Final = {"reference": 20, "description": 255, "customer_id": 20, "metadata": 20}
"""The number of characters of each field, and the number of texts of metadata."""
PAGE: Final = 1_000
"""The most transactions of a page of a list."""
STORED_PARTS: Final = 2
"""The parts of the id of a stored means of payment: customer profile and payment profile."""
_MARK: Final = 20
_WINDOW: Final = "28800"
"""Seconds in which Authorize.Net refuses an equal transaction; it accepts at most eight hours."""
_ACCEPT: Final = "COMMON.ACCEPT.INAPP.PAYMENT"
"""The descriptor of a nonce of Accept.js."""
_ADDRESS_LENGTHS: Final = {
    "firstName": (50, "name"),
    "lastName": (50, "name"),
    "company": (50, "company"),
    "address": (60, "line1"),
    "city": (40, "city"),
    "state": (40, "region"),
    "zip": (20, "postal_code"),
}
"""The number of characters of a field of an address, and our name of it."""
_ORDER: Final = (
    *("transactionType", "amount", "currencyCode", "payment", "profile", "solution", "callId"),
    *("terminalNumber", "authCode", "refTransId", "splitTenderId", "order", "lineItems", "tax"),
    *("duty", "shipping", "taxExempt", "poNumber", "customer", "billTo", "shipTo", "customerIP"),
    *("cardholderAuthentication", "retail", "employeeId", "transactionSettings", "userFields"),
    *("surcharge", "merchantDescriptor", "subMerchant", "tip", "processingOptions"),
    *("subsequentAuthInformation", "otherTax", "shipFrom", "authorizationIndicatorType"),
)
"""The fields of a transaction, in the order that Authorize.Net requires."""
_PLACES: Final = {name: place for place, name in enumerate(_ORDER)}


@attrs.frozen
class CredentialsInBody:
    """Inserts the API login id and the transaction key into the body of a request.

    Attributes:
        login_id: the API login id.
        key: the transaction key.
    """

    login_id: str
    key: sdk.Secret

    def __call__(self, request: sdk.Request) -> sdk.Request:
        """The request with the credentials as the first field in its body."""
        content: Any = request.body
        ((name, fields),) = json.loads(content).items()
        login = {"name": self.login_id, "transactionKey": self.key.reveal()}
        body = {name: {"merchantAuthentication": login, **fields}}
        return request.evolve(body=sdk.encode_json(body))


def question(name: str, **fields: Any) -> sdk.Request:
    """The request for an API method that can be repeated without any further effect."""
    body = {f"{name}Request": fields}
    return sdk.Request.post(PATH, json=body).evolve(idempotent=True)


def transaction(fields: Mapping[str, Any], *, mark: str | None = None) -> sdk.Request:
    """The request for a transaction, with its fields in the order of the schema.

    Args:
        fields: the fields of the transaction.
        mark: the mark of the idempotency key; Authorize.Net stores it as the reference id.
    """
    ordered_names = sorted(fields, key=lambda name: _PLACES.get(name, len(_PLACES)))
    content = {"transactionRequest": {name: fields[name] for name in ordered_names}}
    head = {} if mark is None else {"refId": mark}
    return sdk.Request.post(PATH, json={"createTransactionRequest": {**head, **content}})


def mark_of(wire: sdk.Wire, key: str) -> str:
    """A short mark computed from the tenant and an idempotency key; equal keys give equal marks."""
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()[:_MARK]


def details_request(id_: str) -> sdk.Request:
    """The request for all details of a transaction."""
    return question("getTransactionDetails", transId=id_)


def page_fields(page: int, size: int) -> dict[str, Any]:
    """The fields for a page of a list of transactions, newest first."""
    return {
        "sorting": {"orderBy": "submitTimeUTC", "orderDescending": True},
        "paging": {"limit": size, "offset": page},
    }


def time_text(moment: datetime) -> str:
    """A time in the form that Authorize.Net accepts: whole seconds in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def stored_ids(source: str) -> tuple[str, str] | None:
    """The ids of customer profile and payment profile in a source; None if it is a nonce."""
    ids = source.split("/")
    is_stored = len(ids) == STORED_PARTS and all(id_.isascii() and id_.isdigit() for id_ in ids)
    return (ids[0], ids[1]) if is_stored else None


def settings(**values: str) -> dict[str, Any]:
    """The settings of a transaction, in Authorize.Net's format."""
    named_values = [{"settingName": name, "settingValue": value} for name, value in values.items()]
    return {"setting": named_values}


def charge_fields(
    vendor: AuthorizeNet, charge: Charge, mark: str, *, capture: bool
) -> dict[str, Any]:
    """The fields of a charge or authorisation; the caller's extra options override them.

    Raises:
        InvalidData: the currency is not that of the account, the source is missing, or a value does
            not fit.
    """
    check_currency(vendor, charge.amount)
    if charge.source is None:
        raise sdk.InvalidData(
            "The charge names no means of payment.",
            field="source",
            remedy="Pass the nonce of Accept.js, or the id of a stored means of payment.",
        )
    if len(charge.metadata) > LONGEST["metadata"]:
        raise sdk.InvalidData(
            f"{VENDOR} accepts at most {LONGEST['metadata']} texts of metadata.",
            field="metadata",
            remedy="Pass fewer texts.",
        )
    texts = [{"name": name, "value": charge.metadata[name]} for name in charge.metadata]
    fields: dict[str, Any] = {
        "transactionType": "authCaptureTransaction" if capture else "authOnlyTransaction",
        "amount": str(charge.amount.amount),
        "currencyCode": vendor.currency,
        **_means_fields(charge, charge.source),
        "order": stated_fields(
            {
                "invoiceNumber": _text(charge.reference, "reference"),
                "description": _text(charge.description, "description"),
            }
        ),
        # Authorize.Net compares this field when it looks for an equal transaction.
        "poNumber": mark,
        "shipTo": _address_fields(charge.shipping_address, "shipping_address"),
        "customerIP": None if charge.customer is None else charge.customer.ip,
        "transactionSettings": settings(allowPartialAuth="false", duplicateWindow=_WINDOW),
        "userFields": {"userField": texts} if texts else None,
    }
    return sdk.merged(stated_fields(fields), sdk.extra_for("authorize_net", charge.extra))


def refund_fields(
    amount: sdk.Money, earlier: sdk.Answer, mark: str, reason: RefundReason | None
) -> dict[str, Any]:
    """The fields of a refund.

    Args:
        amount: amount to refund.
        earlier: the details of the payment.
        mark: the mark of the idempotency key.
        reason: reason of the refund.
    """
    order = {
        "invoiceNumber": earlier.text("order.invoiceNumber"),
        "description": None if reason is None else reason.value.replace("_", " "),
    }
    fields: dict[str, Any] = {
        "transactionType": "refundTransaction",
        "amount": str(amount.amount),
        "currencyCode": amount.currency,
        "payment": _masked_means(earlier.object("payment")),
        "refTransId": earlier.text("transId"),
        "order": stated_fields(order),
        "poNumber": mark,
        "transactionSettings": settings(duplicateWindow=_WINDOW),
    }
    return stated_fields(fields)


def check_currency(vendor: AuthorizeNet, amount: sdk.Money) -> None:
    """Refuse an amount in another currency than the account's.

    Raises:
        InvalidData: the currency is another one.
    """
    if amount.currency != vendor.currency:
        raise sdk.InvalidData(
            f"The payment is in {amount.currency}, but the account at {VENDOR} accepts only"
            f" {vendor.currency}.",
            field="amount",
            remedy="Configure an account for each currency, and a route that chooses the account"
            " by currency.",
        )


def _means_fields(charge: Charge, source: str) -> dict[str, Any]:
    """The means of payment of a charge, and the fields that belong to it."""
    profile_ids = stored_ids(source)
    if profile_ids is None:
        descriptor, separator, value = source.partition(":")
        is_named = bool(separator) and descriptor.startswith("COMMON.")
        nonce = {
            "dataDescriptor": descriptor if is_named else _ACCEPT,
            "dataValue": value if is_named else source,
        }
        return {
            "payment": {"opaqueData": nonce},
            "profile": _new_profile(charge),
            "customer": _customer_fields(charge),
            "billTo": _address_fields(charge.billing_address, "billing_address"),
            "processingOptions": {"isSubsequentAuth": True} if charge.off_session else None,
        }
    if charge.billing_address is not None:
        raise sdk.InvalidData(
            f"{VENDOR} has the billing address of a stored means of payment, and refuses another.",
            field="billing_address",
            remedy="Leave the billing address out, or pass a nonce as the source.",
        )
    if charge.store_method:
        raise sdk.InvalidData(
            "The means of payment is stored already.",
            field="store_method",
            remedy="Set store_method only with a nonce.",
        )
    customer_profile, payment_profile = profile_ids
    name = "isSubsequentAuth" if charge.off_session else "isStoredCredentials"
    return {
        "profile": {
            "customerProfileId": customer_profile,
            "paymentProfile": {"paymentProfileId": payment_profile},
        },
        "processingOptions": {name: True},
    }


def _new_profile(charge: Charge) -> dict[str, Any] | None:
    if not charge.store_method:
        return None
    customer = charge.customer
    if customer is None or not (customer.id or customer.email):
        raise sdk.InvalidData(
            f"{VENDOR} stores a means of payment with a new customer profile, which needs an id or"
            " an email address.",
            field="customer",
            remedy="Pass the customer with your own id of the customer, or with the email address.",
        )
    return {"createProfile": True}


def _customer_fields(charge: Charge) -> dict[str, Any] | None:
    customer = charge.customer
    if customer is None:
        return None
    longest = LONGEST["customer_id"]
    id_ = short_text(customer.id, longest, vendor=VENDOR, field="customer.id")
    return stated_fields({"id": id_, "email": customer.email})


def _address_fields(address: Address | None, name: str) -> dict[str, Any] | None:
    if address is None:
        return None
    first_names, last_name = names_of(address.name) or (None, None)
    lines = ", ".join(filter(None, (address.line1, address.line2, address.line3)))
    fields = {
        "firstName": first_names,
        "lastName": last_name,
        "company": address.company,
        "address": lines or None,
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
        "country": address.country,
    }
    for field, (longest, part) in _ADDRESS_LENGTHS.items():
        short_text(fields[field], longest, vendor=VENDOR, field=f"{name}.{part}")
    return stated_fields(fields)


def _masked_means(payment: sdk.Answer) -> dict[str, Any]:
    """The means of payment for a refund, masked as in the details of the payment."""
    number = payment.text("creditCard.cardNumber")
    if number is not None:
        return {"creditCard": {"cardNumber": number[-4:], "expirationDate": "XXXX"}}
    bank = payment.object("bankAccount")
    names = ("accountType", "routingNumber", "accountNumber", "nameOnAccount")
    account = stated_fields({name: bank.text(name) for name in names})
    return {"bankAccount": account} if account else {}


def _text(text: str | None, name: str) -> str | None:
    return short_text(text, LONGEST[name], vendor=VENDOR, field=name)
