"""If a vendor refuses a value before sending, the next vendor of the route is used."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import (
    Account,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Credentials,
    FailedOver,
    Hub,
    InvalidData,
    Money,
    Route,
    Service,
    UnsupportedByVendor,
)
from moorage.contracts.accounting import ContactQuery
from moorage.contracts.bank import ConsentRequest, PaymentOrder
from moorage.contracts.chat import ChatMessage
from moorage.contracts.email import Attachment, EmailMessage
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import StatisticsQuery
from moorage.contracts.payments import (
    BillingInterval,
    Charge,
    Customer,
    LinkRequest,
    PayeeTransfer,
    StoreRequest,
    SubscriptionRequest,
)
from moorage.contracts.people import NewPerson
from moorage.contracts.push import DeviceToken, PushMessage
from moorage.contracts.shipping import Parcel, RateRequest, ShipmentRequest
from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.contracts.sms import SmsMessage
from moorage.domain.http.requests import Request
from moorage.testing import RecordingObserver
from moorage.testing.kits._einvoices_harness import outgoing_invoice
from moorage.testing.sandbox_scenarios.bank import TRANSFER
from moorage.testing.sandbox_scenarios.shipping import ADA, DECLARED, SHOP
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email.postmark import Postmark
from moorage.vendors.email.resend import Resend
from moorage.vendors.email.sendgrid import SendGrid
from tests.contracts import books
from tests.contracts.caller import MODES, PigeonHubs, result_of
from tests.contracts.test_argument_types import DAY, RecordingVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

TEXT = SmsMessage(to="+4915112345678", text="Hello.")
MAIL = EmailMessage(
    from_="shop@example.com",
    to="ada@example.com",
    subject="Hi",
    text="Hello.",
    tags=["invoice", "vip"],
)
PDF = Attachment(filename="a.pdf", content=b"%PDF", content_type="application/pdf")
UMLAUT = attrs.evolve(MAIL, tags=(), metadata={"kunde": "Müller"}, attachments=[PDF])
NO_CONNECTION = ConnectionFailed("Nobody is there.", may_have_been_processed=False)


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


NO_VALUE = InvalidData("This is no good here.", field="value")
CONSENT = ConsentRequest(return_url=RETURN_URL)
ORDER = PaymentOrder(debtor=IBANS[0], transfer=TRANSFER, return_url=RETURN_URL)
POST = ChatMessage(text="Hello.")
EINVOICE = outgoing_invoice()
SIGNED = SignatureRequest(
    subject="Lease",
    signers=[Signer(name="Ada", email="ada@example.com")],
    documents=[SignatureDocument(name="a.pdf", content=b"%PDF")],
)
PUSH = PushMessage(to=DeviceToken("token"), title="Hello.")
CHARGE = Charge(Money("1", "EUR"), "t", reference="r")
STORED = StoreRequest("tok_1", customer=Customer(id="cus_1"))
TO_PAYEE = PayeeTransfer(Money("1.00", "EUR"), "acct_1", reference="CN-1")
SUBSCRIPTION = SubscriptionRequest(
    Money("1", "EUR"),
    BillingInterval("month"),
    "pm_1",
    customer=Customer(id="cus_1"),
    reference="r",
)
LINK = LinkRequest(Money("1", "EUR"), reference="r")
ADA_LOVELACE = NewPerson(user_name="ada@example.com")
RATES_ABROAD = RateRequest(sender=SHOP, parcels=[Parcel(weight="1")], **DECLARED)
RATES = RateRequest(sender=SHOP, recipient=ADA, parcels=[Parcel(weight="1")])


@attrs.frozen(kw_only=True)
class RefusingVendor(RecordingVendor):
    """A vendor with all capabilities that refuses every value."""

    name: ClassVar[str] = "refusing"
    error: ConnectorError = NO_VALUE
    first: bool = False

    def services(self) -> Mapping[str, Service]:
        """Return a service that is never called."""
        return {"": Service("refusing", "https://one.example", credentials=Credentials.none())}

    def __getattr__(self, verb: str) -> Any:
        if verb.startswith("_"):
            raise AttributeError(verb)

        async def refuse(wire: Any, *_: Any, **__: Any) -> Any:
            if self.first:
                await wire.send(Request.get("/letters/1"))
            # Each call has its own error, which names its account.
            raise copy(self.error)

        return refuse


MOMENTS = {"start": datetime(2026, 3, 1, tzinfo=UTC), "end": datetime(2026, 3, 2, tzinfo=UTC)}

ROUTED_CALLS: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("email", "send_transactional", (MAIL,), {}),
    ("email", "send_transactional", (MAIL,), {"idempotency_key": "k"}),
    ("email", "validate_address", ("ada@example.com",), {}),
    ("email", "get_statistics", (StatisticsQuery(start=DAY, end=DAY),), {}),
    ("sms", "send", (TEXT,), {}),
    ("sms", "send", (TEXT,), {"idempotency_key": "k"}),
    ("sms", "validate_number", ("+4915112345678",), {}),
    ("sms", "check_balance", (), {}),
    ("payments", "create_intent", (CHARGE,), {"idempotency_key": "k"}),
    ("payments", "authorize", (CHARGE,), {"idempotency_key": "k"}),
    ("payments", "charge", (CHARGE,), {"idempotency_key": "k"}),
    ("payments", "payments", (), {}),
    ("payments", "store_means", (STORED,), {"idempotency_key": "k"}),
    ("payments", "stored_means", ("cus_1",), {}),
    ("payments", "create_link", (LINK,), {"idempotency_key": "k"}),
    ("payments", "create_subscription", (SUBSCRIPTION,), {"idempotency_key": "k"}),
    ("payments", "pay_payee", (TO_PAYEE,), {"idempotency_key": "k"}),
    ("shipping", "get_rates", (RATES,), {}),
    ("people", "find", (), {}),
    ("calendars", "calendars", (), {}),
    ("calendars", "free_busy", (["ada@example.com"],), MOMENTS),
    ("people", "groups", (), {}),
    ("people", "create", (ADA_LOVELACE,), {}),
    ("people", "create", (ADA_LOVELACE,), {"idempotency_key": "k"}),
    (
        "shipping",
        "create_shipment",
        (ShipmentRequest(rate_request=RATES),),
        {"idempotency_key": "k"},
    ),
    ("shipping", "track", ("1Z", "ups"), {}),
    ("shipping", "validate_address", (ADA,), {}),
    ("shipping", "find_service_points", (ADA,), {}),
    ("shipping", "estimate_duties", (RATES_ABROAD,), {}),
    ("storage", "upload", ("a.txt", b"x"), {}),
    ("storage", "download", ("a.txt",), {}),
    ("storage", "head", ("a.txt",), {}),
    ("storage", "signed_url", ("a.txt",), {}),
    ("storage", "public_url", ("a.txt",), {}),
    ("storage", "move", ("a.txt", "b.txt"), {}),
    ("storage", "list", (), {}),
    ("shops", "orders", (), {}),
    ("shops", "find_items", ("BOLT-M8",), {}),
    ("chat", "send", (POST,), {}),
    ("chat", "send", (POST,), {"idempotency_key": "k"}),
    ("einvoices", "send", (EINVOICE,), {}),
    ("einvoices", "send", (EINVOICE,), {"idempotency_key": "k"}),
    ("einvoices", "check_recipient", ("0088:1",), {}),
    ("einvoices", "list_received", (), {}),
    ("signatures", "send", (SIGNED,), {}),
    ("signatures", "send", (SIGNED,), {"idempotency_key": "k"}),
    ("push", "send", (PUSH,), {}),
    ("push", "send", (PUSH,), {"idempotency_key": "k"}),
    ("currencies", "rates", (), {}),
    ("tax", "check_vat_number", ("DE136695976",), {}),
    ("accounting", "create_contact", (books.CONTACT,), {"idempotency_key": "k"}),
    ("accounting", "find_contacts", (ContactQuery(name="Mill Ltd"),), {}),
    ("accounting", "accounts", (), {}),
    ("accounting", "tax_rates", (), {}),
    ("accounting", "post_journal", (books.JOURNAL,), {}),
    ("bank", "start_consent", (CONSENT,), {}),
    ("bank", "start_consent", (CONSENT,), {"idempotency_key": "k"}),
    ("bank", "pay", (ORDER,), {"idempotency_key": "k"}),
]

CRASHES = {"volatile_keys": True}
"""Settings that let a payment vendor keep its idempotency keys in memory."""


class VendorReached(ConnectorError):
    """The exception by which the second vendor shows that it was called."""


@pytest.mark.untraced
@MODES
@pytest.mark.parametrize(
    "error",
    [InvalidData("Two tags.", field="tags"), UnsupportedByVendor("No such label.")],
    ids=["value", "feature"],
)
@pytest.mark.parametrize("use", ROUTED_CALLS, ids=lambda use: f"{use[0]}.{use[1]}")
async def test_refused_value_goes_to_the_next_account(
    hub_class: type[Any], error: ConnectorError, use: Any
) -> None:
    """In every contract, a value that a vendor refuses before sending goes to the next account."""
    contract, verb, arguments, named_arguments = use
    result = RecordingObserver()
    accounts = [
        Account("one", RefusingVendor(error=error), settings=CRASHES),
        Account("two", RefusingVendor(error=VendorReached("Here.")), settings=CRASHES),
    ]
    hub = hub_class(accounts, [Route(contract, ["one", "two"])], observers=[result])

    with pytest.raises(VendorReached) as excinfo:
        await result_of(getattr(getattr(hub, contract)(), verb)(*arguments, **named_arguments))
    assert "two" == excinfo.value.service
    failovers = [event for event in result.events if isinstance(event, FailedOver)]
    assert [("one", "two")] == [(event.service, event.to) for event in failovers]


@MODES
@pytest.mark.parametrize(
    "refusing, raised",
    [
        (RefusingVendor(first=True), InvalidData),
        (RefusingVendor(error=InvalidData("No.", field="extra.refusing.x")), InvalidData),
        (RefusingVendor(error=ConfigurationError("No sender.", path="sender")), ConfigurationError),
    ],
    ids=["after a step", "options for one vendor", "configuration"],
)
async def test_other_refusals_stay_with_their_account(
    hub_class: type[Any], refusing: Any, raised: type[Exception]
) -> None:
    """If a request was sent, or the error is of another kind, no other account is used."""
    hubs = PigeonHubs()
    hubs.one.letters["1"] = {"id": "1"}
    accounts = [Account("one", refusing, settings=CRASHES), hubs.accounts[1]]
    hub = hubs.hub(hub_class, accounts=accounts)

    with pytest.raises(raised) as excinfo:
        await result_of(hub.sms().send(TEXT))
    assert ("one", 0) == (excinfo.value.service, len(hubs.two.requests))  # type: ignore[attr-defined]  # all of ours have it


@MODES
async def test_last_refusal_is_raised(hub_class: type[Any]) -> None:
    """If all vendors refuse a value, the error of the last vendor is raised."""
    accounts = [
        Account(name, RefusingVendor(error=InvalidData(name)), settings=CRASHES)
        for name in ("one", "two")
    ]
    hub = hub_class(accounts, [Route("sms", ["one", "two"])])

    with pytest.raises(InvalidData, match="two"):
        await result_of(hub.sms().send(TEXT))


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
async def test_unreachable_account_decides_the_error(hub_class: type[Any], key: str | None) -> None:
    """If the first account is unreachable and others refuse a value, the first error is raised."""
    hubs = PigeonHubs()
    hubs.one.fail(NO_CONNECTION)
    accounts = [hubs.accounts[0], Account("two", RefusingVendor(), settings=CRASHES)]
    hub = hubs.hub(hub_class, accounts=accounts)

    with pytest.raises(ConnectionFailed) as excinfo:
        await result_of(hub.sms().send(TEXT, idempotency_key=key))
    assert "one" == excinfo.value.service
    receipt = await result_of(hub.sms().send(TEXT, idempotency_key=key))
    assert ("one", 1) == (receipt.ref.account, len(hubs.one.letters))


@MODES
@pytest.mark.parametrize("message", [MAIL, UMLAUT], ids=["two tags", "an umlaut"])
async def test_refused_email_goes_to_the_next_vendor(
    hub_class: type[Any], message: EmailMessage
) -> None:
    """Emails that Postmark or Resend cannot send go to SendGrid, alone or in a bulk."""
    postmark, resend, sendgrid = PostmarkSandbox(), ResendSandbox(), SendGridSandbox()
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    first: Any = (
        Postmark(credentials=postmark.token)
        if message is MAIL
        else Resend(credentials=resend.api_key)
    )
    hub = hub_class(
        [
            Account("one", first, settings=CRASHES),
            Account("two", SendGrid(credentials=sendgrid.api_key)),
        ],
        [Route("email", ["one", "two"])],
        http=client(postmark, resend, sendgrid),
    )
    email = hub.email()
    bulk = BulkMessage(
        base=attrs.evolve(message, to=()), recipients=["a@example.com", "b@example.com"]
    )

    receipt = await result_of(email.send_transactional(message, idempotency_key="k-1"))
    results = await result_of(email.send_bulk(bulk, idempotency_key="k-2"))

    assert ["two"] * 3 == [
        receipt.ref.account,
        *(result.unwrap().ref.account for result in results),
    ]
    assert ([], []) == (postmark.requests, resend.requests)


@MODES
async def test_refused_messages_of_a_bulk(hub_class: type[Any]) -> None:
    """Each refused message of a bulk has its own error in the results."""
    resend = ResendSandbox()
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    hub = hub_class([Account("one", Resend(credentials=resend.api_key))], http=client(resend))
    people = [f"person{number}@example.com" for number in range(3)]
    bulk = BulkMessage(base=attrs.evolve(UMLAUT, to=()), recipients=people)

    results = await result_of(hub.email().send_bulk(bulk))
    assert [InvalidData] * 3 == [type(result.error) for result in results]
    assert 3 == len({id(result.error) for result in results})
    assert [] == resend.requests


def test_every_contract_is_tried() -> None:
    """The calls in this file include at least one method of every contract."""
    assert set(RefusingVendor.kinds) == {use[0] for use in ROUTED_CALLS}
