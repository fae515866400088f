"""Hubs that send nothing or only to allowed recipients, and test hubs without live accounts."""

from __future__ import annotations

import importlib
import inspect
import os
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    Account,
    AsyncHub,
    ConfigurationError,
    ConnectorManager,
    DryRun,
    HeldBack,
    Hub,
    HubConfiguration,
    RecipientRefused,
    Rehearsed,
    Request,
    Route,
    Safety,
    Service,
)
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.effects import has_effect
from moorage.contracts.email import EmailMessage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.push import PushMessage, PushTopic
from moorage.contracts.routes import RoutingRequest
from moorage.contracts.sms import SmsMessage
from moorage.hub.manager import AsyncConnectorManager
from moorage.testing.kits._einvoices_harness import outgoing_invoice
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email.mailgun import Mailgun
from moorage.vendors.email.postmark import Postmark
from moorage.vendors.email.sendgrid import SendGrid
from moorage.vendors.payments.adyen import Adyen
from moorage.vendors.payments.braintree import Braintree
from moorage.vendors.payments.checkout_com import CheckoutCom
from moorage.vendors.payments.gocardless_payments import GoCardlessPayments
from moorage.vendors.payments.mollie import Mollie
from moorage.vendors.payments.paypal import PayPal
from moorage.vendors.payments.razorpay import Razorpay
from moorage.vendors.payments.square import Square
from moorage.vendors.payments.stripe import Stripe
from moorage.vendors.shipping.dhl_express import DhlExpress
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.fedex import FedEx
from moorage.vendors.shipping.shipengine import ShipEngine
from moorage.vendors.shipping.shippo import Shippo
from moorage.vendors.shipping.ups import Ups
from moorage.vendors.storage.local_files import LocalFiles
from moorage.wiring.installed_vendors import vendor_class
from tests.contracts.caller import MODES, PigeonHubs, result_of
from tests.reload.harness import ReloadHarness
from tests.storage.harnesses import s3_account, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")
DRY = Safety(dry_run=True)
ACME: Any = ["acme"]


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_operation_is_declared(kind: str) -> None:
    """The declaration of each contract lists exactly the operations that exist."""
    flows = getattr(
        importlib.import_module(f"moorage.operations.{kind}"), f"{kind.capitalize()}Flows"
    )
    flow_names = {name for name, _ in inspect.getmembers(flows, inspect.iscoroutinefunction)}

    assert contract(kind).operation_effects().keys() == {
        name for name in flow_names if not name.startswith("_")
    }


@pytest.mark.parametrize("hub_class", [Hub, AsyncHub])
def test_dry_run_of_a_hub_is_in_its_safety(hub_class: type[Any]) -> None:
    """A hub refuses the argument dry_run, because only a service manager has it."""
    with pytest.raises(ConfigurationError, match="has no argument dry_run") as excinfo:
        hub_class([], dry_run=True)
    assert "dry_run" == excinfo.value.path


def test_only_operations_declared_read_only_have_no_effect() -> None:
    """An operation is assumed to have an effect unless its contract declares it read-only."""
    requests = {
        name: RoutingRequest(kind=kind, operation=name)
        for kind, name in [("sms", "get"), ("sms", "send_bulk"), ("fax", "send")]
    }

    assert ["get"] == [name for name, request in requests.items() if not has_effect(request)]


