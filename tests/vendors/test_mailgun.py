"""Mailgun: what it is sent, what its answers mean, and what its webhooks tell."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest

from mooring import (
    Account,
    AuthenticationFailed,
    ConfigurationError,
    Credentials,
    FormFile,
    Hub,
    InvalidRequest,
    RateLimitExceeded,
    Ref,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from mooring.adapters.memory_credentials import MemoryCredentialProvider
from mooring.contracts.email import Attachment, EmailMessage, TemplateRef
from mooring.contracts.email_bulk import BulkMessage, BulkRecipient
from mooring.contracts.email_outcomes import (
    EmailCounts,
    EmailStatus,
    StatisticsQuery,
    Verdict,
)
from mooring.domain.headers import Headers
from mooring.domain.http import Request, Response
from mooring.domain.webhooks.events import WebhookEvent
from mooring.testing.sandbox.base import Asked, SandboxHttpClient, reply
from mooring.testing.sandbox.mailgun import Form, MailgunSandbox, read_form
from mooring.vendors._mailgun_forms import bulk_request, fits_one, mail_request
from mooring.vendors.mailgun import Mailgun, classify, metrics_body
from tests.support.openapi import Json, description, problems
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.mailgun import mailgun_vendor

URL = "https://erp.example/hooks"


def _message(**changes: Any) -> EmailMessage:
    usual: dict[str, Any] = {
        "from_": "Shop <shop@example.com>",
        "to": "ada@example.com",
        "subject": "Hi",
        "text": "Hello.",
    }
    return EmailMessage(**{**usual, **changes})


def _opened(**options: Any) -> tuple[MailgunSandbox, Any]:
    sandbox = MailgunSandbox()
    return sandbox, hub(mailgun_vendor(sandbox, **options), sandbox)


def _form(request: Request) -> Form:
    assert isinstance(request.body, bytes)
    return read_form(Asked("POST", "", request.path, (), request.headers, request.body))


def _sent(asked: Asked) -> dict[str, Any]:
    """The fields of a form as a description has them: what may repeat is a list."""
    form, several = read_form(asked), {"to", "cc", "bcc", "o:tag"}
    fields: dict[str, Any] = {name: value for name, value in form.fields if name not in several}
    fields |= {name: form.all(name) for name in several if form.all(name)}
    for name, item in form.files:
        fields.setdefault(name, []).append(item.filename)
    return fields


def test_a_message_is_written_as_mailgun_wants_it() -> None:
    """Every field of a message has its place in the form."""
    request = mail_request(
        "mail.example.com",
        _message(
            to=["Ada, Countess <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to=["a@example.com", "b@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[
                Attachment(filename='é".txt', content=b"a\r\n", content_type="text/plain"),
                Attachment(
                    filename="l.png",
                    content=b"\x00",
                    content_type="image/png",
                    disposition="inline",
                    content_id="logo",
                ),
            ],
            tags=["invoice", "news"],
            metadata={"invoice": "7"},
            send_at=datetime(2031, 5, 6, 7, tzinfo=UTC),
            track_opens=False,
            track_clicks=True,
            extra={
                "mailgun": {
                    "o:require-tls": True,
                    "o:dkim": False,
                    "t:variables": {"a": [1]},
                    "amp-html": None,
                    "o:priority": 3,
                }
            },
        ),
        None,
    )
    form = _form(request)

    assert "/v3/mail.example.com/messages" == request.path
    assert [
        ("bcc", "dan@example.com"),
        ("cc", "carol@example.com"),
        ("from", "Shop <shop@example.com>"),
        ("h:Reply-To", "a@example.com, b@example.com"),
        ("h:X-Kunde", "=?utf-8?b?w7w=?="),
        ("html", "<p>"),
        ("o:deliverytime", "Tue, 06 May 2031 07:00:00 +0000"),
        ("o:dkim", "no"),
        ("o:priority", "3"),
        ("o:require-tls", "yes"),
        ("o:tag", "invoice"),
        ("o:tag", "news"),
        ("o:tracking-clicks", "yes"),
        ("o:tracking-opens", "no"),
        ("subject", "Hi"),
        ("t:variables", '{"a": [1]}'),
        ("text", "Hello."),
        ("to", '"Ada, Countess" <ada@example.com>'),
        ("to", "bob@example.com"),
        ("v:invoice", "7"),
    ] == sorted(form.fields)
    assert [
        ("attachment", 'é".txt', b"a\r\n", "text/plain"),
        ("inline", "logo", b"\x00", "image/png"),
    ] == [(name, item.filename, item.content, item.content_type) for name, item in form.files]


def test_a_template_brings_its_own_words() -> None:
    """A template has texts of its own, and a subject unless the message has one."""
    template = TemplateRef("welcome", {"total": ["149.90"]})
    form = _form(mail_request("d.example", _message(template=template), None))
    bare = _form(mail_request("d.example", _message(template=template, subject=""), None))

    assert ("welcome", '{"total": ["149.90"]}', "Hi") == (
        form.one("template"),
        form.one("t:variables"),
        form.one("subject"),
    )
    assert {"from", "to", "template", "t:variables"} == {name for name, _ in bare.fields}


def test_a_bulk_is_one_request_with_variables() -> None:
    """What is each one's own stands in variables: for the text, for the HTML, and as metadata."""
    base = _message(
        to=(), subject="For {{name}}", html="<b>{{name}}</b>", metadata={"m": "0", "all": "x"}
    )
    bulk = BulkMessage(
        base=base,
        recipients=[
            BulkRecipient(
                to="Ada <ada@example.com>", data={"name": "<A>"}, metadata={"m": "1", "k": "2"}
            ),
            BulkRecipient(to="bob@example.com", data={"name": 7}),
        ],
    )
    form = _form(bulk_request("d.example", bulk, None))

    assert fits_one(bulk)
    assert ["Ada <ada@example.com>", "bob@example.com"] == form.all("to")
    assert ("For %recipient.t_name%", "<b>%recipient.h_name%</b>") == (
        form.one("subject"),
        form.one("html"),
    )
    assert {"m": "%recipient.m_1%", "k": "%recipient.m_0%", "all": "x"} == form.below("v:")
    assert {
        "ada@example.com": {"t_name": "<A>", "h_name": "&lt;A&gt;", "m_0": "2", "m_1": "1"},
        "bob@example.com": {"t_name": "7", "h_name": "7", "m_0": "", "m_1": "0"},
    } == json.loads(form.one("recipient-variables"))


