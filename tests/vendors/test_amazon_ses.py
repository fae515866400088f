"""Amazon SES: requests, responses and event notifications."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from moorage import (
    Account,
    AuthenticationFailed,
    AwsSigV4,
    Credentials,
    Hub,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, EmailMessage, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailEvent,
    EmailStatus,
    RejectReason,
    StatisticsQuery,
    Verdict,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox
from moorage.vendors.email._ses_content import bulk_body, mail_body
from moorage.vendors.email.amazon_ses import AmazonSes, classify, error_code
from tests.vendors.email_hubs import hub, mail
from tests.vendors.email_sandboxes import ses_vendor

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
METRICS = (
    *("SEND", "DELIVERY", "PERMANENT_BOUNCE", "TRANSIENT_BOUNCE"),
    *("COMPLAINT", "OPEN", "CLICK"),
)


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where Amazon SES expects it."""
    body = mail_body(
        mail(
            cc="cc@example.com",
            bcc="bcc@example.com",
            reply_to="Zoë <zoe@münchen.example>",
            headers={"X-A": "ü"},
            tags=["news"],
            metadata={"invoice": "7"},
            attachments=[Attachment(filename="a.bin", content=b"\xff")],
            extra={"amazon_ses": {"EndpointId": "e1"}},
        ),
        None,
        "events",
    )

    assert {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {
            "ToAddresses": ["ada@example.com"],
            "CcAddresses": ["cc@example.com"],
            "BccAddresses": ["bcc@example.com"],
        },
        "ReplyToAddresses": ["=?utf-8?q?Zo=C3=AB?= <zoe@xn--mnchen-3ya.example>"],
        "ConfigurationSetName": "events",
        "Content": {
            "Simple": {
                "Subject": {"Data": "Hi", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "Hello.", "Charset": "UTF-8"}},
                "Headers": [{"Name": "X-A", "Value": "=?utf-8?b?w7w=?="}],
                "Attachments": [
                    {
                        "FileName": "a.bin",
                        "RawContent": "/w==",
                        "ContentType": "application/octet-stream",
                        "ContentDisposition": "ATTACHMENT",
                        "ContentTransferEncoding": "BASE64",
                    }
                ],
            }
        },
        "EmailTags": [{"Name": "tag_news", "Value": "true"}, {"Name": "invoice", "Value": "7"}],
        "EndpointId": "e1",
    } == body


def test_template_is_named_or_located() -> None:
    """A template of Amazon SES is sent as its name or as its ARN."""
    arn = "arn:aws:ses:eu-central-1:1:template/welcome"
    template_body = mail_body(mail(template=TemplateRef("welcome", {"a": 1})), None, None)
    located_body = mail_body(mail(template=TemplateRef(arn)), None, None)

    assert {"TemplateName": "welcome", "TemplateData": '{"a": 1}'} == template_body["Content"][
        "Template"
    ]
    assert {"TemplateArn": arn, "TemplateData": "{}"} == located_body["Content"]["Template"]


@pytest.mark.parametrize("words", [{"tags": ["a b"]}, {"metadata": {"a": "é"}}])
def test_tags_that_ses_would_refuse_are_refused_here(words: dict[str, Any]) -> None:
    """Tags and metadata that Amazon SES would refuse are refused before anything is sent."""
    with pytest.raises(InvalidData):
        mail_body(mail(**words), None, None)


def test_bulk_is_a_template_in_the_request() -> None:
    """A bulk email is sent to Amazon SES as an inline template, with each recipient's data."""
    base = mail(to=(), subject="{{ n }}", text="{{#if}} {{n}}", html="<b>{{n}}</b>", tags=["t"])
    custom_recipient = BulkRecipient(to="a@example.com", data={"n": "<"}, headers={"X-B": "2"})
    bulk = BulkMessage(base=base, recipients=[custom_recipient])
    body = bulk_body(bulk, None, None)
    entry = body["BulkEmailEntries"][0]
    words = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]

    assert {
        "Subject": "{{n}}",
        "Text": "{{braces_}}#if}} {{n}}",
        "Html": "<b>{{n_html}}</b>",
    } == body["DefaultContent"]["Template"]["TemplateContent"]
    assert {"braces_": "{{", "n": "<", "n_html": "&lt;"} == json.loads(words)
    assert [{"Name": "X-B", "Value": "2"}] == entry["ReplacementHeaders"]
    assert [{"Name": "tag_t", "Value": "true"}] == entry["ReplacementTags"]


