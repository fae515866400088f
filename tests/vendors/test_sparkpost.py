"""SparkPost: messages, error responses, address checks and statistics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery, Verdict
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.email._sparkpost_answers import classify
from moorage.vendors.email.sparkpost import SparkPost, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.sparkpost import sparkpost_hub

FILES = [
    Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
    Attachment(
        filename="l.png",
        content=b"l",
        content_type="image/png",
        disposition="inline",
        content_id="logo",
    ),
]


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where SparkPost expects it."""
    body = mail_body(
        SparkPost(transactional=False),
        mail(
            to=['"Ada, Countess" <ada@example.com>', "bob@example.com"],
            cc="Zoë <zoe@example.com>",
            bcc="dan@example.com",
            reply_to=["a@example.com", "B <b@example.com>"],
            html="<p>{{x}}",
            headers={"X-Kunde": "ü {{x}}"},
            attachments=FILES,
            tags=["invoice"],
            metadata={"invoice": "7"},
            track_opens=False,
            track_clicks=True,
            send_at=datetime(2031, 5, 6, 7, 8, 9, 1, timezone(timedelta(hours=-7))),
            extra={"sparkpost": {"metadata": {"more": "8"}}, "sendgrid": {"x": 1}},
        ),
    )

    header = '"Ada, Countess" <ada@example.com>, bob@example.com'
    opening, closing = "{{opening_single_curly()}}", "{{closing_single_curly()}}"
    placeholder = f"{opening}{opening}x{closing}{closing}"
    assert {
        "recipients": [
            {"address": {"email": "ada@example.com", "header_to": header}},
            {"address": {"email": "bob@example.com", "header_to": header}},
            {"address": {"email": "zoe@example.com", "header_to": header}},
            {"address": {"email": "dan@example.com", "header_to": header}},
        ],
        "campaign_id": "invoice",
        "metadata": {"invoice": "7", "more": "8"},
        "content": {
            "from": {"email": "shop@example.com", "name": "Shop"},
            "subject": "Hi",
            "reply_to": 'a@example.com, "B" <b@example.com>',
            "text": "Hello.",
            "html": "<p>{{x}}",
            "headers": {"X-Kunde": f"ü {placeholder}", "CC": '"Zoë" <zoe@example.com>'},
            "attachments": [{"name": "a.txt", "type": "text/plain", "data": "YQ=="}],
            "inline_images": [{"name": "logo", "type": "image/png", "data": "bA=="}],
        },
        "options": {
            "transactional": False,
            "open_tracking": False,
            "click_tracking": True,
            "start_time": "2031-05-06T14:08:10+00:00",
            "perform_substitutions": False,
        },
    } == body


def test_fields_of_a_short_message() -> None:
    """A message with only the required fields takes everything else from the account."""
    body = mail_body(SparkPost(), mail(to="Ada <ada@example.com>"))

    assert {
        "recipients": [{"address": {"email": "ada@example.com", "name": "Ada"}}],
        "content": {
            "from": {"email": "shop@example.com", "name": "Shop"},
            "subject": "Hi",
            "text": "Hello.",
        },
        "options": {"transactional": True, "perform_substitutions": False},
    } == body


def test_fields_of_a_template() -> None:
    """A template is sent by name, with its data, from the message's sender."""
    message = mail(
        reply_to="a@example.com",
        template=TemplateRef("welcome", {"total": [1]}),
        subject="",
        text="",
    )

    body = mail_body(SparkPost(), message)

    assert {
        "recipients": [{"address": {"email": "ada@example.com"}}],
        "content": {"template_id": "welcome"},
        "override": {
            "from": {"email": "shop@example.com", "name": "Shop"},
            "reply_to": "a@example.com",
        },
        "substitution_data": {"total": [1]},
        "options": {"transactional": True},
    } == body


