"""SendGrid: requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from moorage import (
    Account,
    AuthenticationFailed,
    Credentials,
    Hub,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Ref,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import EmailMessage, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailStatus,
    StatisticsQuery,
    Verdict,
)
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email._sendgrid_answers import classify
from moorage.vendors.email._sendgrid_events import message_id
from moorage.vendors.email._sendgrid_messages import bulk_body, mail_body
from moorage.vendors.email.sendgrid import SendGrid
from tests.vendors.email_hubs import hub, mail
from tests.vendors.email_sandboxes import sendgrid_vendor

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _body(message: EmailMessage, **options: Any) -> dict[str, Any]:
    return mail_body(SendGrid(**options), message, [{"to": [{"email": "ada@example.com"}]}])


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where SendGrid expects it."""
    body = _body(
        mail(
            html="<p>",
            reply_to="a@example.com",
            tags=["invoice"],
            metadata={"invoice": "7"},
            send_at=NOW,
            track_opens=False,
            track_clicks=True,
            extra={"sendgrid": {"asm": {"group_id": 1}, "tracking_settings": {"x": 1}}, "ses": 1},
        ),
        sandbox=True,
    )

    assert {
        "personalizations": [{"to": [{"email": "ada@example.com"}]}],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "reply_to": {"email": "a@example.com"},
        "subject": "Hi",
        "content": [
            {"type": "text/plain", "value": "Hello."},
            {"type": "text/html", "value": "<p>"},
        ],
        "categories": ["invoice"],
        "custom_args": {"invoice": "7"},
        "send_at": 1772366400,
        "tracking_settings": {
            "open_tracking": {"enable": False},
            "click_tracking": {"enable": True},
            "x": 1,
        },
        "mail_settings": {"sandbox_mode": {"enable": True}},
        "asm": {"group_id": 1},
    } == body


def test_several_answer_addresses_are_a_list() -> None:
    """SendGrid gets several reply addresses in a separate field."""
    body = _body(mail(reply_to=["a@example.com", "b@example.com"]))

    assert [{"email": "a@example.com"}, {"email": "b@example.com"}] == body["reply_to_list"]
    assert "reply_to" not in body


def test_sendgrid_email_with_template_has_no_contents() -> None:
    """A SendGrid email with a template has no contents, and each recipient has its data."""
    body = _body(mail(template=TemplateRef("d-1", {"total": "149.90"})))

    assert "d-1" == body["template_id"]
    assert "content" not in body
    assert {"total": "149.90"} == body["personalizations"][0]["dynamic_template_data"]


def test_sendgrid_refuses_more_than_ten_tags_before_sending() -> None:
    """An email with more than ten tags is refused for SendGrid before sending."""
    with pytest.raises(InvalidData, match="11 tags"):
        _body(mail(tags=[f"t{number}" for number in range(11)]))


def test_bulk_headers_are_merged() -> None:
    """Common headers are merged with each recipient's, since SendGrid would replace them."""
    base = mail(
        to=(), headers={"X-A": "1"}, template=TemplateRef("d-1", {"a": 1}), subject="", text=None
    )
    custom_recipient = BulkRecipient(
        to="a@example.com", data={"b": 2}, headers={"X-B": "2"}, metadata={"m": "1"}
    )
    body = bulk_body(
        SendGrid(), BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    )

    assert [
        {
            "to": [{"email": "a@example.com"}],
            "headers": {"X-A": "1", "X-B": "2"},
            "custom_args": {"m": "1"},
            "dynamic_template_data": {"a": 1, "b": 2},
        },
        {"to": [{"email": "b@example.com"}], "dynamic_template_data": {"a": 1}},
    ] == body["personalizations"]


def test_headers_are_written_in_ascii() -> None:
    """Headers beyond ASCII are sent as encoded words, since SendGrid does not encode them."""
    encoded_headers = {"X-Kunde": "=?utf-8?b?w7w=?="}
    body = _body(mail(headers={"X-Kunde": "ü"}))
    custom_recipient = BulkRecipient(to="a@example.com", headers={"X-Kunde": "ü"})
    bulk = bulk_body(SendGrid(), BulkMessage(base=mail(to=()), recipients=[custom_recipient]))

    assert encoded_headers == body["headers"] == bulk["personalizations"][0]["headers"]