def test_placeholders_are_in_alphabetical_order() -> None:
    """Placeholder values are sorted by name, so that a repeated request has the same bytes."""
    names = ["b", "d", "a", "c", "e"]
    text = " ".join(f"{{{{{name}}}}}" for name in names)
    people = [BulkRecipient(to="a@example.com", data=dict.fromkeys(names, "x"))]
    bulk = BulkMessage(base=mail(to=(), text=text), recipients=people)
    [entry] = bulk_body(bulk, None, None)["BulkEmailEntries"]
    words = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]

    assert sorted(names) == [name for name in json.loads(words) if name in names]


def test_bulk_may_be_html_or_files_alone() -> None:
    """The template of an SES bulk email contains only the parts that the email has."""
    html = BulkMessage(base=mail(to=(), text=None, html="<p>"), recipients=["a@example.com"])
    file = Attachment(filename="a.txt", content=b"x")
    files = BulkMessage(
        base=mail(to=(), text=None, attachments=[file]), recipients=["a@example.com"]
    )
    parts = [
        bulk_body(bulk, None, None)["DefaultContent"]["Template"]["TemplateContent"]
        for bulk in (html, files)
    ]

    assert [{"Subject": "Hi", "Html": "<p>"}, {"Subject": "Hi", "Text": " "}] == parts


def test_results_of_a_bulk_are_separate() -> None:
    """A failed entry of an SES bulk email has its own error, with the vendor's code."""
    sandbox = AmazonSesSandbox()
    people = [
        f"{person_name}@example.com" for person_name in ("ada", "refused", "throttled", "outage")
    ]
    bulk = BulkMessage(base=mail(to=()), recipients=people)
    ada, refused_result, throttled_result, outage = (
        hub(ses_vendor(sandbox), sandbox).email().send_bulk(bulk)
    )

    assert "SUCCESS" == ada.unwrap().vendor_status
    kinds = [
        (type(item.error), item.error.vendor_code)
        for item in (refused_result, throttled_result, outage)
    ]
    assert [
        (VendorRejected, "MESSAGE_REJECTED"),
        (RateLimitExceeded, "ACCOUNT_THROTTLED"),
        (VendorFailed, "TRANSIENT_FAILURE"),
    ] == kinds
    assert "As the address says." == refused_result.error.vendor_message
    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "entry, kind",
    [
        ({"Status": "TEMPLATE_NOT_FOUND"}, InvalidRequest),
        ({"Status": "SOMETHING_NEW"}, VendorRejected),
        ({"Status": "SUCCESS"}, VendorFailed),
    ],
)
def test_failed_bulk_entry_is_an_error(entry: dict[str, Any], kind: type[Any]) -> None:
    """An entry of a bulk response without a success status and an id counts as an error."""
    sandbox = AmazonSesSandbox()
    sandbox.fail(reply({"BulkEmailEntryResults": [entry]}))
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com"])
    (result,) = hub(ses_vendor(sandbox), sandbox).email().send_bulk(bulk)

    assert type(result.error) is kind


def test_bulk_with_missing_results_is_malformed() -> None:
    """If a bulk email's response has fewer results than recipients, it is malformed."""
    sandbox = AmazonSesSandbox()
    sandbox.fail(reply({"BulkEmailEntryResults": []}))
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com"])
    (result,) = hub(ses_vendor(sandbox), sandbox).email().send_bulk(bulk)

    assert isinstance(result.error, VendorFailed)
    assert "result for each recipient" in str(result.error)


def test_whole_credentials_come_from_the_provider() -> None:
    """An Amazon SES account without its own keys uses the credential provider."""
    sandbox = AmazonSesSandbox()
    signing = AwsSigV4(access_key_id=sandbox.access_key_id, region=sandbox.region, service="ses")
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.signed(signing, sandbox.secret_access_key))
    vendor = AmazonSes(region=sandbox.region, sender="shop@example.com")
    mail_hub = hub(vendor, sandbox, credentials=provider)
    mail_hub.email().send_transactional(EmailMessage(to="ada@example.com", text="Hi"))

    assert "shop@example.com" == sandbox.delivered[0].sender


