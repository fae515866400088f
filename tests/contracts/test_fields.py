"""The fields of operation requests are checked at construction."""

from __future__ import annotations

import datetime as dt
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

from moorage import InvalidData
from moorage.contracts.address import Address
from moorage.contracts.einvoices import OutgoingInvoice
from moorage.contracts.email import Attachment, EmailMessage, TemplateRef
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import StatisticsQuery
from moorage.contracts.payments import Charge, Customer, Money, PaymentQuery, Unsettled
from moorage.contracts.shipping import (
    Choice,
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    ShipmentRequest,
)
from moorage.contracts.signatures import SignatureDocument, SignaturePlace, SignatureRequest, Signer
from moorage.contracts.signed import PostOptions, UrlOptions
from moorage.contracts.sms import SmsMessage
from moorage.contracts.storage import ByteRange, Checksum, GetOptions, PutOptions
from moorage.contracts.tax import Trader
from moorage.testing.sandbox_scenarios.shipping import ADA, SHOP
from moorage.testing.sandboxes.einvoices.base import DOCUMENT
from tests.contracts import books

# Names in the contracts' annotations that only type checkers import.
NAMES = {
    "Decimal": Decimal,
    "date": date,
    "datetime": datetime,
    "dt": dt,
    "timedelta": timedelta,
}
PARCEL = Parcel(weight="1.5")
PEN = CustomsItem(
    description="A pen", quantity=1, value=Money("10.00", "USD"), weight="1", origin="US"
)
CHARGE = Charge(amount=Money("1.00", "EUR"), source="tok_1", reference="INV-1")
RECIPIENT = {"to": "ada@example.com"}
RATES: dict[str, Any] = {"sender": SHOP, "recipient": ADA, "parcels": [PARCEL]}
SIGNER = Signer(name="Ada", email="ada@example.com")
FILE = SignatureDocument(name="a.pdf", content=b"a")
VALID_FIELDS: list[tuple[type[Any], dict[str, Any]]] = [
    (EmailAddress, {"email": "ada@example.com"}),
    (EmailMessage, {**RECIPIENT, "text": "Hello."}),
    (Attachment, {"filename": "a.txt", "content": b"a"}),
    (TemplateRef, {"id": "welcome"}),
    (BulkRecipient, RECIPIENT),
    (BulkMessage, {"base": EmailMessage(text="Hello."), "recipients": ["ada@example.com"]}),
    (SmsMessage, {"to": "+4915112345678", "text": "Hello."}),
    (Charge, {"amount": Money("1.00", "EUR"), "source": "tok_1", "reference": "INV-1"}),
    (Customer, {}),
    (PaymentQuery, {}),
    (Unsettled, {"charge": CHARGE, "idempotency_key": "k"}),
    (StatisticsQuery, {"start": date(2026, 3, 1), "end": date(2026, 3, 2)}),
    (Choice, {}),
    (UrlOptions, {}),
    (PostOptions, {}),
    (Checksum, {"algorithm": "md5", "value": "00" * 16}),
    (Address, {"country": "US"}),
    (Parcel, {"weight": "1.5"}),
    (CustomsItem, attrs.asdict(PEN, recurse=False)),
    (Customs, {"items": [PEN], "signer": "Ada"}),
    (RateRequest, RATES),
    (ShipmentRequest, {"rate_request": RateRequest(**RATES)}),
    (PutOptions, {}),
    (GetOptions, {}),
    (ByteRange, {}),
    (Trader, {"name": "Harbour"}),
    (OutgoingInvoice, {"document": DOCUMENT, "recipient": "0088:1"}),
    *books.FIELDS,
    (SignatureDocument, {"name": "a.pdf", "content": b"a"}),
    (SignaturePlace, {"page": 1}),
    (Signer, {"name": "Ada", "email": "ada@example.com"}),
    (SignatureRequest, {"subject": "Lease", "signers": [SIGNER], "documents": [FILE]}),
]
WHOLES = {"checksum", "email", "range"}
"""The field names that errors use for a checksum, an email address and a byte range."""
JUNK = [
    *(None, 5, -1, 1.5, True, float("nan"), object()),
    *("abc", "", "x\ny", "half \ud800", b"x"),
    *([], {}, {5: "x"}, {"a": 5}, ["a"], [5], ("a",)),
]


@pytest.mark.parametrize(
    "kind, usual", VALID_FIELDS, ids=lambda value: getattr(value, "__name__", "")
)
def test_each_field_of_a_request_has_its_declared_type(
    kind: type[Any], usual: dict[str, Any]
) -> None:
    """After construction, each field of a request has the type that it declares."""
    kind(**usual)
    refused_fields: list[str] = []
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]), NAMES)
    for field in attrs.fields(kind):
        for junk in JUNK:
            try:
                instance = kind(**{**usual, field.alias: junk})
            except InvalidData as error:
                refused_fields.append((error.field or "").partition(".")[0].partition("[")[0])
            else:
                assert has_type(getattr(instance, field.name), hints[field.name])
    assert set(refused_fields) <= {*attrs.fields_dict(kind), *WHOLES}


def has_type(value: object, hint: Any) -> bool:
    """Return whether a value has this type, including the types of its items."""
    origin, inner_types = get_origin(hint), get_args(hint)
    if origin is Union or origin is UnionType:
        return any(has_type(value, item) for item in inner_types)
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(item, inner_types[0]) for item in value)
    if origin is not None:
        return isinstance(value, origin)
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return False
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
