"""Sandboxes of several contracts keep their states and lists as the real vendors do."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from moorage.domain.http.requests import Headers
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData
from moorage.testing.sandboxes.accounting.xero import XeroSandbox
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.calendars.google_calendar import GoogleCalendarSandbox
from moorage.testing.sandboxes.calendars.microsoft_calendar import MicrosoftCalendarSandbox
from moorage.testing.sandboxes.einvoices.ksef import KsefSandbox
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.testing.sandboxes.payments.checkout_com import CheckoutComSandbox
from moorage.testing.sandboxes.payments.gocardless_payments import GoCardlessPaymentsSandbox
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.testing.sandboxes.payments.razorpay import RazorpaySandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.sandboxes.people.scim import ScimSandbox
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shops.shopify import ShopifySandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.testing.sandboxes.sms.bird import BirdSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.tax.stripe_tax import StripeTaxSandbox
from moorage.vendors.accounting.xero import Xero
from moorage.vendors.sms.bird import Bird

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Sandbox

GOOGLE_EVENTS = "/calendar/v3/calendars/ada@example.com/events"
GRAPH_EVENTS = "/v1.0/users/ada@example.com/calendars/AAMkAGVmMDEzMTM4/events"
GRAPH_DELTA = GRAPH_EVENTS.replace("/events", "/calendarView/delta")


def allowed(sandbox: Any) -> Any:
    """Return a sandbox that accepts requests without credentials."""
    sandbox.check_access = lambda _: None
    return sandbox


def ask(sandbox: Sandbox, method: str, url: str, body: object = None, **headers: str) -> Response:
    """Return the response to a request with a JSON body, or with none."""
    parts = urlsplit(url)
    fields = Headers({"Content-Type": "application/json", **headers})
    content = b"" if body is None else encode_json(body)
    query = tuple(parse_qsl(parts.query))
    return sandbox.answer(SandboxRequest(method, "", parts.path, query, fields, content))


def google_event(hour: int, **fields: Any) -> dict[str, Any]:
    """Return an event of one hour in Google's format."""
    start, end = f"2031-05-06T{hour:02}:00:00", f"2031-05-06T{hour + 1:02}:00:00"
    times = {"start": {"dateTime": f"{start}Z"}, "end": {"dateTime": f"{end}Z"}}
    return {"summary": f"At {hour}", **times, **fields}


def graph_event(hour: int, **fields: Any) -> dict[str, Any]:
    """Return an event of one hour in Microsoft's format."""
    start, end = f"2031-05-06T{hour:02}:00:00", f"2031-05-06T{hour + 1:02}:00:00"
    times = {
        name: {"dateTime": at, "timeZone": "UTC"} for name, at in (("start", start), ("end", end))
    }
    return {"subject": f"At {hour}", **times, **fields}


def test_google_lists_each_event_once_and_reports_changes_between_pages() -> None:
    """A change between two pages skips or repeats no event, and is in the next list of changes."""
    sandbox = allowed(GoogleCalendarSandbox())
    sandbox.largest_page = 2
    ids = [
        ask(sandbox, "POST", GOOGLE_EVENTS, google_event(hour)).json()["id"] for hour in range(3)
    ]
    period = "timeMin=2031-01-01T00:00:00Z&timeMax=2031-12-31T00:00:00Z"
    first = ask(sandbox, "GET", f"{GOOGLE_EVENTS}?{period}").json()
    ask(sandbox, "PATCH", f"{GOOGLE_EVENTS}/{ids[0]}", {"summary": "Later"})
    ask(sandbox, "DELETE", f"{GOOGLE_EVENTS}/{ids[1]}")
    token = first["nextPageToken"]
    last = ask(sandbox, "GET", f"{GOOGLE_EVENTS}?{period}&pageToken={token}").json()
    changes = ask(sandbox, "GET", f"{GOOGLE_EVENTS}?syncToken={last['nextSyncToken']}").json()

    assert ids == [item["id"] for page in (first, last) for item in page["items"]]
    assert ids[:2] == [item["id"] for item in changes["items"]]
    assert 400 == ask(sandbox, "GET", f"{GOOGLE_EVENTS}?{period}&pageToken=page-0").status