def test_template_is_sent_from_its_own_address_if_neither_message_nor_account_has_one() -> None:
    """A template is sent from its own address if neither message nor account has one."""
    body = mail_body(SparkPost(), mail(from_=None, template=TemplateRef("welcome")))

    assert "override" not in body


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"tags": ["ü" * 33]}, "tags"),
        ({"template": TemplateRef("welcome"), "cc": "cc@example.com"}, "cc"),
        ({"template": TemplateRef("welcome"), "headers": {"X-A": "1"}}, "headers"),
        ({"template": TemplateRef("welcome"), "attachments": FILES}, "attachments"),
    ],
)
def test_unsupported_values_are_refused(changes: dict[str, Any], field: str) -> None:
    """Values that SparkPost would refuse or leave out are refused before sending."""
    sandbox, mail_hub = sparkpost_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_long_tag_is_accepted() -> None:
    """A tag of 64 bytes, the maximum, is sent as SparkPost's campaign."""
    sandbox, mail_hub = sparkpost_hub()
    mail_hub.email().send_transactional(mail(tags=["ü" * 32]))

    assert "ü" * 32 == sandbox.delivered[0].raw["campaign_id"]


def test_missing_sender_is_refused() -> None:
    """If neither the message nor the account has a sender, the message is refused."""
    with pytest.raises(ConfigurationError, match="sender"):
        mail_body(SparkPost(), mail(from_=None))


@pytest.mark.parametrize("text", ["{{x}}", "{{{", "}}}", "{ {{ } }}", "{a}", "{{#if x}}"])
def test_braces_are_not_taken_for_placeholders(text: str) -> None:
    """Braces in subject, names, headers and texts are not taken for placeholders."""
    sandbox, mail_hub = sparkpost_hub()
    mail_hub.email().send_transactional(
        mail(
            from_=f'"{text}" <shop@example.com>',
            subject=text,
            text=text,
            html=text,
            headers={"X-A": text},
        )
    )
    [delivered] = sandbox.delivered

    assert {text} == {
        delivered.sender_name,
        delivered.subject,
        delivered.text,
        delivered.html,
        delivered.headers["X-A"],
    }


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("{{", "{{opening_single_curly()}}" * 2),
        ("}}", "{{closing_single_curly()}}" * 2),
        ("{a} {", "{a} {"),
    ],
)
def test_pairs_of_braces_in_headers_are_escaped(text: str, escaped: str) -> None:
    """A header with an opening or a closing pair of braces is escaped, and no other."""
    body = mail_body(SparkPost(), mail(headers={"X-A": text}))

    assert escaped == body["content"]["headers"]["X-A"]


@pytest.mark.parametrize(
    "webhook_auth, scheme", [("basic", "sparkpost"), ("oauth2", "sparkpost-oauth2")]
)
def test_authentication_of_webhooks_decides_their_scheme(webhook_auth: str, scheme: str) -> None:
    """Webhooks with a password, and those with a token, each have their own verification scheme."""
    vendor = SparkPost(webhook_auth=webhook_auth)

    assert {"scheme": scheme} == vendor.webhook_verification()


def test_quotes_in_names_are_escaped() -> None:
    """A quote or backslash inside a display name does not end the name."""
    sandbox, mail_hub = sparkpost_hub()
    people = [EmailAddress("ada@example.com", name='A "B" \\ C'), "bob@example.com"]
    mail_hub.email().send_transactional(mail(to=people))

    [recipient, _] = sandbox.delivered[0].raw["recipients"]
    header = recipient["address"]["header_to"]
    assert '"A \\"B\\" \\\\ C" <ada@example.com>, bob@example.com' == header
    assert ("ada@example.com", "bob@example.com") == sandbox.delivered[0].to


def test_message_with_template_is_accepted() -> None:
    """A message with a template is accepted; a message with an unknown template is refused."""
    sandbox, mail_hub = sparkpost_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("welcome")))
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("none")))

    assert 1 == len(sandbox.delivered)
    assert "1603" == excinfo.value.vendor_code
    assert "Subresource not found: template 'none' does not exist" == excinfo.value.vendor_message


def test_receipt_has_transmission_id_and_each_recipient() -> None:
    """The receipt has the transmission's id and each recipient."""
    _, mail_hub = sparkpost_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="cc@example.com"))

    assert "11668787484950001" == receipt.ref.id
    assert ((), EmailStatus.QUEUED) == (receipt.warnings, receipt.status)
    assert [("ada@example.com", EmailStatus.QUEUED), ("cc@example.com", EmailStatus.QUEUED)] == [
        (recipient.email, recipient.status) for recipient in receipt.recipients
    ]
    assert 2 == receipt.raw["results"]["total_accepted_recipients"]