@pytest.mark.parametrize(
    "address, verdict, reasons",
    [
        ("ada@example.com", Verdict.DELIVERABLE, ()),
        ("info@example.com", Verdict.RISKY, ()),
        (
            "ada@example.invalid",
            Verdict.UNDELIVERABLE,
            ("HasValidDnsRecords", "MailboxExists"),
        ),
    ],
)
def test_amazon_ses_verdict_on_address_is_translated_into_contract_verdicts(
    address: str, verdict: Verdict, reasons: tuple[str, ...]
) -> None:
    """Amazon SES's verdict on an address is translated into the contract's verdicts."""
    sandbox = AmazonSesSandbox()
    result = hub(ses_vendor(sandbox), sandbox).email().validate_address(address)

    assert (verdict, reasons) == (result.verdict, result.reasons)
    assert (address.startswith("info"), False) == (result.role, result.disposable)
    assert bool(reasons) != result.mx


def test_check_without_a_verdict_is_malformed() -> None:
    """An address check without a verdict is a malformed response."""
    sandbox = AmazonSesSandbox()
    sandbox.fail(reply({"MailboxValidation": {}}))
    with pytest.raises(VendorFailed, match="IsValid"):
        hub(ses_vendor(sandbox), sandbox).email().validate_address("ada@example.com")


def test_metrics_are_counted() -> None:
    """Amazon SES's daily metrics are counted under the contract's names, for the requested days."""
    sandbox = AmazonSesSandbox()
    sandbox.metrics = {
        "SEND": [(datetime(2026, 1, day, tzinfo=UTC), 10) for day in (1, 2, 3, 4)],
        "DELIVERY": [(datetime(2026, 1, 2, tzinfo=UTC), 9)],
    }
    query = StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 3))
    result = hub(ses_vendor(sandbox), sandbox).email().get_statistics(query)

    assert EmailCounts(requested=20, delivered=9) == result.totals
    assert [2, 3] == [row.date.day for row in result.rows]


def test_metrics_of_another_name_or_time_are_left_out() -> None:
    """A metric of Amazon SES with an unknown name or time is ignored."""
    sandbox = AmazonSesSandbox()
    results = [
        {"Id": "NEW", "Timestamps": [1767312000], "Values": [1]},
        {"Id": "SEND", "Timestamps": ["never"], "Values": [1]},
        {"Id": "SEND", "Timestamps": None, "Values": None},
    ]
    sandbox.fail(reply({"Results": results}))
    query = StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 3))

    assert () == hub(ses_vendor(sandbox), sandbox).email().get_statistics(query).rows


@pytest.mark.parametrize(
    "code, kind", [("ACCESS_DENIED", AuthenticationFailed), ("INTERNAL_FAILURE", VendorFailed)]
)
def test_metrics_that_are_missing_are_an_error(code: str, kind: type[Exception]) -> None:
    """If metrics of Amazon SES are incomplete, an error is raised."""
    sandbox = AmazonSesSandbox()
    sandbox.broken_metrics = code
    query = StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 3))
    with pytest.raises(kind, match=code):
        hub(ses_vendor(sandbox), sandbox).email().get_statistics(query)


@pytest.mark.parametrize(
    "status, name, kind",
    [
        (429, "TooManyRequestsException", RateLimitExceeded),
        (400, "LimitExceededException", RateLimitExceeded),
        (403, "ExpiredTokenException", AuthenticationFailed),
        (400, "BadRequestException", InvalidRequest),
        (400, "MailFromDomainNotVerifiedException", VendorRejected),
        (404, "NotFoundException", VendorRejected),
    ],
)
def test_error_names_are_classified(status: int, name: str, kind: type[Any]) -> None:
    """The name of an Amazon SES error decides its class, and is kept as the code."""
    answer = reply({"message": "No."}, status, x_amzn_ErrorType=f"{name}:http://x/")
    error: Any = classify(Request.get("/"), answer)

    assert type(error) is kind
    assert (name, "No.") == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize(
    "response, code",
    [
        (reply({"__type": "com.amazon.x#BadRequestException"}, 400), "BadRequestException"),
        (reply({"__type": 7}, 400), None),
        (reply([], 400), None),
        (Response(400, body=b"<html>"), None),
        (Response(400, {"x-amzn-ErrorType": ""}), None),
    ],
)
def test_name_of_an_error_is_found(response: Response, code: str | None) -> None:
    """The name of an Amazon SES error is read from a header or the body, if it is there."""
    assert code == error_code(response)