def test_sendgrid_bulk_without_placeholders_sends_no_substitutions() -> None:
    """A SendGrid bulk without placeholders sends no substitutions."""
    body = bulk_body(SendGrid(), BulkMessage(base=mail(to=()), recipients=["a@example.com"]))

    assert [{"to": [{"email": "a@example.com"}]}] == body["personalizations"]


def test_bulk_may_be_html_alone() -> None:
    """Placeholders in the HTML of a SendGrid bulk have their own, escaped values."""
    base = mail(to=(), text=None, html="{{n}}")
    custom_recipient = BulkRecipient(to="a@example.com", data={"n": "<"})
    body = bulk_body(SendGrid(), BulkMessage(base=base, recipients=[custom_recipient]))

    assert [{"type": "text/html", "value": "{{html:n}}"}] == body["content"]
    words = {"{{n}}": "<", "{{html:n}}": "&lt;"}
    assert words == body["personalizations"][0]["substitutions"]


def test_sandbox_mode_receipt() -> None:
    """In SendGrid's sandbox mode, a warning in the receipt says that nothing was sent."""
    sandbox = SendGridSandbox()
    vendor = SendGrid(credentials=sandbox.api_key, sandbox=True)
    receipt = hub(vendor, sandbox).email().send_transactional(mail())

    assert "checked" == receipt.vendor_status
    assert 1 == len(receipt.warnings)
    assert [] == sandbox.delivered


def test_scheduled_message_is_scheduled() -> None:
    """A SendGrid email with a later sending time has the status scheduled."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    receipt = email.send_transactional(mail(send_at=NOW))
    bulk = BulkMessage(base=mail(to=(), send_at=NOW), recipients=["a@example.com"])

    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is email.send_bulk(bulk)[0].unwrap().status


def test_key_comes_from_the_provider() -> None:
    """Without its own key a SendGrid account uses the credential provider."""
    sandbox = SendGridSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.bearer(sandbox.api_key))
    hub(SendGrid(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "address, verdict, reasons, intended",
    [
        ("ada@example.com", Verdict.DELIVERABLE, (), None),
        ("info@example.com", Verdict.RISKY, (), None),
        (
            "ada@example.invalid",
            Verdict.UNDELIVERABLE,
            ("has_known_bounces", "has_suspected_bounces", "has_mx_or_a_record"),
            None,
        ),
        ("ada@gmial.com", Verdict.DELIVERABLE, (), "ada@gmail.com"),
    ],
)
def test_sendgrid_verdict_on_address_is_translated_into_contract_verdicts(
    address: str, verdict: Verdict, reasons: tuple[str, ...], intended: str | None
) -> None:
    """SendGrid's verdict on an address is translated into the contract's verdicts."""
    sandbox = SendGridSandbox()
    result = hub(sendgrid_vendor(sandbox), sandbox).email().validate_address(address)

    assert (verdict, reasons, intended) == (result.verdict, result.reasons, result.did_you_mean)
    assert address.startswith("info") == result.role
    assert not result.disposable
    assert Decimal("0.1" if reasons else "0.9") == result.score


def test_failed_checks_of_an_address_are_its_reasons() -> None:
    """Each bounce that SendGrid knows and each check of the domain that fails is a reason."""
    sandbox = SendGridSandbox()
    domain = {"has_valid_address_syntax": False, "has_mx_or_a_record": False}
    checks = {"domain": domain, "additional": {"has_known_bounces": True, "is_odd": False}}
    sandbox.fail(reply({"result": {"verdict": "Invalid", "checks": checks}}))
    result = hub(sendgrid_vendor(sandbox), sandbox).email().validate_address("ada@example.com")

    expected = ("has_known_bounces", "has_valid_address_syntax", "has_mx_or_a_record")
    assert (Verdict.UNDELIVERABLE, expected) == (result.verdict, result.reasons)


def test_addresses_are_checked_with_a_key_of_their_own() -> None:
    """SendGrid's address checks use a separate API key."""
    sandbox = SendGridSandbox("SG.checks")
    vendor = SendGrid(credentials="SG.mail", validation_credentials="SG.checks")
    email = hub(vendor, sandbox).email()

    assert email.validate_address("ada@example.com").mx
    with pytest.raises(AuthenticationFailed):
        email.send_transactional(mail())