def test_message_with_later_sending_time_is_scheduled() -> None:
    """A message with a later sending time is scheduled."""
    _, mail_hub = sparkpost_hub()
    receipt = mail_hub.email().send_transactional(mail(send_at=datetime(2031, 1, 1, tzinfo=UTC)))

    assert EmailStatus.SCHEDULED == receipt.status == receipt.recipients[0].status


def test_some_refused_recipients_are_unknown() -> None:
    """If SparkPost refuses some recipients without naming them, all results are unknown."""
    sandbox, mail_hub = sparkpost_hub()
    message = mail(to=["ada@example.com", "refused@example.com"])
    receipt = mail_hub.email().send_transactional(message)

    assert EmailStatus.QUEUED == receipt.status
    assert [EmailStatus.UNKNOWN] * 2 == [recipient.status for recipient in receipt.recipients]
    [warning] = receipt.warnings
    assert warning.startswith("Invalid email address: ")
    assert "refused@" not in repr(receipt)
    assert ("ada@example.com",) == sandbox.delivered[0].to


def test_refused_recipients_without_a_reason_are_counted() -> None:
    """A receipt warns of refused recipients even if SparkPost gives no reason."""
    sandbox, mail_hub = sparkpost_hub()
    counts = {"id": "1", "total_accepted_recipients": 1, "total_rejected_recipients": 1}
    sandbox.fail(reply({"results": counts}))
    receipt = mail_hub.email().send_transactional(mail(cc="cc@example.com"))

    assert ("1 recipients were refused.",) == receipt.warnings


def test_200_that_accepts_no_recipient_is_refusal() -> None:
    """A 200 response that accepts no recipient raises an error with the first reason."""
    sandbox, mail_hub = sparkpost_hub()
    errors = [{"message": "required field is missing", "description": "address", "code": "1400"}]
    counts = {"id": "1", "total_accepted_recipients": 0, "total_rejected_recipients": 1}
    sandbox.fail(
        reply({"results": {"rcpt_to_errors": errors, **counts}}), reply({"results": counts})
    )
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail())
    with pytest.raises(VendorRejected, match="it accepted no recipient"):
        mail_hub.email().send_transactional(mail())

    assert "1400" == excinfo.value.vendor_code
    assert "required field is missing: address" == excinfo.value.vendor_message


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "1200", InvalidRequest),
        (400, "1502", VendorFailed),
        (400, "1901", VendorRejected),
        (400, "1902", VendorRejected),
        (400, "5002", VendorRejected),
        (400, "7000", VendorRejected),
        (400, "7001", VendorRejected),
        (401, "1303", AuthenticationFailed),
        (403, "1100", AuthenticationFailed),
        (403, "1601", VendorRejected),
        (404, "1600", VendorRejected),
        (405, "1102", InvalidRequest),
        (406, "1800", InvalidRequest),
        (409, "1602", VendorRejected),
        (413, "10001", InvalidRequest),
        (415, "1700", InvalidRequest),
        (420, "2101", RateLimitExceeded),
        (420, "2103", VendorRejected),
        (422, "1300", InvalidRequest),
        (422, "1603", VendorRejected),
        (422, "2004", VendorRejected),
        (422, "2005", VendorRejected),
        (429, None, RateLimitExceeded),
    ],
)
def test_sparkpost_error_code_decides_its_class_before_status_does(
    status: int, code: str | None, kind: type[Any]
) -> None:
    """A SparkPost error's class follows from its code, or else the status; the code is kept."""
    error = {"message": "no", "description": "because"} | ({} if code is None else {"code": code})
    raised: Any = classify(Request.post("/"), reply({"errors": [error]}, status))

    assert type(raised) is kind
    assert (code, status, "no: because") == (
        raised.vendor_code,
        raised.status,
        raised.vendor_message,
    )