@pytest.mark.parametrize(
    "response", [reply({}), reply({"__type": "X"}, 500), Response(400, body=b"<html>")]
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """If Amazon SES's error has no known form, the status decides its class."""
    assert None is classify(Request.get("/"), response)


def _events(event: dict[str, Any] | str | None) -> tuple[EmailEvent, ...]:
    data = event if event is None or isinstance(event, str) else json.dumps(event)
    webhook = WebhookEvent(vendor="aws-sns", id="n1", type="x", vendor_type="x", data=data)
    mail_hub = Hub([Account("mail", AmazonSes(region="eu-central-1"))])
    events: tuple[EmailEvent, ...] = mail_hub.events("mail", webhook)
    return events


MAIL = {
    "messageId": "m1",
    "timestamp": "2026-03-01T12:00:00.000Z",
    "destination": ["ada@example.com", "bob@example.com"],
    "tags": {
        "ses:configuration-set": ["events"],
        "invoice": ["7"],
        "tag_news": ["true"],
        "vip": ["true"],
        "empty": [],
    },
}


def test_bounce_names_its_recipients() -> None:
    """The event of a bounce contains its recipients, with the reason for each."""
    bounce = {
        "bounceType": "Permanent",
        "timestamp": "2026-03-01T12:00:01Z",
        "bouncedRecipients": [
            {"emailAddress": "bob@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550"}
        ],
    }
    (result,) = _events({"eventType": "Bounce", "mail": MAIL, "bounce": bounce})

    assert ("n1", Ref("amazon_ses", "mail", "m1")) == (result.id, result.ref)
    assert (EmailStatus.BOUNCED, "Bounce", True) == (
        result.status,
        result.vendor_status,
        result.permanent,
    )
    assert ("bob@example.com", "5.1.1", "smtp; 550") == (result.email, result.code, result.reason)
    assert (("news",), {"invoice": "7", "vip": "true"}) == (result.tags, result.metadata)
    assert NOW.replace(second=1) == result.at


@pytest.mark.parametrize(
    "word, status",
    [
        ("NoEmail", EmailStatus.BOUNCED),
        ("Suppressed", EmailStatus.REJECTED),
        ("OnAccountSuppressionList", EmailStatus.REJECTED),
    ],
)
def test_suppressed_mail_is_rejected(word: str, status: EmailStatus) -> None:
    """Mail to an address on the suppression list is rejected and not bounced."""
    people = [{"emailAddress": "bob@example.com"}]
    bounce = {"bounceType": "Permanent", "bounceSubType": word, "bouncedRecipients": people}
    (result,) = _events({"eventType": "Bounce", "mail": MAIL, "bounce": bounce})

    assert (status, word, True) == (result.status, result.code, result.permanent)


def test_event_of_delayed_email_has_reason() -> None:
    """The event of a delayed email has the reason."""
    delay = {"delayType": "MailboxFull", "delayedRecipients": [{"emailAddress": "b@example.com"}]}
    (result,) = _events({"eventType": "DeliveryDelay", "mail": MAIL, "deliveryDelay": delay})

    assert (EmailStatus.DEFERRED, "MailboxFull") == (result.status, result.code)
    assert False is result.permanent


def test_complaint_names_its_recipient_and_its_type() -> None:
    """The event of a complaint has the recipient who complained and the type of the feedback."""
    complaint = {
        "complainedRecipients": [{"emailAddress": "b@example.com"}],
        "complaintFeedbackType": "abuse",
        "userAgent": "AnyCompany Feedback Loop (V0.01)",
    }
    (result,) = _events({"eventType": "Complaint", "mail": MAIL, "complaint": complaint})

    assert (EmailStatus.COMPLAINED, RejectReason.SPAM) == (result.status, result.cause)
    assert ("b@example.com", "abuse") == (result.email, result.code)
    assert "AnyCompany Feedback Loop (V0.01)" == result.user_agent


def test_changed_subscription_is_an_unsubscription() -> None:
    """The event of a changed subscription has the time of the change and a cause."""
    subscription = {"contactList": "News", "timestamp": "2026-03-01T12:00:01Z"}
    mail = {**MAIL, "destination": ["ada@example.com"]}
    (result,) = _events({"eventType": "Subscription", "mail": mail, "subscription": subscription})

    assert (EmailStatus.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED) == (result.status, result.cause)
    assert ("ada@example.com", NOW.replace(second=1)) == (result.email, result.at)


def test_event_without_a_recipient() -> None:
    """An event without a recipient is still assigned to its email."""
    (result,) = _events({"eventType": "Send", "mail": {"messageId": "m1"}})

    assert ("n1", EmailStatus.SENT, None) == (result.id, result.status, result.email)


@pytest.mark.parametrize(
    "kind, part, status",
    [
        ("Send", {"send": {}}, EmailStatus.SENT),
        ("Delivery", {"delivery": {"recipients": ["ada@example.com"]}}, EmailStatus.DELIVERED),
        ("Open", {"open": {"ipAddress": "::1"}}, EmailStatus.OPENED),
        ("Click", {"click": {"link": "https://example.com/"}}, EmailStatus.CLICKED),
        ("Rendering Failure", {"failure": {"errorMessage": "no"}}, EmailStatus.FAILED),
        ("Reject", {"reject": {"reason": "virus"}}, EmailStatus.REJECTED),
        ("Teleport", {}, EmailStatus.UNKNOWN),
    ],
)
def test_events_have_the_contracts_names(
    kind: str, part: dict[str, Any], status: EmailStatus
) -> None:
    """Each kind of Amazon SES event has the contract's name, with one event per recipient."""
    reports = _events({"notificationType": kind, "mail": MAIL, **part})

    assert {status} == {report.status for report in reports}
    assert len(reports) == len({report.id for report in reports})
    assert (["n1"] if kind == "Delivery" else ["n1/1", "n1/2"]) == [report.id for report in reports]


@pytest.mark.parametrize("event", [None, "no json", "[]", {"mail": {}}])
def test_other_kinds_of_notifications_of_amazon_ses_give_no_events(
    event: dict[str, Any] | str | None,
) -> None:
    """A notification of Amazon SES of any other kind gives no events."""
    assert () == _events(event)


def test_notices_are_signed_and_become_events() -> None:
    """A notification by Amazon SNS is verified by its certificate, and gives an event."""
    sandbox = AmazonSesSandbox()
    mail_hub = hub(ses_vendor(sandbox), sandbox)
    receipt = mail_hub.email().send_transactional(mail())
    fields = {**MAIL, "messageId": receipt.ref.id, "destination": ["ada@example.com"]}
    notice = sandbox.notice({"eventType": "Open", "mail": fields, "open": {}}, datetime.now(UTC))
    verifier = mail_hub.webhooks(
        "mail",
        clock=SystemClock(),
        http=SandboxHttpClient(sandbox),
        parameters={"topic_arn": sandbox.topic_arn},
    )
    (webhook,) = verifier.verify(headers={}, body=notice)
    (result,) = mail_hub.events("mail", webhook)

    assert receipt.ref == result.ref
    with pytest.raises(WebhookRejected):
        verifier.verify(headers={}, body=notice.replace(b"Open", b"Sent"))


@pytest.mark.parametrize(
    "path, body",
    [
        ("emails", {"x": 1}),
        ("emails", {"Content": {}}),
        ("emails", {"Destination": {}}),
        ("emails", {"Destination": {"ToAddresses": ["zoë@example.com"]}}),
        ("bulk-emails", {"BulkEmailEntries": []}),
    ],
)
def test_sandbox_is_strict(path: str, body: dict[str, Any]) -> None:
    """The sandbox refuses what Amazon SES would refuse."""
    sandbox = AmazonSesSandbox()
    call = partial(hub(ses_vendor(sandbox), sandbox).manager.call, "mail")
    default_body = mail_body(mail(), None, None) if path == "emails" else {}
    with pytest.raises(InvalidRequest):
        call(Request.post(f"/v2/email/outbound-{path}", json={**default_body, **body}))


def test_sandbox_takes_ten_queries() -> None:
    """The Amazon SES sandbox refuses a metrics request without queries."""
    sandbox = AmazonSesSandbox()
    call = partial(hub(ses_vendor(sandbox), sandbox).manager.call, "mail")
    with pytest.raises(InvalidRequest):
        call(Request.post("/v2/email/metrics/batch", json={"Queries": []}))


def test_amazon_ses_sandbox_answers_unknown_template_as_not_found() -> None:
    """The Amazon SES sandbox reports an unknown template as not found."""
    sandbox = AmazonSesSandbox()
    email = hub(ses_vendor(sandbox), sandbox).email()
    with pytest.raises(VendorRejected, match="template"):
        email.send_transactional(mail(template=TemplateRef("none")))
    email.send_transactional(mail(template=TemplateRef("arn:aws:ses:x:1:template/welcome")))

    assert 1 == len(sandbox.delivered)


def test_sandbox_checks_signatures() -> None:
    """Amazon SES refuses a request with an unknown key, another region or no signature."""
    sandbox = AmazonSesSandbox()
    stranger = AmazonSes(
        region=sandbox.region, access_key_id="AKIDX", credentials="x", sender="a@b.c"
    )
    with pytest.raises(AuthenticationFailed, match="token"):
        hub(stranger, sandbox).email().send_transactional(mail())
    anonymous_hub = hub(AmazonSes(region=sandbox.region), sandbox, credentials=_no_credentials())
    with pytest.raises(AuthenticationFailed, match="signed"):
        anonymous_hub.email().send_transactional(mail())


def _no_credentials() -> MemoryCredentialProvider:
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.none())
    return provider