@pytest.mark.parametrize("answer", [{"result": {}}, {}])
def test_check_without_a_verdict_is_malformed(answer: dict[str, Any]) -> None:
    """A SendGrid address check without a verdict is a malformed response."""
    sandbox = SendGridSandbox()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match=r"result\.verdict"):
        hub(sendgrid_vendor(sandbox), sandbox).email().validate_address("ada@example.com")


def test_daily_statistics_are_paged() -> None:
    """SendGrid's daily statistics are read for all days, under the contract's names."""
    sandbox = SendGridSandbox()
    first = date(2024, 1, 1)
    sandbox.days = [
        {
            "date": (first + timedelta(days=number)).isoformat(),
            "stats": [{"metrics": {"delivered": 2, "opens": 1, "spam_reports": 0}}],
        }
        for number in range(501)
    ]
    query = StatisticsQuery(start=first, end=first + timedelta(days=500))
    result = hub(sendgrid_vendor(sandbox), sandbox).email().get_statistics(query)

    assert 2 == len(sandbox.requests)
    assert 501 == len(result.rows)
    assert EmailCounts(delivered=1002, opened=501, complained=0) == result.totals


def test_day_without_a_date_is_malformed() -> None:
    """SendGrid statistics without dates are a malformed response."""
    sandbox = SendGridSandbox()
    sandbox.fail(reply([{"stats": []}]))
    query = StatisticsQuery(start=date(2024, 1, 1), end=date(2024, 1, 1))
    with pytest.raises(VendorFailed, match="date"):
        hub(sendgrid_vendor(sandbox), sandbox).email().get_statistics(query)


@pytest.mark.parametrize(
    "status, body, kind, code",
    [
        (400, {"errors": [{"message": "bad", "field": "from"}]}, InvalidRequest, "from"),
        (400, {"errors": [{"message": None, "error_id": "e7"}]}, InvalidRequest, "e7"),
        (401, {"errors": [{"message": "no"}], "id": "x1"}, AuthenticationFailed, "x1"),
        (403, {"errors": [{"message": "no", "field": None}]}, AuthenticationFailed, None),
        (404, {"errors": [{"message": "no"}]}, VendorRejected, None),
        (413, {"errors": [{"message": "big"}]}, InvalidRequest, None),
        (429, {"errors": [{"message": "many"}]}, RateLimitExceeded, None),
    ],
)
def test_errors_have_code_and_text(
    status: int, body: dict[str, Any], kind: type[Any], code: str | None
) -> None:
    """An error of SendGrid keeps SendGrid's code and text."""
    error: Any = classify(Request.get("/"), reply(body, status))

    assert type(error) is kind
    assert (code, status) == (error.vendor_code, error.status)
    assert body["errors"][0]["message"] == error.vendor_message