@MODES
async def test_rehearsal_sends_nothing(hub_class: type[Any]) -> None:
    """In a rehearsal, operations with effects send no request, while reads are sent."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    ref = (await result_of(hub.sms().send(MESSAGE))).ref
    accounts = tuple(hubs.accounts)
    await result_of(
        hub.reload(HubConfiguration(accounts=accounts, routes=[Route("sms", "one")], safety=DRY))
    )

    for key in (None, "k-1"):
        with pytest.raises(DryRun) as excinfo:
            await result_of(hub.sms("acme").send(MESSAGE, idempotency_key=key))
        assert ("one", "sms.send") == (excinfo.value.service, excinfo.value.operation)
        assert "POST /letters" == excinfo.value.request
        assert isinstance(excinfo.value, HeldBack)
    (result,) = await result_of(hub.sms().send_bulk([MESSAGE]))
    assert isinstance(result.error, DryRun)
    assert ref == (await result_of(hub.sms().get(ref))).ref

    assert 1 == len(hubs.one.letters)
    rehearsed = [event for event in hubs.told.events if isinstance(event, Rehearsed)]
    assert ("one", "sms.send", "acme", "POST /letters") == (
        rehearsed[0].service,
        rehearsed[0].operation,
        rehearsed[0].tenant,
        rehearsed[0].request,
    )
    assert 3 == len(rehearsed)
    assert MESSAGE.to not in repr(rehearsed)

    await result_of(hub.reload(HubConfiguration(accounts=accounts, routes=[Route("sms", "one")])))
    await result_of(hub.sms("acme").send(MESSAGE, idempotency_key="k-1"))
    assert 2 == len(hubs.one.letters)


@MODES
async def test_rehearsal_without_observers(hub_class: type[Any]) -> None:
    """A rehearsal of a hub without observers sends nothing, either."""
    hubs = PigeonHubs()
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    hub = hub_class(hubs.accounts[:1], http=client(hubs.one), safety=DRY)

    with pytest.raises(DryRun):
        await result_of(hub.sms().send(MESSAGE))


@MODES
async def test_rehearsal_of_transports_and_signed_urls(
    hub_class: type[Any], tmp_path: Path
) -> None:
    """A rehearsal holds back writes by transports, and signed URLs that permit writing."""
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    with sandbox() as bucket:
        accounts = [Account("folder", LocalFiles(root=str(tmp_path))), s3_account(bucket)]
        routes = [Route("storage", "folder"), Route("storage", "s3", tenant="acme")]
        hub = hub_class(accounts, routes, http=client(bucket), safety=DRY)

        with pytest.raises(DryRun) as excinfo:
            await result_of(hub.storage().upload("a.txt", b"a"))
        assert [] == os.listdir(tmp_path)  # noqa: PTH208 - nothing waits for it
        assert "folder" == excinfo.value.service
        storage = hub.storage("acme")
        assert (await result_of(storage.signed_url("a.txt"))).url
        held_back: list[Callable[[], Any]] = [
            lambda: storage.signed_url("a.txt", "PUT"),
            lambda: storage.signed_post("a.txt", largest=5),
            lambda: storage.delete("a.txt"),
        ]
        for item in held_back:
            with pytest.raises(DryRun):
                await result_of(item())
        (deletion,) = await result_of(storage.delete_many(["a.txt"]))
        assert isinstance(deletion.error, DryRun)
        assert [] == bucket.requests


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_manager_in_a_rehearsal_sends_only_safe_requests(is_async: bool) -> None:
    """During a rehearsal a manager sends only safe requests without an idempotency key."""
    town = ReloadHarness()
    reports: list[Any] = []
    make: Any = AsyncConnectorManager if is_async else ConnectorManager
    manager = make(
        [Service("a", "https://a.example")],
        http=town.client(is_async=is_async),
        dry_run=True,
        observers=[reports.append],
    )
    await result_of(manager.call("a", Request.get("/a")))
    await result_of(manager.run("a", _answer_later if is_async else _now))
    manager.reload([Service("a", "https://b.example")])
    get, post = Request.get("/g"), Request.post("/p?secret=1", json={})

    held_back: list[Callable[[], Any]] = [
        lambda: manager.call("a", post),
        lambda: manager.call("a", get, idempotency_key="k"),
        lambda: manager.stream("a", post),
        lambda: manager.run("a", _answer_later if is_async else _now, idempotency_key="k"),
    ]
    for item in held_back:
        with pytest.raises(DryRun) as excinfo:
            await result_of(item())
        assert "a" == excinfo.value.service
    (result,) = await result_of(manager.call_many("a", [post]))

    assert isinstance(result.error, DryRun)
    assert ["https://a.example/a"] == town.sent
    requests = [report.request for report in reports if isinstance(report, Rehearsed)]
    assert ["POST /p", "GET /g", "POST /p", "a function", "POST /p"] == requests


def _now() -> int:
    return 1


async def _answer_later() -> int:
    return 1


@MODES
async def test_services_of_a_hub_are_rehearsed(hub_class: type[Any]) -> None:
    """During a rehearsal, a hub's plain services send nothing, either."""
    town = ReloadHarness()
    hub = hub_class(
        [],
        services=[Service("a", "https://a.example", retry=None)],
        http=town.client(is_async=hub_class is not Hub),
        safety=DRY,
    )
    post = Request.post("/p", json={})
    with pytest.raises(DryRun):
        await result_of(hub.manager.call("a", post))

    await result_of(
        hub.reload(HubConfiguration(services=[Service("a", "https://a.example", retry=None)]))
    )

    await result_of(hub.manager.call("a", post))
    assert ["https://a.example/p"] == town.sent