def test_unverified_sender_is_rejected() -> None:
    """Amazon SES rejects an unverified sender."""
    sandbox = AmazonSesSandbox()
    with pytest.raises(VendorRejected, match="verified"):
        hub(ses_vendor(sandbox), sandbox).email().send_transactional(
            mail(from_="a@unverified.example")
        )


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Amazon SES sandbox verifies signatures over a real connection, too."""
    sandbox = AmazonSesSandbox()
    file = Attachment(filename="a.bin", content=bytes(range(256)))
    with sandbox.serving() as server:
        vendor = AmazonSes(
            region=sandbox.region,
            access_key_id=sandbox.access_key_id,
            credentials=sandbox.secret_access_key,
            base_url=server.url,
        )
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail(attachments=[file]))

    attached_file = sandbox.delivered[0].raw["Content"]["Simple"]["Attachments"][0]
    assert file.content == b64decode(attached_file["RawContent"])


def test_all_metrics_are_requested_by_the_day_in_utc() -> None:
    """A request for statistics asks for each metric, from midnight to midnight in UTC."""
    sandbox = AmazonSesSandbox()
    query = StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 3))
    hub(ses_vendor(sandbox), sandbox).email().get_statistics(query)

    assert [
        {
            "Id": metric,
            "Namespace": "VDM",
            "Metric": metric,
            "StartDate": 1_767_312_000,
            "EndDate": 1_767_484_800,
        }
        for metric in METRICS
    ] == sandbox.requests[-1].json()["Queries"]


def test_each_metric_of_amazon_ses_adds_to_exactly_one_of_contract_numbers() -> None:
    """Each metric of Amazon SES is counted in exactly one of the contract's totals."""
    sandbox = AmazonSesSandbox()
    sandbox.metrics = {
        name: [(datetime(2026, 1, 2, tzinfo=UTC), 2**number)] for number, name in enumerate(METRICS)
    }
    query = StatisticsQuery(start=date(2026, 1, 2), end=date(2026, 1, 2))

    totals = hub(ses_vendor(sandbox), sandbox).email().get_statistics(query).totals

    assert totals == EmailCounts(
        requested=1, delivered=2, bounced=4, deferred=8, complained=16, opened=32, clicked=64
    )