@pytest.mark.parametrize(
    "response",
    [
        Response(202),
        reply({"errors": [{"message": "x"}]}, 503),
        Response(400, body=b"<html>"),
        reply({"errors": []}, 400),
        reply([], 400),
    ],
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """An error response without SendGrid's usual form is classified by its status."""
    assert None is classify(Request.get("/"), response)


def _event(**fields: Any) -> dict[str, Any]:
    return {
        "email": "ada@example.com",
        "timestamp": int(NOW.timestamp()),
        "sg_event_id": "e1",
        "sg_message_id": "abc.filter0001.16648.5515E0B88.0",
        "event": "delivered",
        **fields,
    }


def test_webhooks_are_signed_and_become_events() -> None:
    """A signed SendGrid webhook with several records gives an event for each."""
    sandbox = SendGridSandbox()
    mail_hub = hub(sendgrid_vendor(sandbox), sandbox)
    now = datetime.now(UTC)
    headers, body = sandbox.webhook(
        [
            _event(response="250 OK", category="news", invoice="7"),
            _event(sg_event_id="e2", event="bounce", type="bounce", status="5.1.1", reason="no"),
            _event(sg_event_id="e3", event="bounce", type="blocked", category=["a", "b"]),
            _event(sg_event_id="e4", event="click", url="https://example.com/"),
            _event(sg_event_id="e5", event="teleported"),
            _event(sg_event_id="e6", sg_message_id=None),
        ],
        now,
    )
    verifier = mail_hub.webhooks("mail", clock=SystemClock(), secrets=sandbox.public_key)
    webhooks = verifier.verify(headers=headers, body=body)
    one, two, three, four, five = [
        event for webhook in webhooks for event in mail_hub.events("mail", webhook)
    ]

    ref = Ref("sendgrid", "mail", "abc", {"message": "abc.filter0001.16648.5515E0B88.0"})
    assert ("e1", ref, EmailStatus.DELIVERED, NOW) == (one.id, one.ref, one.status, one.at)
    assert (("news",), {"invoice": "7"}, "250 OK") == (one.tags, one.metadata, one.reason)
    assert (EmailStatus.BOUNCED, "5.1.1", "no", True) == (
        two.status,
        two.code,
        two.reason,
        two.permanent,
    )
    assert (False, ("a", "b")) == (three.permanent, three.tags)
    assert "https://example.com/" == four.url
    assert (EmailStatus.UNKNOWN, "teleported") == (five.status, five.vendor_status)
    with pytest.raises(WebhookRejected):
        verifier.verify(headers=headers, body=body + b" ")


@pytest.mark.parametrize(
    "result, gate, id_",
    [
        ("abc.filter0001.16648.0", "", "abc"),
        ("abc.filter0001.16648.0", "<other@ismtpd-1.sendgrid.net>", "abc"),
        ("abc.recvd-5645d9c87f-78xgx-1-5F2A.0", "", "abc"),
        ("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "", "14c5d75ce93.dfd.64b469"),
        ("abc.new-station.0", "", "abc"),
        ("abc", "", "abc"),
        ("", "", ""),
        ("filter0093p1las1.9128.5717.0", "<wrf-Q@ismtpd0006p1sjc2.sendgrid.net>", "wrf-Q"),
        ("filter0093p1las1.9128.5717.0", "<mine@shop.example>", "filter0093p1las1.9128.5717.0"),
        ("filter0093p1las1.9128.5717.0", "", "filter0093p1las1.9128.5717.0"),
        ("recvd-77d9b5dd9-kw9ks-1-60.0", "", "recvd-77d9b5dd9-kw9ks-1-60.0"),
    ],
)
def test_message_id_has_no_server_names(result: str, gate: str, id_: str) -> None:
    """A SendGrid message id is the part before the names of SendGrid's servers."""
    assert id_ == message_id(result, gate)


def test_emails_that_one_sendgrid_server_dropped_have_different_references() -> None:
    """Emails that the same SendGrid server dropped have different references."""
    mail_hub = hub(sendgrid_vendor(SendGridSandbox()), SendGridSandbox())
    reports = [
        _event(event="dropped", sg_message_id="filter0093p1las1.9128.5717FB8127.0"),
        _event(event="dropped", sg_message_id="filter0093p1las1.7777.5717AAAA11.0"),
        _event(
            event="dropped",
            sg_message_id="filter0093p1las1.7777.5717AAAA11.0",
            **{"smtp-id": "<wrfRRvF7Q0GgwUo2CvDmEA@ismtpd0006p1sjc2.sendgrid.net>"},
        ),
    ]
    webhooks = [
        WebhookEvent(vendor="sendgrid", id="e", type="x", vendor_type="x", payload=payload)
        for payload in reports
    ]

    ids = [mail_hub.events("mail", webhook)[0].ref.id for webhook in webhooks]
    assert 3 == len(set(ids))
    assert "wrfRRvF7Q0GgwUo2CvDmEA" == ids[2]


def test_metadata_with_a_name_of_sendgrids_own_comes_back() -> None:
    """Metadata whose name SendGrid reserves are read back unchanged."""
    metadata = {"url": "a", "category": "b", "word_url": "c", "word_free": "d", "free": "e"}
    body = mail_body(SendGrid(sender="a@example.com"), mail(metadata=metadata), [{}])
    payload = _event(event="click", **body["custom_args"])
    webhook = WebhookEvent(vendor="sendgrid", id="e", type="x", vendor_type="x", payload=payload)
    mail_hub = hub(sendgrid_vendor(SendGridSandbox()), SendGridSandbox())
    [event] = mail_hub.events("mail", webhook)

    assert (metadata, (), None) == (event.metadata, event.tags, event.url)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_only_202_is_a_success(status: int) -> None:
    """Another 2xx status, such as a gateway's, does not mean that SendGrid accepted the email."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])

    sandbox.fail(Response(status, body=b"<html>Welcome!</html>"))
    with pytest.raises(VendorFailed) as excinfo:
        email.send_transactional(mail())
    assert not excinfo.value.retryable
    sandbox.fail(Response(status, {"X-Message-Id": "abc"}))
    assert [VendorFailed] * 2 == [type(item.error) for item in email.send_bulk(bulk)]


def test_202_without_an_id() -> None:
    """If SendGrid's 202 has no id, the receipt has a warning and an id made from the key."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])

    sandbox.fail(Response(202))
    first = email.send_transactional(mail(), idempotency_key="k-1")
    repeated_receipt = email.send_transactional(mail(), idempotency_key="k-1")
    sandbox.fail(Response(202))
    other_receipt = email.send_transactional(mail(), idempotency_key="k-2")
    sandbox.fail(Response(202))
    results = [item.unwrap() for item in email.send_bulk(bulk)]

    assert first == repeated_receipt
    assert (EmailStatus.QUEUED, "accepted", "1") == (
        first.status,
        first.vendor_status,
        first.ref.other("unnamed"),
    )
    assert 1 == len(first.warnings)
    assert 3 == len({first.ref, other_receipt.ref, *(result.ref for result in results)})
    assert [("a@example.com",), ("b@example.com",)] == [
        tuple(person.email for person in result.recipients) for result in results
    ]


def test_receipt_of_email_in_sendgrid_sandbox_mode_says_that_it_was_only_checked() -> None:
    """The receipt of an email in SendGrid's sandbox mode says that it was only checked."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    dry = {"sendgrid": {"mail_settings": {"sandbox_mode": {"enable": True}}}}

    assert "checked" == email.send_transactional(mail(extra=dry)).vendor_status
    sandbox.fail(Response(202, {"X-Message-Id": "abc"}))
    dry_receipt = email.send_transactional(mail(extra=dry))
    assert ("accepted", "abc", ()) == (
        dry_receipt.vendor_status,
        dry_receipt.ref.id,
        dry_receipt.warnings,
    )


def test_deferred_mail_is_not_permanent() -> None:
    """The event of a deferred SendGrid email is not a permanent failure."""
    webhook = WebhookEvent(
        vendor="sendgrid", id="e1", type="x", vendor_type="x", payload=_event(event="deferred")
    )
    sandbox = SendGridSandbox()
    [event] = hub(sendgrid_vendor(sandbox), sandbox).events("mail", webhook)

    assert (EmailStatus.DEFERRED, False) == (event.status, event.permanent)


def test_event_is_of_the_message_that_was_sent() -> None:
    """A SendGrid event has the same id as the receipt of its email."""
    sandbox = SendGridSandbox()
    mail_hub = hub(sendgrid_vendor(sandbox), sandbox)
    receipt = mail_hub.email().send_transactional(mail())
    payload = _event(sg_message_id=f"{receipt.ref.id}.recvd-5645d9c87f-78xgx-1-5F2A.0")
    webhook = WebhookEvent(vendor="sendgrid", id="e1", type="x", vendor_type="x", payload=payload)

    assert receipt.ref.id == mail_hub.events("mail", webhook)[0].ref.id


@pytest.mark.parametrize(
    "body",
    [
        {"personalizations": []},
        {"personalizations": [{"to": []}]},
        {"personalizations": [{"to": [{"email": "a@b.c"}], "x": 1}]},
        {"personalizations": [{"to": [{"email": "a@b.c"}], "cc": [{"email": "A@b.c"}]}]},
        {"personalizations": [{"to": [{"email": f"a{n}@b.c"} for n in range(1001)]}]},
        {"from": {}},
        {"x": 1},
        {"content": []},
        {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
        {"content": [{"type": "text/html", "value": ""}]},
        {"template_id": "d-none"},
        {"reply_to": {"email": "a@b.c"}, "reply_to_list": [{"email": "a@b.c"}]},
        {"categories": ["x"] * 11},
    ],
)
def test_sandbox_is_strict(body: dict[str, Any]) -> None:
    """The sandbox refuses what SendGrid would refuse."""
    sandbox = SendGridSandbox()
    default_message = {
        "personalizations": [{"to": [{"email": "a@example.com"}]}],
        "from": {"email": "shop@example.com"},
        "subject": "Hi",
        "content": [{"type": "text/plain", "value": "x"}],
    }
    mail_hub = hub(sendgrid_vendor(sandbox), sandbox)
    send = partial(mail_hub.manager.call, "mail")
    assert 202 == send(Request.post("/v3/mail/send", json=default_message)).status
    with pytest.raises(InvalidRequest):
        send(Request.post("/v3/mail/send", json={**default_message, **body}))


@pytest.mark.parametrize(
    "request_",
    [Request.get("/v3/stats"), Request.post("/v3/validations/email", json={})],
)
def test_sandbox_refuses_missing_parameters(request_: Request) -> None:
    """SendGrid refuses a missing start day or address."""
    sandbox = SendGridSandbox()
    with pytest.raises(InvalidRequest, match="required"):
        hub(sendgrid_vendor(sandbox), sandbox).manager.call("mail", request_)


def test_unverified_sender_is_refused() -> None:
    """SendGrid refuses an unverified sender."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    with pytest.raises(AuthenticationFailed, match="verified"):
        email.send_transactional(mail(from_="a@unverified.example"))


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The SendGrid sandbox works over a real connection."""
    sandbox = SendGridSandbox()
    with sandbox.serving() as server:
        vendor = SendGrid(credentials=sandbox.api_key, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to


def test_statistics_are_requested_by_the_day() -> None:
    """Statistics are requested by day, and each count has the contract's name."""
    sandbox = SendGridSandbox()
    sandbox.days = [
        {
            "date": "2024-01-02",
            "stats": [{"metrics": {name: 2**number for number, name in enumerate(METRICS)}}],
        }
    ]
    query = StatisticsQuery(start=date(2024, 1, 2), end=date(2024, 1, 2))
    totals = hub(sendgrid_vendor(sandbox), sandbox).email().get_statistics(query).totals

    assert {
        "start_date": "2024-01-02",
        "end_date": "2024-01-02",
        "aggregated_by": "day",
        "limit": "500",
        "offset": "0",
    } == dict(sandbox.requests[-1].query)
    assert totals == EmailCounts(
        requested=1,
        processed=2,
        delivered=4,
        deferred=8,
        bounced=16,
        blocked=32,
        dropped=64,
        opened=128,
        unique_opened=256,
        clicked=512,
        unique_clicked=1024,
        complained=2048,
        unsubscribed=4096,
    )


def test_receipts_without_an_id_are_named_by_their_key() -> None:
    """In sandbox mode a receipt's id is `sandbox`; otherwise a missing id is made from the key."""
    sandbox = SendGridSandbox()
    email = hub(sendgrid_vendor(sandbox), sandbox).email()
    dry = {"sendgrid": {"mail_settings": {"sandbox_mode": {"enable": True}}}}
    sandbox.fail(Response(200))
    checked = email.send_transactional(mail(extra=dry))
    sandbox.fail(Response(202))
    unnamed = email.send_transactional(mail(), idempotency_key="k-1")

    name = sha256(f"key\0{unnamed.ref.account}\0\0k-1".encode()).hexdigest()[:32]
    assert ("sandbox", name) == (checked.ref.id, unnamed.ref.id)


METRICS = (
    *("requests", "processed", "delivered", "deferred", "bounces", "blocks", "bounce_drops"),
    *("opens", "unique_opens", "clicks", "unique_clicks", "spam_reports", "unsubscribes"),
)