def test_a_bulk_without_anything_of_their_own_is_one_request_all_the_same() -> None:
    """Without variables everybody would see who else gets it."""
    sandbox, opened = _opened()
    base = _message(to=(), text=None, html="<p>", template=TemplateRef("welcome", {"a": "b"}))
    bulk = BulkMessage(base=base, recipients=["a@example.com", "b@example.com"])
    results = opened.email().send_bulk(bulk)

    assert [True, True] == [one.ok for one in results]
    assert 1 == len(sandbox.asked)
    assert [("a@example.com",), ("b@example.com",)] == [one.to for one in sandbox.delivered]
    assert 1 == len({one.value.ref for one in results})


def test_metadata_of_a_bulk_is_each_ones_own() -> None:
    """It comes back with news of each."""
    sandbox, opened = _opened()
    bulk = BulkMessage(
        base=_message(to=()),
        recipients=[
            BulkRecipient(to=f"person{number}@example.com", metadata={"n": str(number)})
            for number in range(2)
        ],
    )
    opened.email().send_bulk(bulk)

    assert [{"n": "0"}, {"n": "1"}] == [one.raw["user-variables"] for one in sandbox.delivered]


@pytest.mark.parametrize(
    "base, recipients",
    [
        ({}, [BulkRecipient(to=["a@example.com", "b@example.com"])]),
        ({}, [BulkRecipient(to="a@example.com", cc="b@example.com")]),
        ({}, [BulkRecipient(to="a@example.com", headers={"X-A": "1"})]),
        ({}, ["a@example.com", "A@example.com"]),
        ({"text": "It is %recipient_email%."}, ["a@example.com"]),
        ({"template": TemplateRef("welcome", {"a": "%recipient.b%"})}, ["a@example.com"]),
        (
            {"template": TemplateRef("welcome", {"a": 1})},
            [BulkRecipient(to="a@example.com", data={"b": [2]})],
        ),
        (
            {"text": "{{name}}"},
            [BulkRecipient(to="a@example.com", data={"name": "%recipient.t_name%"})],
        ),
    ],
)
def test_what_one_request_cannot_say_goes_in_one_each(
    base: dict[str, Any], recipients: list[Any]
) -> None:
    """Copies, headers, templates of one's own, and words that could be taken for variables."""
    sandbox, opened = _opened()
    bulk = BulkMessage(base=_message(to=(), **base), recipients=recipients)
    results = opened.email().send_bulk(bulk, idempotency_key="news")

    assert all(one.ok for one in results)
    assert len(recipients) == len(sandbox.asked)
    assert not any(read_form(one).all("recipient-variables") for one in sandbox.asked)