def test_microsoft_lists_each_event_once_and_reports_changes_between_pages() -> None:
    """Changes between two pages skip or repeat no event, and are in the next list of changes."""
    sandbox = allowed(MicrosoftCalendarSandbox())
    sandbox.largest_page = 2
    ids = [ask(sandbox, "POST", GRAPH_EVENTS, graph_event(hour)).json()["id"] for hour in range(3)]
    period = "startDateTime=2031-01-01T00:00:00&endDateTime=2031-12-31T00:00:00"
    first = ask(sandbox, "GET", f"{GRAPH_DELTA}?{period}").json()
    ask(sandbox, "DELETE", f"/v1.0/users/ada@example.com/events/{ids[0]}")
    last = ask(sandbox, "GET", first["@odata.nextLink"]).json()
    changes = ask(sandbox, "GET", last["@odata.deltaLink"]).json()

    assert ids == [item["id"] for page in (first, last) for item in page["value"]]
    assert [ids[0]] == [item["id"] for item in changes["value"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"end": {"dateTime": "2031-05-06T06:00:00Z"}},
        {"start": {"dateTime": "2031-05-06T07:00:00"}},
        {"start": {"dateTime": "2031-05-06T07:00:00", "timeZone": "Europe/Atlantis"}},
        {"start": {"dateTime": "yesterday", "timeZone": "UTC"}},
        {"start": {"date": "2031-13-45"}},
    ],
    ids=["end", "no zone", "unknown zone", "text", "day"],
)
def test_google_refuses_impossible_times_without_an_effect(changes: dict[str, Any]) -> None:
    """An event with impossible times is refused, and neither stored nor changed."""
    sandbox = allowed(GoogleCalendarSandbox())
    assert 400 == ask(sandbox, "POST", GOOGLE_EVENTS, google_event(7, **changes)).status
    assert [] == [*sandbox.events()]

    event = ask(sandbox, "POST", GOOGLE_EVENTS, google_event(7)).json()
    assert 400 == ask(sandbox, "PATCH", f"{GOOGLE_EVENTS}/{event['id']}", changes).status
    assert event == ask(sandbox, "GET", f"{GOOGLE_EVENTS}/{event['id']}").json()


def test_google_reads_a_local_time_in_its_time_zone() -> None:
    """A time without an offset is a time of the given time zone, not of this computer."""
    sandbox = allowed(GoogleCalendarSandbox())
    times = {
        name: {"dateTime": f"2031-05-06T{hour}:00:00", "timeZone": "America/New_York"}
        for name, hour in (("start", "07"), ("end", "08"))
    }
    event = ask(sandbox, "POST", GOOGLE_EVENTS, google_event(7, **times)).json()

    assert "2031-05-06T07:00:00-04:00" == event["start"]["dateTime"]
    assert 11 == sandbox.events()[0].start.hour


@pytest.mark.parametrize(
    "changes",
    [
        {"end": {"dateTime": "2031-05-06T06:00:00", "timeZone": "UTC"}},
        {"start": {"dateTime": "2031-05-06T07:00:00", "timeZone": "Europe/Atlantis"}},
        {"start": {"dateTime": "yesterday", "timeZone": "UTC"}},
    ],
    ids=["end", "unknown zone", "text"],
)
def test_microsoft_refuses_impossible_times_without_an_effect(changes: dict[str, Any]) -> None:
    """An event with impossible times is refused, and neither stored nor changed."""
    sandbox = allowed(MicrosoftCalendarSandbox())
    assert 400 == ask(sandbox, "POST", GRAPH_EVENTS, graph_event(7, **changes)).status
    assert [] == [*sandbox.events()]

    event = ask(sandbox, "POST", GRAPH_EVENTS, graph_event(7)).json()
    path = f"/v1.0/users/ada@example.com/events/{event['id']}"
    assert 400 == ask(sandbox, "PATCH", path, changes).status
    assert event == ask(sandbox, "GET", path).json()


