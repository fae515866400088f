"""Bulk emails at Brevo, which are sent as several versions of one message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import InvalidData, InvalidRequest, OutcomeUnknown, VendorFailed
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailStatus
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.email.brevo import Brevo, bulk_body
from tests.vendors.brevo_account import brevo_hub
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

PEOPLE = ["a@example.com", "b@example.com"]


def test_versions_have_only_differing_fields() -> None:
    """A bulk email has common fields once, and only different fields for each recipient."""
    base = mail(
        to=(),
        subject="For {{name}}",
        html="<p>",
        headers={"X-A": "1"},
        metadata={"m": "0"},
        reply_to="answers@example.com",
        tags=["news"],
        attachments=[Attachment(filename="a.txt", content=b"a", content_type="text/plain")],
    )
    ada = BulkRecipient(
        to="Ada <ada@example.com>",
        cc="cc@example.com",
        bcc="bcc@example.com",
        data={"name": "Ada"},
        headers={"X-B": "2"},
        metadata={"n": "1"},
    )
    bob = BulkRecipient(to="bob@example.com", data={"name": "Bob"})

    assert {
        "sender": {"email": "shop@example.com", "name": "Shop"},
        "subject": "For {{name}}",
        "textContent": "Hello.",
        "htmlContent": "<p>",
        "headers": {"X-A": "1", "X-Mailin-custom": '{"m":"0"}'},
        "replyTo": {"email": "answers@example.com"},
        "attachment": [{"name": "a.txt", "content": "YQ=="}],
        "tags": ["news"],
        "messageVersions": [
            {
                "to": [{"email": "ada@example.com", "name": "Ada"}],
                "cc": [{"email": "cc@example.com"}],
                "bcc": [{"email": "bcc@example.com"}],
                "headers": {"X-A": "1", "X-B": "2", "X-Mailin-custom": '{"m":"0","n":"1"}'},
                "subject": "For Ada",
            },
            {"to": [{"email": "bob@example.com"}], "subject": "For Bob"},
        ],
    } == bulk_body(Brevo(), BulkMessage(base=base, recipients=[ada, bob]))


def test_template_data_are_merged() -> None:
    """In a Brevo bulk email, common template data are merged with each recipient's data."""
    base = mail(to=(), subject="", template=TemplateRef("7", {"a": 1}))
    ada = BulkRecipient(to="ada@example.com", data={"b": {"c": 2}})
    body = bulk_body(Brevo(), BulkMessage(base=base, recipients=[ada, "bob@example.com"]))

    assert (7, {"a": 1}) == (body["templateId"], body["params"])
    assert [
        {"to": [{"email": "ada@example.com"}], "params": {"a": 1, "b": {"c": 2}}},
        {"to": [{"email": "bob@example.com"}]},
    ] == body["messageVersions"]


@pytest.mark.parametrize("field", ["subject", "textContent"])
def test_recipient_whose_text_is_empty_does_not_get_text_with_its_placeholder(field: str) -> None:
    """A recipient with an empty text does not get the common text with its placeholder instead."""
    base = mail(to=(), subject="{{word}}", text="{{word}}", html="<p>")
    bulk = BulkMessage(base=base, recipients=[BulkRecipient(to=PEOPLE[0], data={"word": ""})])

    assert " " == bulk_body(Brevo(), bulk)["messageVersions"][0][field]


def test_each_recipient_has_an_id() -> None:
    """Each recipient of a Brevo bulk email has a receipt with its own id, in order."""
    sandbox, mail_hub = brevo_hub()
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=PEOPLE))
    receipts = [result.unwrap() for result in results]

    assert [message.id for message in sandbox.delivered] == [item.ref.id for item in receipts]
    assert 2 == len({item.ref.id for item in receipts})
    assert PEOPLE == [item.recipients[0].email for item in receipts]
    assert [EmailStatus.QUEUED] * 2 == [item.status for item in receipts]
    assert {"messageId": receipts[0].ref.id} == receipts[0].raw
    assert ["/v3/smtp/email"] == [request.path for request in sandbox.requests]