def test_each_of_a_bulk_has_their_own_words_in_a_template() -> None:
    """What fills a template in for all is joined with what does for one."""
    sandbox, opened = _opened()
    base = _message(to=(), template=TemplateRef("welcome", {"a": 1, "b": 1}))
    own = BulkRecipient(to="a@example.com", data={"b": [2]})
    opened.email().send_bulk(BulkMessage(base=base, recipients=[own, "b@example.com"]))

    assert {'{"a": 1, "b": [2]}', '{"a": 1, "b": 1}'} == {
        read_form(one).one("t:variables") for one in sandbox.asked
    }


def test_one_bad_address_is_the_end_of_a_batch() -> None:
    """Mailgun takes all of a batch or nothing, and so each is told."""
    sandbox, opened = _opened()
    bulk = BulkMessage(base=_message(to=()), recipients=["a@example.com", "refused@example.com"])
    results = opened.email().send_bulk(bulk)

    assert [InvalidRequest] * 2 == [type(one.error) for one in results]
    assert [] == sandbox.delivered


def test_test_mode_delivers_nothing() -> None:
    """Messages are taken, alone or in a batch."""
    sandbox, opened = _opened(test_mode=True)
    opened.email().send_transactional(_message())
    opened.email().send_bulk(BulkMessage(base=_message(to=()), recipients=["a@example.com"]))

    assert ["yes", "yes"] == [read_form(one).one("o:testmode") for one in sandbox.asked]
    assert [] == sandbox.delivered


@pytest.mark.parametrize("region, host", [("us", "api.mailgun.net"), ("eu", "api.eu.mailgun.net")])
def test_a_domain_is_in_a_region(region: str, host: str) -> None:
    """The address of the API is the region's."""
    sandbox, opened = _opened(region=region)
    opened.email().send_transactional(_message())

    assert host == sandbox.asked[0].host


@pytest.mark.parametrize(
    "options", [{"region": "moon"}, {"domain": "a/b"}, {"domain": ""}, {"domain": None}]
)
def test_what_leads_nowhere_is_no_configuration(options: dict[str, Any]) -> None:
    """A slash in a domain would be taken for a path."""
    whole: dict[str, Any] = {"domain": "mail.example.com", **options}
    with pytest.raises(ConfigurationError):
        Mailgun(**whole)


def test_the_greeting_of_mailgun_is_no_success() -> None:
    """Whoever goes astray is answered as if all were well."""
    _, opened = _opened(base_url="https://api.mailgun.net/v2")
    with pytest.raises(ConfigurationError, match="nothing there"):
        opened.email().send_transactional(_message())


def test_the_key_comes_from_the_provider() -> None:
    """Without a key of its own the account's credentials are asked for."""
    sandbox = MailgunSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.basic("api", sandbox.api_key))
    vendor = Mailgun(domain=sandbox.domain)
    hub(vendor, sandbox, credentials=provider).email().send_transactional(_message())

    assert 1 == len(sandbox.delivered)


def test_a_scheduled_message_is_scheduled() -> None:
    """What is to be sent later is not queued yet, alone or in a batch."""
    _, opened = _opened()
    at = datetime(2031, 5, 6, tzinfo=UTC)
    bulk = BulkMessage(base=_message(to=(), send_at=at), recipients=["a@example.com"])

    receipt = opened.email().send_transactional(_message(send_at=at))
    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is opened.email().send_bulk(bulk)[0].unwrap().status