@MODES
async def test_text_messages_need_an_allowed_number(hub_class: type[Any]) -> None:
    """With allowed recipients, a message to another number is refused before sending."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class, safety=Safety(recipients=["+4930*"]))
    berlin = SmsMessage(to="+493012345678", text="Hello")

    with pytest.raises(RecipientRefused) as excinfo:
        await result_of(hub.sms().send(MESSAGE))
    refused_result, sent_result = await result_of(hub.sms().send_bulk([MESSAGE, berlin]))

    assert ("sms.send", (0,)) == (excinfo.value.operation, excinfo.value.refused)
    assert isinstance(refused_result.error, RecipientRefused)
    assert sent_result.value is not None
    assert [berlin.to] == [letter["to"] for letter in hubs.one.letters.values()]


@MODES
async def test_mails_need_allowed_recipients(hub_class: type[Any]) -> None:
    """Recipients of copies must be allowed, and a bulk email goes to allowed recipients only."""
    sendgrid = SendGridSandbox()
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    vendor = SendGrid(credentials=sendgrid.api_key, sender="erp@example.com")
    hub = hub_class(
        [Account("sendgrid", vendor)],
        http=client(sendgrid),
        safety=Safety(recipients=["example.com"]),
    )
    base: dict[str, Any] = {"subject": "Hello", "text": "Hello"}
    copy_fields: list[dict[str, Any]] = [{"cc": "b@else.example"}, {"bcc": "b@else.example"}]
    for copies in copy_fields:
        with pytest.raises(RecipientRefused) as excinfo:
            await result_of(
                hub.email().send_transactional(EmailMessage(to="a@example.com", **copies, **base))
            )
        assert ("email.send_transactional", (1,)) == (
            excinfo.value.operation,
            excinfo.value.refused,
        )
    bulk = BulkMessage(
        base=EmailMessage(**base),
        recipients=[
            "x@else.example",
            "a@example.com",
            BulkRecipient(to="b@example.com", bcc="c@else.example"),
            "d@example.com",
        ],
    )
    results = await result_of(hub.email().send_bulk(bulk))

    assert [False, True, False, True] == [result.ok for result in results]
    assert isinstance(results[0].error, RecipientRefused)
    assert "email.send_bulk" == results[0].error.operation
    assert [("a@example.com",), ("d@example.com",)] == [
        message.to for message in sendgrid.delivered
    ]
    assert not any(b"else.example" in request.body for request in sendgrid.requests)


SECRET = "x" * 20
VENDOR_MODES: list[tuple[Any, str | None]] = [
    (Stripe(credentials="sk_live_" + SECRET), "live"),
    (Stripe(credentials="rk_live_" + SECRET), "live"),
    (Stripe(credentials="sk_test_" + SECRET), "test"),
    (Stripe(credentials="rk_test_" + SECRET), "test"),
    (Stripe(credentials=SECRET), None),
    (Stripe(), None),
    (Mollie(credentials="live_" + SECRET), "live"),
    (Mollie(credentials="test_" + SECRET), "test"),
    (PayPal(), "live"),
    (PayPal(sandbox=True), "test"),
    (PayPal(base_url="https://proxy.example"), None),
    (Square(), "live"),
    (Square(base_url="https://connect.squareupsandbox.com"), "test"),
    (CheckoutCom(prefix="vkuhvk4v"), "live"),
    (CheckoutCom(base_url="https://api.sandbox.checkout.com"), "test"),
    (CheckoutCom(base_url="https://proxy.example"), None),
    (GoCardlessPayments(), "live"),
    (GoCardlessPayments(base_url="https://api-sandbox.gocardless.com"), "test"),
    (Braintree(public_key="a", currency="EUR"), "live"),
    (Razorpay(key_id="rzp_live_1"), "live"),
    (Razorpay(key_id="rzp_test_1"), "test"),
    (Adyen(merchant_account="A"), "test"),
    (Adyen(merchant_account="A", live_url_prefix="abc-Company"), "live"),
    (Adyen(merchant_account="A", base_url="https://proxy.example"), None),
    (EasyPost(credentials="EZAK" + SECRET), "live"),
    (EasyPost(credentials="EZTK" + SECRET), "test"),
    (Shippo(credentials="shippo_live_" + SECRET), "live"),
    (Shippo(credentials="shippo_test_" + SECRET), "test"),
    (ShipEngine(credentials="TEST_" + SECRET), "test"),
    (ShipEngine(credentials=SECRET), None),
    (DhlExpress(account_number="1"), "live"),
    (
        DhlExpress(account_number="1", base_url="https://express.api.dhl.com/mydhlapi/test"),
        "test",
    ),
    (Ups(account_number="A1B2C3"), "live"),
    (Ups(account_number="A1B2C3", base_url="https://wwwcie.ups.com"), "test"),
    (FedEx(account_number="1"), "live"),
    (FedEx(account_number="1", sandbox=True), "test"),
    (Postmark(credentials="POSTMARK_API_TEST"), "test"),
    (Postmark(credentials=SECRET), None),
    (SendGrid(sandbox=True), "test"),
    (SendGrid(), None),
    (Mailgun(domain="mg.example", test_mode=True), "test"),
    (Mailgun(domain="mg.example"), None),
    (LocalFiles(root="/tmp"), None),  # noqa: S108 - nothing is written
]


@pytest.mark.parametrize("vendor, mode", VENDOR_MODES, ids=str)
def test_options_determine_if_an_account_is_live(vendor: Any, mode: str | None) -> None:
    """A vendor's options determine whether an account is live or a test account."""
    assert mode == vendor.mode()