def test_wrong_recipient_refuses_the_request() -> None:
    """If one recipient is wrong, Brevo refuses the whole request and sends no email."""
    sandbox, mail_hub = brevo_hub()
    bulk = BulkMessage(base=mail(to=()), recipients=[*PEOPLE, "refused@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [InvalidRequest] * 3 == [type(result.error) for result in results]
    assert ["invalid_parameter"] * 3 == [result.error.vendor_code for result in results]
    assert [] == sandbox.delivered


def _sizes(sandbox: Any) -> list[int]:
    return [len(json.loads(request.body)["messageVersions"]) for request in sandbox.requests]


def test_many_copies_need_several_requests() -> None:
    """A request to Brevo has at most 1000 addresses, including those of copies."""
    sandbox, mail_hub = brevo_hub()
    recipients = [
        BulkRecipient(
            to=f"p{number}@example.com",
            cc=[f"c{number}.{copy}@example.com" for copy in range(49)],
        )
        for number in range(21)
    ]
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=recipients))

    assert all(result.ok for result in results)
    assert [1, 20] == sorted(_sizes(sandbox))


def test_long_texts_need_several_requests() -> None:
    """If each recipient has a long text, a Brevo bulk email is split by its size."""
    sandbox, mail_hub = brevo_hub()
    people = [f"person{number}@example.com" for number in range(3)]
    text = "x" * 6_000_000
    common_bulk = BulkMessage(base=mail(to=(), text=text), recipients=people)
    personal = BulkMessage(
        base=mail(to=(), text=text + "{{name}}"),
        recipients=[BulkRecipient(to=person, data={"name": "A"}) for person in people],
    )
    results = [
        result for bulk in (common_bulk, personal) for result in mail_hub.email().send_bulk(bulk)
    ]

    assert all(result.ok for result in results)
    assert [1, 2, 3] == sorted(_sizes(sandbox))


def test_request_that_fails_loses_no_other() -> None:
    """If a Brevo bulk email is split, a failed request does not affect the other requests."""
    sandbox, mail_hub = brevo_hub()
    base = mail(to=(), text="x" * 8_000_000 + "{{name}}")
    people = [BulkRecipient(to=person, data={"name": "A"}) for person in PEOPLE]
    sandbox.fail(reply({"code": "invalid_parameter", "message": "No."}, 400))
    results = mail_hub.email().send_bulk(BulkMessage(base=base, recipients=people))

    assert [InvalidRequest, type(None)] == [type(result.error) for result in results]


def test_lost_answer_is_not_repeated() -> None:
    """After a lost response, a Brevo bulk email's outcome is unknown, and it is not sent again."""
    sandbox, mail_hub = brevo_hub()
    bulk = BulkMessage(base=mail(to=()), recipients=PEOPLE)
    sandbox.fail(Lost())
    for _ in range(2):
        results = mail_hub.email().send_bulk(bulk, idempotency_key="news")
        assert [OutcomeUnknown] * 2 == [type(result.error) for result in results]

    assert 2 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "answer",
    [
        reply({}, 201),
        reply({"messageIds": ["<1@a>"]}, 201),
        reply({"messageIds": ["<1@a>", 2]}, 201),
        reply({"messageIds": ["<1@a>", "<>"]}, 201),
        reply({"messageIds": ["<1@a>", "<2@a>", "<3@a>"]}, 201),
        reply([], 201),
    ],
)
def test_bulk_is_answered_for_each(answer: Response) -> None:
    """A Brevo response without an id for each recipient is malformed."""
    sandbox, mail_hub = brevo_hub()
    sandbox.fail(answer)
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=PEOPLE))

    assert [VendorFailed] * 2 == [type(result.error) for result in results]


def test_file_that_brevo_refuses() -> None:
    """A Brevo bulk email with a file of a forbidden type is refused before sending."""
    sandbox, mail_hub = brevo_hub()
    base = mail(to=(), attachments=[Attachment(filename="a.exe", content=b"")])
    results = mail_hub.email().send_bulk(BulkMessage(base=base, recipients=PEOPLE))

    assert [InvalidData] * 2 == [type(result.error) for result in results]
    assert [] == sandbox.requests