def test_receipts_have_the_ids_of_their_messages() -> None:
    """Each receipt, also of a bulk email, has the id that Amazon SES gave its message."""
    sandbox = AmazonSesSandbox()
    email = hub(ses_vendor(sandbox), sandbox).email()
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])

    receipts = [
        email.send_transactional(mail()),
        *(result.unwrap() for result in email.send_bulk(bulk)),
    ]

    assert [item.id for item in sandbox.delivered] == [receipt.ref.id for receipt in receipts]


def test_address_check_lists_exactly_problems_of_which_amazon_ses_is_confident() -> None:
    """An address check lists only the problems that Amazon SES reports with high confidence."""
    sandbox = AmazonSesSandbox()
    names = ["HasValidSyntax", "HasValidDnsRecords", "MailboxExists"]
    evaluations = {
        **{name: {"ConfidenceVerdict": "LOW"} for name in names},
        **{name: {"ConfidenceVerdict": "HIGH"} for name in ("IsRandomInput", "IsDisposable")},
    }
    answer = {"IsValid": {"ConfidenceVerdict": "LOW"}, "Evaluations": evaluations}
    sandbox.fail(reply({"MailboxValidation": answer}))

    result = hub(ses_vendor(sandbox), sandbox).email().validate_address("ada@example.com")

    assert {*names, "IsRandomInput"} <= set(result.reasons)
    assert result.disposable