def new_envelope(sandbox: DocusignSandbox, status: str, *emails: str) -> str:
    """Create an envelope whose embedded signers sign one after the other; return its id."""
    signers = [
        {
            "email": email,
            "name": email,
            "recipientId": str(number),
            "routingOrder": str(number),
            "clientUserId": email,
        }
        for number, email in enumerate(emails, 1)
    ]
    document = {"documentBase64": b64encode(b"%PDF").decode(), "name": "a.pdf", "documentId": "1"}
    body = {
        "status": status,
        "emailSubject": "Sign",
        "documents": [document],
        "recipients": {"signers": signers},
    }
    path = f"/restapi/v2.1/accounts/{sandbox.account_id}/envelopes"
    response = ask(sandbox, "POST", path, body)
    assert (201, status) == (response.status, response.json()["status"])
    return str(response.json()["envelopeId"])


def test_docusign_draft_is_sent_later() -> None:
    """A draft can be neither signed nor voided until it is sent."""
    sandbox = allowed(DocusignSandbox())
    id_ = new_envelope(sandbox, "created", "ada@example.com")
    path = f"/restapi/v2.1/accounts/{sandbox.account_id}/envelopes/{id_}"
    assert "created" == ask(sandbox, "GET", path).json()["status"]
    assert 400 == ask(sandbox, "PUT", path, {"status": "voided", "voidedReason": "No"}).status
    for act in (sandbox.sign, sandbox.view):
        with pytest.raises(InvalidData, match="cannot sign now"):
            act(id_, "ada@example.com")
    with pytest.raises(InvalidData, match="no signer"):
        sandbox.sign(id_, "eve@example.com")

    assert 200 == ask(sandbox, "PUT", path, {"status": "sent"}).status
    sandbox.sign(id_, "ada@example.com")
    assert "completed" == ask(sandbox, "GET", path).json()["status"]


def test_docusign_gives_no_link_to_a_signer_before_their_turn() -> None:
    """The second signer gets a link only after the first one has signed."""
    sandbox = allowed(DocusignSandbox())
    id_ = new_envelope(sandbox, "sent", "ada@example.com", "bob@example.com")
    path = f"/restapi/v2.1/accounts/{sandbox.account_id}/envelopes/{id_}/views/recipient"

    def link(email: str) -> Response:
        person = {"email": email, "userName": email, "clientUserId": email}
        settings = {"returnUrl": "https://erp.example", "authenticationMethod": "none"}
        return ask(sandbox, "POST", path, {**person, **settings})

    assert [201, 400] == [link(f"{name}@example.com").status for name in ("ada", "bob")]
    assert "RECIPIENT_NOT_IN_SEQUENCE" == link("bob@example.com").json()["errorCode"]
    sandbox.sign(id_, "ada@example.com")
    assert 201 == link("bob@example.com").status


def test_finished_envelope_is_neither_declined_nor_expired() -> None:
    """A completed envelope cannot be declined or expire; a signer out of turn cannot decline."""
    sandbox = allowed(DocusignSandbox())
    id_ = new_envelope(sandbox, "sent", "ada@example.com", "bob@example.com")
    with pytest.raises(InvalidData, match="cannot sign now"):
        sandbox.decline(id_, "bob@example.com", "Too early")
    for name in ("ada", "bob"):
        sandbox.sign(id_, f"{name}@example.com")
    with pytest.raises(InvalidData, match="cannot sign now"):
        sandbox.decline(id_, "ada@example.com", "Too late")
    with pytest.raises(InvalidData, match="cannot expire"):
        sandbox.expire(id_)


def test_ksef_redeems_each_of_two_logins_once() -> None:
    """Two processes that log in at the same time each get one access token."""
    sandbox = allowed(KsefSandbox())
    sandbox._logins = {"AU-1": True, "AU-2": True}  # noqa: SLF001 - what two logins leave
    for number in ("AU-1", "AU-2", "AU-2"):
        assert 200 == ask(sandbox, "GET", f"/v2/auth/{number}").json()["status"]["code"]
    statuses = [ask(sandbox, "POST", "/v2/auth/token/redeem").status for _ in range(3)]

    assert [200, 200, 400] == statuses