@pytest.mark.parametrize(
    "status, words, kind",
    [
        (400, "to parameter is not a valid address. please check documentation", InvalidRequest),
        (400, "Domain a.example is not allowed to send: It is unverified.", VendorRejected),
        (403, "Domain a.example is not allowed to send large batches yet", VendorRejected),
        (403, "Forbidden", AuthenticationFailed),
        (404, "Domain not found: a.example", VendorRejected),
        (429, "Domain a.example is not allowed to send: limit exceeded", RateLimitExceeded),
        (500, "Internal Server Error", VendorFailed),
    ],
)
def test_a_refusal_is_read(status: int, words: str, kind: type[Any]) -> None:
    """A domain that may not send is no wrong request, and no wrong key."""
    sandbox, opened = _opened()
    sandbox.fail(*[reply({"message": words}, status)] * 3)
    with pytest.raises(kind) as caught:
        opened.email().send_transactional(_message())

    assert type(caught.value) is kind
    assert words == caught.value.vendor_message


@pytest.mark.parametrize(
    "when, at",
    [
        ("Mon, 22 Dec 2031 20:33:21 UTC", datetime(2031, 12, 22, 20, 33, 21, tzinfo=UTC)),
        ("120 seconds", None),
    ],
)
def test_a_limit_says_when_it_ends(when: str, at: datetime | None) -> None:
    """When to come back stands in Mailgun's words, and is told where it is a time."""
    sandbox, opened = _opened()
    words = f"Domain a.example is not allowed to send: limit exceeded, try again after {when}"
    sandbox.fail(*[reply({"message": words}, 429)] * 3)
    with pytest.raises(RateLimitExceeded) as caught:
        opened.email().send_transactional(_message())

    assert caught.value.by_vendor
    assert words == caught.value.vendor_message
    assert at in {None, caught.value.retry_at}


@pytest.mark.parametrize(
    "response",
    [
        Response(401, body=b"Forbidden"),
        reply({"message": "x"}, 400),
        reply([], 400),
        reply({"id": "<m>", "message": "Queued. Thank you."}),
    ],
)
def test_what_says_nothing_is_left_to_its_status(response: Response) -> None:
    """Where the words do not matter, the status decides."""
    assert None is classify(Request.get("/"), response)


@pytest.mark.parametrize("answer", [{"message": "Queued."}, {"id": "<>"}, {"id": None}, []])
def test_a_message_without_an_id_was_not_taken(answer: object) -> None:
    """An answer that does not name the message is none."""
    sandbox, opened = _opened()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        opened.email().send_transactional(_message())


@pytest.mark.parametrize(
    "address, verdict, reasons, meant, mx",
    [
        ("ada@example.com", Verdict.DELIVERABLE, (), None, None),
        ("info@example.com", Verdict.RISKY, ("mailbox_is_role_address",), None, None),
        ("ada@example.invalid", Verdict.UNDELIVERABLE, ("no_mx",), None, False),
        ("ada@gmial.com", Verdict.UNKNOWN, (), "ada@gmail.com", None),
    ],
)
def test_an_address_is_checked(
    *, address: str, verdict: Verdict, reasons: tuple[str, ...], meant: str | None, mx: bool | None
) -> None:
    """What Mailgun knows of an address is told in the contract's words."""
    _, opened = _opened()
    told = opened.email().validate_address(address)

    assert (verdict, reasons, meant, mx) == (
        told.verdict,
        told.reasons,
        told.did_you_mean,
        told.mx,
    )
    assert address.startswith("info") == told.role
    assert not told.disposable


def test_a_check_without_a_verdict_is_malformed() -> None:
    """A check that does not say anything is no check."""
    sandbox, opened = _opened()
    sandbox.fail(reply({"address": "ada@example.com"}))
    with pytest.raises(VendorFailed, match="result"):
        opened.email().validate_address("ada@example.com")