def test_live_keys_are_refused_in_tests() -> None:
    """A live key is refused in a test environment, with its configuration path in the error."""
    live_vendor = Stripe(credentials="sk_live_" + SECRET)
    test_vendor = Stripe(credentials="sk_test_" + SECRET)
    custom = Account("acme.stripe", live_vendor, tenants=ACME)
    with pytest.raises(ConfigurationError) as excinfo:
        Hub([Account("stripe", live_vendor)], safety=Safety(live=False))
    with pytest.raises(ConfigurationError) as tenant_error:
        Hub([Account("stripe", test_vendor), custom], safety=Safety(live=False))
    with pytest.raises(ConfigurationError) as other_error:
        Hub([Account("stripe", test_vendor)], safety=Safety(live=True))

    assert "vendors.stripe" == excinfo.value.path
    assert "tenants.acme.vendors.stripe" == tenant_error.value.path
    assert "production" in other_error.value.message
    assert SECRET not in str(excinfo.value)
    safe = Account("stripe", live_vendor, settings={"volatile_keys": True})
    assert "stripe" == Hub([safe], safety=Safety(live=True)).account("stripe").name


@MODES
@pytest.mark.parametrize("kind, vendor", [("push", "firebase"), ("einvoices", "recommand")])
async def test_listed_devices_and_businesses_are_written_to(
    hub_class: type[Any], kind: str, vendor: str, tmp_path: Path
) -> None:
    """Only a listed push topic and a listed business may receive a push or an invoice."""
    fixture = fixture_of(vendor, tmp_path)
    assert fixture.sandbox is not None
    client = SandboxHttpClient if hub_class is Hub else AsyncSandboxHttpClient
    message = (
        PushMessage(to=PushTopic("test-a"), title="Hi") if kind == "push" else outgoing_invoice()
    )
    for entries, is_allowed in ((["topic:test-*", "0088:*"], True), (["example.com"], False)):
        hub = hub_class(
            [Account(vendor, vendor_class(vendor)(**fixture.options))],
            http=client(fixture.sandbox),
            safety=Safety(recipients=entries),
        )
        send = getattr(hub, kind)().send
        if is_allowed:
            assert (await result_of(send(message))).ref.vendor == vendor
        else:
            with pytest.raises(RecipientRefused):
                await result_of(send(message))