def test_shopify_refuses_wrong_quantities_and_prices() -> None:
    """A parcel with no or negative items, negative stock, and an invalid price are refused."""
    sandbox = allowed(ShopifySandbox())
    order = sandbox._orders[sandbox.add_order(2)]  # noqa: SLF001 - its parts are not public
    part = order["fulfillmentOrders"]["nodes"][0]
    [item] = part["lineItems"]["nodes"]
    path = next(iter(sandbox.routes())).removeprefix("POST ")

    def errors(mutation: str, variables: dict[str, Any]) -> list[Any]:
        body = ask(sandbox, "POST", path, {"query": mutation, "variables": variables}).json()
        found_errors: list[Any] = next(iter(body["data"].values()))["userErrors"]
        return found_errors

    fulfil = (
        "mutation($f: FulfillmentInput!) { fulfillmentCreate(fulfillment: $f)"
        " { fulfillment { id } userErrors { message } } }"
    )
    for quantity in (0, -1, 3):
        items = [{"id": item["id"], "quantity": quantity}]
        group = {"fulfillmentOrderId": part["id"], "fulfillmentOrderLineItems": items}
        assert errors(fulfil, {"f": {"lineItemsByFulfillmentOrder": [group]}})
    assert 2 == item["remainingQuantity"]

    price = (
        "mutation($p: ID!, $v: [ProductVariantsBulkInput!]!)"
        " { productVariantsBulkUpdate(productId: $p, variants: $v)"
        " { productVariants { id } userErrors { message } } }"
    )
    product, variant = "gid://shopify/Product/10", "gid://shopify/ProductVariant/20"
    for text in ("-1", "cheap"):
        assert errors(price, {"p": product, "v": [{"id": variant, "price": text}]})
    assert "19.90" == sandbox.price()


def test_woocommerce_refuses_a_negative_refund() -> None:
    """A negative amount is not refunded."""
    sandbox = allowed(WooCommerceSandbox())
    path = f"/wp-json/wc/v3/orders/{sandbox.add_order(1)}/refunds"

    assert [500, 201] == [
        ask(sandbox, "POST", path, {"amount": amount}).status for amount in ("-0.50", "0.50")
    ]


def test_canceled_email_is_not_delivered() -> None:
    """Resend does not deliver a scheduled email that was canceled, but still shows its state."""
    sandbox = allowed(ResendSandbox())
    body = {"from": "shop@example.com", "to": "a@example.com", "subject": "Hi", "text": "x"}
    body |= {"scheduled_at": "2031-05-06T07:08:09Z"}
    id_ = ask(sandbox, "POST", "/emails", body).json()["id"]
    statuses = [ask(sandbox, "POST", f"/emails/{id_}/cancel").status for _ in range(2)]

    assert [200, 422] == statuses
    assert [] == sandbox.delivered
    assert "canceled" == ask(sandbox, "GET", f"/emails/{id_}").json()["last_event"]


def test_codes_have_six_digits() -> None:
    """Each of many codes that an SMS vendor sends has six digits."""
    codes = SentCodes(attempts=3)
    for number in range(200):
        codes.send(str(number), f"+49{number}")

    assert {6} == {len(code) for code in codes.codes.values()}


def test_easypost_lists_the_newest_shipments_first() -> None:
    """A list has the shipments of the account, and continues before a shipment."""
    sandbox = allowed(EasyPostSandbox())
    address = {"street1": "1 Pier", "city": "Austin", "zip": "78701", "country": "US"}
    fields = {"to_address": address, "from_address": address, "parcel": {"weight": 16}}
    created = [
        ask(sandbox, "POST", "/v2/shipments", {"shipment": fields}).json()["id"] for _ in range(3)
    ]
    first = ask(sandbox, "GET", "/v2/shipments?page_size=2").json()
    url = f"/v2/shipments?before_id={first['shipments'][-1]['id']}"
    last = ask(sandbox, "GET", url).json()

    assert created[::-1] == [item["id"] for page in (first, last) for item in page["shipments"]]
    assert [True, False] == [first["has_more"], last["has_more"]]
    assert 422 == ask(sandbox, "GET", "/v2/shipments?page_size=101").status