def test_days_come_in_pages() -> None:
    """All days are asked for, though Mailgun gives fewer at once, and are this domain's."""
    sandbox, opened = _opened()
    first = datetime(2026, 1, 1, tzinfo=UTC)
    sandbox.days = [
        (
            format_datetime(first + timedelta(days=number)),
            {
                "accepted_outgoing_count": 2,
                "delivered_smtp_count": 1,
                "suppressed_bounces_count": 1,
                "suppressed_complaints_count": 1,
            },
        )
        for number in range(-1, 252)
    ]
    query = StatisticsQuery(start=first.date(), end=first.date() + timedelta(days=249))
    told = opened.email().get_statistics(query)

    assert [0, 100, 200] == [json.loads(one.body)["pagination"]["skip"] for one in sandbox.asked]
    assert 250 == len(told.rows)
    assert EmailCounts(requested=500, delivered=250, dropped=500) == told.totals


def test_days_that_were_not_asked_for_do_not_count() -> None:
    """A vendor that begins a day too early, and does not know pages, is read all the same."""
    sandbox, opened = _opened()
    items = [
        {
            "dimensions": [{"dimension": "time", "value": f"{day} Mar 2026 00:00:00 +0000"}],
            "metrics": {"opened_count": 1},
        }
        for day in (1, 2, 3)
    ]
    sandbox.fail(reply({"items": items, "pagination": {"limit": 3}}))
    query = StatisticsQuery(start=date(2026, 3, 2), end=date(2026, 3, 3))
    told = opened.email().get_statistics(query)

    assert 1 == len(sandbox.asked)
    assert EmailCounts(opened=2) == told.totals


@pytest.mark.parametrize("answer", [{}, {"items": {}}, {"items": [{"metrics": {}}]}, []])
def test_days_without_dates_are_malformed(answer: object) -> None:
    """Numbers of no day are no numbers."""
    sandbox, opened = _opened()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        opened.email().get_statistics(query)


def _event(**fields: Any) -> dict[str, Any]:
    return {
        "event": "delivered",
        "id": "day-unique",
        "timestamp": 1772366400.153125,
        "recipient": "ada@example.com",
        "message": {"headers": {"message-id": "m-1@mail.example.com"}},
        **fields,
    }


def test_webhooks_are_signed_and_become_events() -> None:
    """News is of the message that was sent, and only who knows the key is believed."""
    sandbox, opened = _opened()
    receipt = opened.email().send_transactional(_message())
    told = _event(
        event="failed",
        severity="permanent",
        reason="bounce",
        message={"headers": {"message-id": receipt.ref.id}},
        tags=["invoice"],
        **{
            "user-variables": {"invoice": "7", "n": 8, "odd": []},
            "delivery-status": {"code": 550, "description": "", "message": "No such user."},
        },
    )
    notice = sandbox.tell(URL, told, datetime.now(UTC))
    verifier = opened.webhooks("mail", secrets=sandbox.signing_key)
    [webhook] = verifier.verify(**notice.given())
    [event] = opened.events("mail", webhook)

    assert Ref("mailgun", "mail", receipt.ref.id) == event.ref
    assert not receipt.ref.id.startswith("<")
    assert (EmailStatus.BOUNCED, "failed", "550", "No such user.", True) == (
        event.status,
        event.vendor_status,
        event.code,
        event.reason,
        event.permanent,
    )
    assert datetime(2026, 3, 1, 12, 0, 0, 153_125, tzinfo=UTC) == event.at
    assert (("invoice",), {"invoice": "7", "n": "8"}) == (event.tags, event.metadata)
    assert ("ada@example.com", webhook.id) == (event.email, event.id)
    with pytest.raises(WebhookRejected):
        opened.webhooks("mail", secrets="wrong").verify(**notice.given())