@pytest.mark.parametrize(
    "response",
    [
        Response(403, body=b"<html>"),
        reply({"errors": [{"code": "1500", "message": "x"}]}, 500),
        reply({"errors": []}, 422),
        reply({"errors": ["x"]}, 422),
        reply({"errors": "x"}, 400),
        reply([], 400),
        reply({"results": {"total_accepted_recipients": 0, "total_rejected_recipients": 0}}),
        reply({"results": {"total_accepted_recipients": 1, "total_rejected_recipients": 1}}),
        reply({"results": {}}),
        reply([]),
    ],
)
def test_other_answers_are_classified_by_status(response: Response) -> None:
    """A response without a SparkPost error is classified by its status."""
    assert None is classify(Request.post("/"), response)


@pytest.mark.parametrize("answer", [{}, {"results": {}}, {"results": {"id": ""}}, []])
def test_success_without_an_id_is_malformed(answer: object) -> None:
    """A success without a transmission id is a malformed response."""
    sandbox, mail_hub = sparkpost_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert not excinfo.value.retryable
    assert answer == [] or "no results.id" in str(excinfo.value)


@pytest.mark.parametrize("person", ["throttled", "spent"])
def test_spent_limit_of_requests_or_of_messages_raises_rate_limit_exceeded(person: str) -> None:
    """A spent limit of requests or of messages raises `RateLimitExceeded`."""
    _, mail_hub = sparkpost_hub()
    with pytest.raises(RateLimitExceeded):
        mail_hub.email().send_transactional(mail(to=f"{person}@example.com"))