def test_scim_replaces_the_password_and_lists_no_entries_for_a_negative_count() -> None:
    """A PUT with a password sets it, and a negative count means zero, as RFC 7644 says."""
    sandbox = allowed(ScimSandbox())
    kind = {"Content-Type": "application/scim+json"}
    ada = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada"}
    created = ask(sandbox, "POST", "/scim/v2/Users", {**ada, "password": "first-1"}, **kind)
    path = f"/scim/v2/Users/{created.json()['id']}"
    ask(sandbox, "PUT", path, {**ada, "password": "second-2"}, **kind)
    ask(sandbox, "PUT", path, ada, **kind)
    page = ask(sandbox, "GET", "/scim/v2/Users?count=-1").json()

    assert ["second-2"] == [account.password for account in sandbox.accounts()]
    assert (1, []) == (page["totalResults"], page["Resources"])


def test_stripe_tax_forgets_keys_after_a_day() -> None:
    """Stripe repeats a calculation for its key for a day, and then makes another one."""
    now = 1_930_000_000.0
    sandbox = allowed(StripeTaxSandbox(now=lambda: now))
    form = {
        "currency": "eur",
        "tax_date": str(int(now)),
        "customer_details[address][country]": "DE",
        "line_items[0][amount]": "100",
        "line_items[0][quantity]": "1",
        "line_items[0][reference]": "1",
        "line_items[0][tax_behavior]": "exclusive",
    }
    fields = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k"}
    content = urlencode(form).encode()
    request = SandboxRequest("POST", "", "/v1/tax/calculations", (), Headers(fields), content)
    ids: list[str] = []
    for delay in (0.0, 86_399.0, 1.0):
        now += delay
        ids.append(sandbox.answer(request).json()["id"])

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "make_sandbox, vendor, line, body",
    [
        (
            XeroSandbox,
            Xero,
            "PUT /api.xro/2.0/ManualJournals",
            {"ManualJournals": [{"Narration": "May", "JournalLines": []}]},
        ),
        (
            BirdSandbox,
            Bird,
            "POST /v1/sms/messages",
            {"to": "+4915112345678", "from": "ACME", "text": "Hi", "category": "service"},
        ),
    ],
)
def test_sandboxes_forget_keys_when_the_vendor_may(
    make_sandbox: Any, vendor: Any, line: str, body: dict[str, Any]
) -> None:
    """Until the vendor may forget a key, its response is repeated; then the request is executed."""
    now = 1_930_000_000.0
    sandbox = allowed(make_sandbox(now=lambda: now))
    method, _, path = line.partition(" ")
    contents: list[bytes] = []
    for delay in (0.0, vendor.idempotency.memory - 1.0, 1.0):
        now += delay
        contents.append(ask(sandbox, method, path, body, **{"Idempotency-Key": "k"}).body)

    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    "make_sandbox, objects, fields, step",
    [
        (StripeSandbox, "intents", {"status": "succeeded"}, "authenticate"),
        (StripeSandbox, "links", {"active": False}, "use_link"),
        (RazorpaySandbox, "orders", {"status": "paid"}, "visit"),
        (RazorpaySandbox, "links", {"status": "cancelled"}, "use_link"),
        (MollieSandbox, "payments", {"status": "expired"}, "visit"),
        (GoCardlessPaymentsSandbox, "billing_requests", {"status": "fulfilled"}, "visit"),
        (CheckoutComSandbox, "payments", SimpleNamespace(status="Declined"), "visit"),
    ],
)
def test_sandbox_refuses_buyer_steps_for_paid_or_ended_objects(
    make_sandbox: Any, objects: str, fields: Any, step: str
) -> None:
    """A sandbox refuses a buyer's step for an object that is already paid or has ended."""
    sandbox = make_sandbox()
    getattr(sandbox, objects)["x-1"] = fields
    with pytest.raises(InvalidData, match=r"x-1 is .*not possible"):
        getattr(sandbox, step)("x-1")
    assert [] == sandbox.sent