@pytest.mark.parametrize(
    "fields, status, code",
    [
        ({"event": "accepted"}, EmailStatus.QUEUED, None),
        ({"event": "failed", "severity": "temporary"}, EmailStatus.DEFERRED, None),
        (
            {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
            EmailStatus.REJECTED,
            "suppress-bounce",
        ),
        ({"event": "failed"}, EmailStatus.FAILED, None),
        ({"event": "rejected", "reject": {"reason": "virus"}}, EmailStatus.REJECTED, None),
        ({"event": "clicked", "url": "https://a.example/"}, EmailStatus.CLICKED, None),
        ({"event": "teleported"}, EmailStatus.UNKNOWN, None),
    ],
)
def test_every_kind_of_event_is_known(
    fields: dict[str, Any], status: EmailStatus, code: str | None
) -> None:
    """What is new is unknown and kept."""
    payload = {"signature": {}, "event-data": _event(**fields)}
    webhook = WebhookEvent(vendor="mailgun", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = _opened()[1].events("mail", webhook)

    assert (status, code, fields.get("url")) == (event.status, event.code, event.url)
    assert fields.get("reject", {}).get("reason") == event.reason
    assert payload["event-data"] == event.raw


@pytest.mark.parametrize(
    "payload",
    [
        {"event-data": _event(event="stored")},
        {"event-data": _event(message={})},
        {"event-data": _event(event=None)},
        {"event-data": []},
        [],
    ],
)
def test_what_is_of_no_message_is_no_event(payload: object) -> None:
    """Mail that came in, and news of lists, are no news of a message."""
    webhook = WebhookEvent(vendor="mailgun", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == _opened()[1].events("mail", webhook)


USUAL = {"from": "shop@example.com", "to": "a@example.com", "subject": "Hi", "text": "x"}
PATH = "/v3/mail.example.com/messages"


def _post(**change: Any) -> Request:
    return Request.post(PATH, form={**USUAL, **change}, files=[])


@pytest.mark.parametrize(
    "request_",
    [
        _post(to=None),
        _post(to="nobody"),
        _post(to=[f"a{number}@example.com" for number in range(1_001)]),
        _post(text=""),
        _post(subject=None),
        _post(subject=["a", "b"]),
        _post(html="x", template="welcome"),
        _post(template="none"),
        _post(Text="x"),
        _post(**{"from": None}),
        _post(**{"o:tracking-opens": "true"}),
        _post(**{"o:deliverytime": "tomorrow"}),
        _post(**{"v:a": "x" * 17_000}),
        _post(**{"recipient-variables": "{"}),
        _post(**{"t:variables": "[]"}),
        Request.post(PATH, form=USUAL),
        Request.post(PATH, form=USUAL, files={"file": FormFile("a", b"")}),
        Request.post(
            PATH,
            body=b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        Request.get("/v4/address/validate"),
        Request.post("/v1/analytics/metrics", json={"dimensions": ["tag"]}),
    ],
)
def test_the_sandbox_is_strict(request_: Request) -> None:
    """What Mailgun would refuse, the sandbox refuses."""
    _, opened = _opened()
    send = partial(opened.manager.call, "mail")
    assert 200 == send(_post()).status
    with pytest.raises(InvalidRequest):
        send(request_)


@pytest.mark.parametrize(
    "request_",
    [
        Request.post("/v3/other.example/messages", form=USUAL, files=[]),
        Request.post(PATH, form={**USUAL, "text": "x" * 28_000_000}, files=[]),
    ],
)
def test_the_sandbox_has_one_domain_and_bounds(request_: Request) -> None:
    """Another domain is not found, and what is too large is refused."""
    _, opened = _opened()
    with pytest.raises(VendorRejected):
        opened.manager.call("mail", request_)


def test_nobody_sends_from_where_they_may_not() -> None:
    """A domain that is not verified may not send."""
    _, opened = _opened()
    with pytest.raises(VendorRejected, match="not allowed to send"):
        opened.email().send_transactional(_message(from_="a@unverified.example"))


def test_a_file_without_a_type_is_anything() -> None:
    """So a form may leave it out."""
    body = (
        b'--b\r\ncontent-disposition: form-data; name="attachment"; filename="a"\r\n\r\nz\r\n--b--'
    )
    headers = Headers({"Content-Type": "multipart/form-data; boundary=b"})
    [(_, item)] = read_form(Asked("POST", "", PATH, (), headers, body)).files

    assert ("application/octet-stream", b"z", None) == (
        item.content_type,
        item.content,
        item.content_id,
    )


def test_the_sandbox_listens_on_a_port() -> None:
    """The same holds over a real connection."""
    sandbox = MailgunSandbox()
    with sandbox.serving() as server:
        vendor = mailgun_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as opened:
            opened.email().send_transactional(_message())

    assert ("ada@example.com",) == sandbox.delivered[0].to


TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "array", "items": TEXT}


def _described(schema: Json, kind: str = "application/json") -> Json:
    return {"post": {"requestBody": {"content": {kind: {"schema": schema}}}}}


OURS: Json = {
    "paths": {
        "/v3/{domain}/messages": _described(
            {
                "type": "object",
                "required": ["from", "to", "subject"],
                "properties": {
                    **dict.fromkeys(("to", "cc", "bcc", "o:tag", "attachment", "inline"), TEXTS),
                    **dict.fromkeys(
                        (
                            "from",
                            "subject",
                            "text",
                            "html",
                            "template",
                            "t:variables",
                            "o:deliverytime",
                            "o:testmode",
                            "o:tracking-clicks",
                            "o:tracking-opens",
                            "recipient-variables",
                            "h:X-My-Header",
                            "v:my-var",
                        ),
                        TEXT,
                    ),
                },
            },
            "multipart/form-data",
        ),
        "/v1/analytics/metrics": _described(
            {
                "type": "object",
                "properties": {
                    "start": TEXT,
                    "end": TEXT,
                    "resolution": TEXT,
                    "dimensions": {"type": "array", "items": {"enum": ["time"]}},
                    "metrics": TEXTS,
                    "filter": {"type": "object"},
                },
            }
        ),
    }
}
"""What Mailgun says of messages and numbers, as far as we send them."""


def _as_json(said: Json) -> Json:
    """A description in which forms stand as what they hold."""
    asked = said["paths"][next(path for path in said["paths"] if path.endswith("}/messages"))]
    content = asked["post"]["requestBody"]["content"]
    content["application/json"] = content["multipart/form-data"]
    return said


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("template", [None, TemplateRef("welcome", {"name": "Ada"})])
def test_what_is_sent_is_what_mailgun_describes(whose: str, template: TemplateRef | None) -> None:
    """Each field is known, and of its type."""
    said = _as_json(OURS if whose == "ours" else description("mailgun.json"))
    sandbox = MailgunSandbox()
    vendor = mailgun_vendor(sandbox, sender="shop@acme.example", test_mode=True)
    opened = Hub([Account("mailgun", vendor)], http=SandboxHttpClient(sandbox))
    message = _message(
        from_=None,
        to=["ada@example.com", "Bob <bob@example.com>"],
        cc="carol@example.com",
        bcc="dan@example.com",
        html='<img src="cid:logo">',
        # Their description names one header and one word, and any may stand for it.
        headers={"X-My-Header": "INV-2041"},
        metadata={"my-var": "7"},
        attachments=[
            Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
            Attachment(
                filename="logo.png",
                content=b"a logo",
                content_type="image/png",
                disposition="inline",
                content_id="logo",
            ),
        ],
        tags=["invoice"],
        track_opens=True,
        track_clicks=False,
        send_at=datetime(2031, 5, 6, tzinfo=UTC),
        template=template,
    )
    opened.email().send_transactional(message)
    base = _message(to=(), template=template)
    opened.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert [[], []] == [
        problems(said, asked.method, asked.path, _sent(asked)) for asked in sandbox.asked
    ]


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_numbers_are_asked_for_as_mailgun_describes(whose: str) -> None:
    """Each metric is known; of pages their description tells in its answer, and clients ask so."""
    said = OURS if whose == "ours" else description("mailgun.json")
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
    body = metrics_body("mail.example.com", query, 0)
    pages = body.pop("pagination")

    assert {"skip": 0, "limit": 1_000} == pages
    assert [] == problems(said, "POST", "/v1/analytics/metrics", body)
    assert ("Sun, 01 Mar 2026 00:00:00 +0000", "Mon, 02 Mar 2026 23:59:59 +0000") == (
        body["start"],
        body["end"],
    )