def test_bulk_is_a_transmission_for_each() -> None:
    """In a bulk, each recipient has a separate transmission with the recipient's own values."""
    sandbox, mail_hub = sparkpost_hub()
    base = mail(to=(), template=TemplateRef("welcome", {"a": 1}), metadata={"m": "0"})
    recipient = BulkRecipient(to="a@example.com", data={"b": {"c": 2}}, metadata={"m": "1"})
    bulk = BulkMessage(base=base, recipients=[recipient, "refused@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, False, True] == [result.ok for result in results]
    assert (VendorRejected, "5002") == (type(results[1].error), results[1].error.vendor_code)
    assert results[0].value.ref.id != results[2].value.ref.id
    assert [results[0].value, results[2].value] == [
        repeated_results[0].value,
        repeated_results[2].value,
    ]
    bodies = {
        request.json()["recipients"][0]["address"]["email"]: request.json()
        for request in sandbox.requests
    }
    assert {"a": 1, "b": {"c": 2}} == bodies["a@example.com"]["substitution_data"]
    assert {"a": 1} == bodies["b@example.com"]["substitution_data"]
    assert {"m": "1"} == bodies["a@example.com"]["metadata"]
    assert 2 == len(sandbox.delivered)


def test_lost_answer_of_a_bulk() -> None:
    """If one recipient's response in a bulk is lost, its outcome is unknown; no retry follows."""
    sandbox, mail_hub = sparkpost_hub()
    sandbox.fail(Lost())
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    mail_hub.email().send_bulk(bulk, idempotency_key="news", at_once=1)
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news", at_once=1)

    # The requests of a bulk message run at the same time, so either response may be the lost one.
    assert {OutcomeUnknown, type(None)} == {type(result.error) for result in results}
    assert 2 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "region, host", [("us", "api.sparkpost.com"), ("eu", "api.eu.sparkpost.com")]
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    """Each region has its own host, and the Authorization header contains only the key."""
    sandbox, mail_hub = sparkpost_hub(region=region)
    mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert (host, "/api/v1/transmissions") == (request.host, request.path)
    assert sandbox.api_key == request.headers["authorization"]
    assert "x-msys-subaccount" not in request.headers


def test_subaccount_is_named_in_header() -> None:
    """The number of a subaccount is sent in a request header."""
    sandbox, mail_hub = sparkpost_hub(subaccount="123")
    mail_hub.email().send_transactional(mail())

    assert "123" == sandbox.requests[0].headers["x-msys-subaccount"]


@pytest.mark.parametrize(
    "options", [{"region": "asia"}, {"subaccount": "x"}, {"webhook_auth": "none"}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """An unknown region, subaccount or authentication raises a configuration error."""
    with pytest.raises(ConfigurationError) as excinfo:
        SparkPost(**options)

    assert [excinfo.value.path] == [*options]


@pytest.mark.parametrize(
    "email, verdict, word, score, reason",
    [
        ("ada@example.com", Verdict.DELIVERABLE, "valid", "0.85", None),
        ("risky@example.com", Verdict.RISKY, "risky", "0.42", None),
        ("neutral@example.com", Verdict.UNKNOWN, "neutral", "0.51", None),
        (
            "undeliverable@example.com",
            Verdict.UNDELIVERABLE,
            "undeliverable",
            "0",
            "Invalid Recipient",
        ),
        ("ada@gmial.example", Verdict.UNDELIVERABLE, "typo", "0", "Invalid Domain"),
    ],
)
def test_each_result_of_sparkpost_address_check_has_verdict(
    *, email: str, verdict: Verdict, word: str, score: str, reason: str | None
) -> None:
    """Each result of SparkPost's address check is translated to a verdict."""
    _, mail_hub = sparkpost_hub()
    check = mail_hub.email().validate_address(email)

    assert (email, verdict, word) == (check.email, check.verdict, check.vendor_verdict)
    assert Decimal(score) == check.score
    assert ((reason,) if reason else ()) == check.reasons
    assert (False if reason == "Invalid Domain" else None) is check.mx
    assert (False, False) == (check.disposable, check.role)


def test_typing_error_has_a_suggestion() -> None:
    """A misspelt domain gives a suggested address; the checked address is escaped in the URL."""
    sandbox, mail_hub = sparkpost_hub()
    check = mail_hub.email().validate_address("info@gmial.example")
    mail_hub.email().validate_address("a/b+c@example.com")

    assert ("info@gmail.example", True) == (check.did_you_mean, check.role)
    prefix = "/api/v1/recipient-validation/single/"
    assert f"{prefix}a%2Fb%2Bc%40example.com" == sandbox.requests[1].path


def test_unknown_words_of_an_address_check() -> None:
    """An unknown verdict on an address is kept, a missing one is an error, a missing score None."""
    sandbox, mail_hub = sparkpost_hub()
    sandbox.fail(reply({"results": {"result": "lovely"}}), reply({"results": {}}))
    check = mail_hub.email().validate_address("ada@example.com")

    assert (Verdict.UNKNOWN, "lovely", None) == (check.verdict, check.vendor_verdict, check.score)
    with pytest.raises(VendorFailed):
        mail_hub.email().validate_address("ada@example.com")


def test_sparkpost_daily_counts_have_contract_names() -> None:
    """SparkPost's daily counts have the contract's names."""
    sandbox, mail_hub = sparkpost_hub()
    counters = {
        "count_targeted": 13,
        "count_injected": 12,
        "count_delivered": 11,
        "count_delayed": 10,
        "count_bounce": 9,
        "count_rejected": 8,
        "count_rendered": 7,
        "count_unique_rendered": 6,
        "count_clicked": 5,
        "count_unique_clicked": 4,
        "count_spam_complaint": 3,
        "count_unsubscribe": 2,
    }
    sandbox.days = [
        {"ts": "2026-02-28", "count_targeted": 100},
        {"ts": "2026-03-01", **counters},
        {"ts": "2026-03-02", "count_targeted": 1},
        {"ts": "2026-03-03", "count_targeted": 100},
    ]
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
    result = mail_hub.email().get_statistics(query)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=13,
            processed=12,
            delivered=11,
            deferred=10,
            bounced=9,
            dropped=8,
            opened=7,
            unique_opened=6,
            clicked=5,
            unique_clicked=4,
            complained=3,
            unsubscribed=2,
        )
        == result.rows[0].counts
    )
    assert 14 == result.totals.requested
    assert 2 == len(result.raw["results"])
    assert {
        "from": "2026-03-01T00:00",
        "to": "2026-03-02T23:59",
        "precision": "day",
        "timezone": "UTC",
        "metrics": ",".join(counters),
    } == dict(sandbox.requests[0].query)


@pytest.mark.parametrize("answer", [{}, {"results": {}}, {"results": [{"count_sent": 1}]}, []])
def test_statistics_without_days_are_malformed(answer: object) -> None:
    """SparkPost statistics without dates are a malformed response."""
    sandbox, mail_hub = sparkpost_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)
