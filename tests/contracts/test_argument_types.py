"""The types of an operation's arguments are checked before anything is sent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib import import_module
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

from moorage import (
    Account,
    AsyncHub,
    ConfigurationError,
    ConnectorError,
    Credentials,
    HttpMethod,
    Hub,
    InvalidData,
    Money,
    Ref,
    Service,
)
from moorage.contracts.accounting import AccountingCapability, ContactQuery
from moorage.contracts.bank import BankCapability, ConsentRequest, PaymentOrder
from moorage.contracts.calendars import CalendarsCapability, EventChanges, NewEvent
from moorage.contracts.catalog import contract
from moorage.contracts.chat import ChatCapability, ChatMessage
from moorage.contracts.currencies import CurrenciesCapability
from moorage.contracts.einvoices import EinvoiceCapability
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import StatisticsQuery
from moorage.contracts.payments import (
    MOVING,
    BillingInterval,
    Charge,
    Customer,
    DisputeEvidence,
    LinkRequest,
    PayeeTransfer,
    PaymentEvent,
    PaymentsCapability,
    RefundReason,
    StoreRequest,
    SubscriptionRequest,
)
from moorage.contracts.people import NewPerson, PeopleCapability, PersonChanges
from moorage.contracts.push import DeviceToken, PushCapability, PushMessage
from moorage.contracts.shipping import Parcel, RateRequest, ShippingCapability
from moorage.contracts.shops import ShopsCapability
from moorage.contracts.signatures import (
    SignatureDocument,
    SignatureRequest,
    SignaturesCapability,
    Signer,
)
from moorage.contracts.sms import SmsCapability, SmsMessage
from moorage.contracts.sms_templates import TemplateMessage
from moorage.contracts.storage import StorageCapability
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import TaxCalculation, TaxReversal
from moorage.contracts.vendor import UnknownOutcome, Vendor
from moorage.contracts.verification import VerificationRequest
from moorage.operations.accounting import AccountingFlows
from moorage.operations.calendars import CalendarsFlows
from moorage.operations.chat import ChatFlows
from moorage.operations.currencies import CurrenciesFlows
from moorage.operations.einvoices import EinvoicesFlows
from moorage.operations.people import PeopleFlows
from moorage.operations.shops import ShopsFlows
from moorage.operations.signatures import SignaturesFlows
from moorage.services.contracts.bank import BankFlows
from moorage.services.contracts.email import EmailFlows
from moorage.services.contracts.payments import PaymentsFlows
from moorage.services.contracts.push import PushFlows
from moorage.services.contracts.shipping import ShippingFlows
from moorage.services.contracts.sms import SmsFlows
from moorage.services.contracts.storage import StorageFlows
from moorage.services.contracts.tax import TaxFlows
from moorage.testing.kits._einvoices_harness import outgoing_invoice
from moorage.testing.sandbox_scenarios.bank import TRANSFER
from moorage.testing.sandbox_scenarios.shipping import ADA, DECLARED, SHOP, pickup
from moorage.testing.sandbox_scenarios.shops import PARCEL
from moorage.testing.sandbox_scenarios.tax import sale
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from tests.contracts import books
from tests.contracts.test_fields import JUNK

FLOWS: dict[str, Any] = {
    "email": EmailFlows,
    "sms": SmsFlows,
    "chat": ChatFlows,
    "push": PushFlows,
    "einvoices": EinvoicesFlows,
    "payments": PaymentsFlows,
    "shipping": ShippingFlows,
    "storage": StorageFlows,
    "currencies": CurrenciesFlows,
    "tax": TaxFlows,
    "people": PeopleFlows,
    "calendars": CalendarsFlows,
    "accounting": AccountingFlows,
    "bank": BankFlows,
    "signatures": SignaturesFlows,
    "shops": ShopsFlows,
}
REF = "everything:main:1"
SHIPMENT = RateRequest(sender=SHOP, recipient=ADA, parcels=[Parcel(weight="1")])
DAY = date(2026, 3, 1)
PUSH = PushMessage(to=DeviceToken("token"), title="Hello.")
VALID_ARGUMENTS: dict[str, Any] = {
    "ref": REF,
    "returned_url": f"{RETURN_URL}?code=x&state=y",
    "idempotency_key": "k",
    "message": {
        "email": EmailMessage(to="ada@example.com", text="Hello."),
        "sms": SmsMessage(to="+4915112345678", text="Hello."),
        "chat": ChatMessage(text="Hello."),
        "push": PUSH,
    },
    "bulk": BulkMessage(base=EmailMessage(text="Hello."), recipients=["ada@example.com"]),
    "address": {"email": "ada@example.com", "shipping": ADA, "einvoices": "0088:1"},
    "query": {
        "email": StatisticsQuery(start=DAY, end=DAY),
        "payments": None,
        "bank": None,
        "accounting": ContactQuery(name="Mill Ltd"),
    },
    "contact": books.CONTACT,
    "invoice": {"einvoices": outgoing_invoice(), "accounting": books.INVOICE},
    "payment": books.PAYMENT,
    "journal": books.JOURNAL,
    "document": books.DOCUMENT,
    "messages": {
        "sms": [SmsMessage(to="+4915112345678", text="Hello.")],
        "push": [PUSH],
    },
    "number": {
        "sms": "+4915112345678",
        "shipping": "+4915112345678",
        "tax": "DE136695976",
    },
    "charge": Charge(amount=Money("1.00", "EUR"), source="tok_1", reference="INV-1"),
    "payments": [REF],
    "request": {
        "sms": VerificationRequest(to="+4915112345678"),
        "shipping": SHIPMENT,
        "payments": StoreRequest("tok_1", customer=Customer(id="cus_1")),
        "bank": ConsentRequest(return_url=RETURN_URL),
        "signatures": SignatureRequest(
            subject="Lease",
            signers=[Signer(name="Ada", email="ada@example.com")],
            documents=[SignatureDocument(name="a.pdf", content=b"%PDF")],
        ),
    },
    "fulfilment": PARCEL,
    "sku": "BOLT-M8",
    "quantity": 2,
    "price": Money("1.00", "USD"),
    "sale": sale(),
    "calculation": TaxCalculation(
        ref=Ref.parse(REF), sale=sale(), lines=(), tax=Money("1.00", "USD")
    ),
    "reversal": TaxReversal(reference="CN-1", day=DAY),
    "evidence": DisputeEvidence("The buyer signed."),
    "subscription": SubscriptionRequest(
        Money("1.00", "EUR"),
        BillingInterval("month"),
        "pm_1",
        customer=Customer(id="cus_1"),
        reference="SUB-1",
    ),
    "transfer": PayeeTransfer(Money("1.00", "EUR"), "acct_1", reference="CN-1"),
    "link": LinkRequest(Money("1.00", "EUR"), reference="INV-1"),
    "order": PaymentOrder(debtor=IBANS[0], transfer=TRANSFER, return_url=RETURN_URL),
    "code": "123456",
    "to": "+4915112345678",
    "customer": "cus_1",
    "what": REF,
    "pickup": pickup([Ref.parse(REF)]),
    "shipments": [REF],
    "shipment": RateRequest(sender=SHOP, parcels=[Parcel(weight="1")], **DECLARED),
    "items": [REF],
    "carrier": "usps",
    "email": "ada@example.com",
    "reason": "The price.",
    "return_url": "https://erp.example/signed",
    "key": "a.txt",
    "source": "a.txt",
    "event": {
        "payments": PaymentEvent(id=None, ref=Ref.parse(REF), ask=True),
        "calendars": NewEvent(title="Visit", start=DAY, end=DAY + timedelta(days=1)),
    },
    "start": datetime(2026, 3, 1, tzinfo=UTC),
    "end": datetime(2026, 3, 2, tzinfo=UTC),
    "emails": ["ada@example.com"],
    "keys": ["a.txt"],
    "largest": 5,
    "person": {"people": NewPerson(user_name="ada")},
    "changes": {
        "people": PersonChanges(title="Analyst"),
        "calendars": EventChanges(title="Pickup"),
    },
    "member": REF,
    "resume": "everything:main:a.txt?upload=u1",
}
"""Valid arguments of operations by name, and by contract if contracts differ."""
OTHER_ARGUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("storage", "create_container"): {"name": "acme-archive"},
    ("storage", "delete_container"): {"name": "acme-archive"},
    ("payments", "change_subscription"): {"quantity": 2},
    ("shops", "refund"): {"amount": Money("1.00", "USD")},
    ("sms", "send_template"): {
        "message": TemplateMessage(to="+4915112345678", channel="whatsapp", template="order_ready")
    },
}
"""Arguments of operations that need one of several, or a message of their own."""
OPEN = {("storage", "upload", "source")}
"""Arguments of so many types that a wrong one shows only when it is read."""


@attrs.frozen(kw_only=True)
class RecordingVendor(Vendor):
    """A vendor for all contracts that records each argument passed to it."""

    name: ClassVar[str] = "everything"
    kinds: ClassVar[tuple[str, ...]] = tuple(FLOWS)
    capabilities: ClassVar[frozenset[str]] = frozenset(
        (
            *EmailCapability,
            *SmsCapability,
            *PaymentsCapability,
            *ShippingCapability,
            *StorageCapability,
            *ChatCapability,
            *EinvoiceCapability,
            *CurrenciesCapability,
            *TaxCapability,
            *PeopleCapability,
            *CalendarsCapability,
            *PushCapability,
            *AccountingCapability,
            *BankCapability,
            *SignaturesCapability,
            *ShopsCapability,
        )
    )
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        MOVING, UnknownOutcome.LOOKED_UP
    )
    told: list[tuple[str, Any, Any]] = attrs.field(factory=list)

    def services(self) -> Mapping[str, Service]:
        """Return a service that is never called."""
        return {"": Service("everything", "https://all.example", credentials=Credentials.none())}

    def __getattr__(self, method_name: str) -> Any:
        if method_name.startswith("_"):
            raise AttributeError(method_name)

        async def record_call(_: Any, *value: Any, **named: Any) -> Any:
            self.told.append((method_name, value, named))
            raise VendorReached

        return record_call


class VendorReached(Exception):
    """The exception by which the fake vendor shows that it was called."""


def names() -> dict[str, Any]:
    """Return the names in annotations that only type checkers import."""
    fields: dict[str, Any] = {}
    for module in (
        "contracts.accounting",
        "contracts.address",
        "contracts.bank",
        "contracts.calendars",
        "contracts.chat",
        "contracts.currencies",
        "contracts.einvoices",
        "contracts.email_address",
        "contracts.email_outcomes",
        "contracts.email_received",
        "contracts.email_suppressions",
        "contracts.payments",
        "contracts.people",
        "contracts.push",
        "contracts.shipping",
        "contracts.shops",
        "contracts.signatures",
        "contracts.signed",
        "contracts.sms",
        "contracts.sms_opt_outs",
        "contracts.sms_templates",
        "contracts.storage",
        "contracts.tax",
        "contracts.tax_calculation",
        "contracts.verification",
        "domain.secrets.secret",
        "domain.values.result",
        "services.transfers.downloading",
        "services.transfers.uploading",
    ):
        fields |= vars(import_module(f"moorage.{module}"))
    annotation_types: dict[str, Any] = {
        "Callable": Callable,
        "Iterable": Iterable,
        "Mapping": Mapping,
        "Sequence": Sequence,
        "date": date,
        "datetime": datetime,
        "timedelta": timedelta,
    }
    return (
        fields | annotation_types | {"HttpMethod": HttpMethod, "Ref": Ref, "UploadSource": object}
    )


VERBS = [(kind, name) for kind in FLOWS for name in contract(kind).operation_effects()]


def required_arguments(contract: str, method_name: str) -> dict[str, Any]:
    """Return valid values for the required arguments of a method."""
    required_values = {
        name: VALID_ARGUMENTS[name]
        for name, parameter in inspect.signature(
            getattr(FLOWS[contract], method_name)
        ).parameters.items()
        if name != "self" and parameter.default is parameter.empty and name in VALID_ARGUMENTS
    }
    values = {
        name: value[contract] if isinstance(value, dict) and contract in value else value
        for name, value in required_values.items()
    }
    return values | OTHER_ARGUMENTS.get((contract, method_name), {})


def has_type(value: object, hint: Any) -> bool:
    """Return whether a value has the outermost type of an annotation."""
    origin = get_origin(hint)
    if origin is Union or origin is UnionType:
        return any(has_type(value, arg) for arg in get_args(hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return type(value) is int
    if hint is str and isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return isinstance(value, origin or hint)


async def result_of_call(
    vendor: RecordingVendor, call: Callable[[], Any]
) -> tuple[Exception | None, bool]:
    """Return the error of a call, and whether the call has reached the vendor."""
    vendor.told.clear()
    try:
        call_result = call()
        call_result = await call_result if inspect.isawaitable(call_result) else call_result
    except (ConnectorError, VendorReached) as error:
        return error, bool(vendor.told)
    for result in call_result if isinstance(call_result, list) else ():
        assert isinstance(result.error, (ConnectorError, VendorReached))
        return result.error, bool(vendor.told)
    return None, bool(vendor.told)


@pytest.mark.parametrize("mode", [Hub, AsyncHub], ids=["sync", "async"])
@pytest.mark.parametrize("contract, method_name", VERBS, ids=lambda name: name)
def test_wrong_type_is_refused_by_name(contract: str, method_name: str, mode: type[Any]) -> None:
    """An argument of a wrong type is refused with its name, and the vendor is not called."""
    flow = getattr(FLOWS[contract], method_name)
    module = vars(import_module(flow.__module__))
    hints = get_type_hints(flow, module | names())
    default_arguments = required_arguments(contract, method_name)
    vendor = RecordingVendor()

    async def check() -> None:
        hub = mode([Account("main", vendor, settings={"volatile_keys": True})])
        contract_api = getattr(hub, contract)()
        for argument in inspect.signature(flow).parameters:
            if argument == "self":
                continue
            for junk in JUNK:
                options = {**default_arguments, argument: junk}
                error, result = await result_of_call(
                    vendor, partial(getattr(contract_api, method_name), **options)
                )
                if (contract, method_name, argument) in OPEN or has_type(junk, hints[argument]):
                    continue
                text = f"{argument}={junk!r} ended with {error!r}"
                assert isinstance(error, (InvalidData, ConfigurationError)), text
                name = error.field if isinstance(error, InvalidData) else error.path
                assert {"what": "ref"}.get(argument, argument) == name, text
                assert not result, text
        closing = hub.close()
        if inspect.isawaitable(closing):
            await closing

    asyncio.run(check())


@pytest.mark.parametrize("reason", list(RefundReason))
def test_enum_members_may_be_texts(reason: RefundReason) -> None:
    """If an argument is the text of an enum member, the vendor gets the member."""
    vendor = RecordingVendor()
    payments = Hub([Account("main", vendor, settings={"volatile_keys": True})]).payments()
    for value in (reason, reason.value):
        with pytest.raises(VendorReached):
            payments.refund(REF, reason=value, idempotency_key="k")
        assert reason is vendor.told[-1][2]["reason"]
