"""Bulk emails at Postmark are sent in batches."""

from __future__ import annotations

import json

import pytest

from moorage import InvalidRequest, RateLimitExceeded, VendorFailed, VendorRejected
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import reply
from moorage.vendors.email.postmark import Postmark, batch_request
from tests.vendors.email_hubs import mail
from tests.vendors.postmark_account import postmark_hub


def test_bulk_template_data_is_merged() -> None:
    """In a Postmark bulk, common template data are merged with each recipient's."""
    base = mail(
        to=(),
        template=TemplateRef("welcome", {"a": 1}),
        subject="",
        text=None,
        headers={"X-A": "1"},
        metadata={"m": "0"},
    )
    custom_recipient = BulkRecipient(
        to="a@example.com", data={"b": {"c": 2}}, headers={"X-B": "2"}, metadata={"m": "1"}
    )
    request = batch_request(
        Postmark(), BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    )
    first, second = json.loads(request.body)["Messages"]  # type: ignore[arg-type]  # the body is bytes

    assert "/email/batchWithTemplates" == request.path
    assert ({"a": 1, "b": {"c": 2}}, {"a": 1}) == (first["TemplateModel"], second["TemplateModel"])
    assert {"m": "1"} == first["Metadata"]
    names = [header["Name"] for header in first["Headers"]]
    assert ["X-A", "X-B"] == names


def test_bulk_by_template_arrives() -> None:
    """The Postmark sandbox accepts a bulk with a template."""
    sandbox, mail_hub = postmark_hub()
    bulk = BulkMessage(
        base=mail(to=(), template=TemplateRef("7")),
        recipients=["a@example.com", "b@example.com"],
    )

    assert [True, True] == [item.ok for item in mail_hub.email().send_bulk(bulk)]
    assert ["/email/batchWithTemplates"] == [request.path for request in sandbox.requests]


def test_inactive_recipient_of_a_bulk() -> None:
    """In a Postmark bulk an inactive recipient is refused; all other recipients get their email."""
    sandbox, mail_hub = postmark_hub()
    bulk = BulkMessage(
        base=mail(to=()), recipients=["a@example.com", "refused@example.com", "b@example.com"]
    )
    first_result, second_result, third_result = mail_hub.email().send_bulk(
        bulk, idempotency_key="news"
    )

    assert (True, False, True) == (first_result.ok, second_result.ok, third_result.ok)
    assert (VendorRejected, "406") == (type(second_result.error), second_result.error.vendor_code)
    assert "mail" == second_result.error.service
    assert "refused@" not in str(second_result.error)
    assert ["/email/batch"] == [request.path for request in sandbox.requests]
    assert 2 == len(sandbox.delivered)


def test_large_bulk_goes_in_several_requests() -> None:
    """A Postmark bulk above 50 MB is split into several requests, each with its own key."""
    sandbox, mail_hub = postmark_hub()
    file = Attachment(filename="a.pdf", content=bytes(6_000_000), content_type="application/pdf")
    bulk = BulkMessage(
        base=mail(to=(), attachments=[file]),
        recipients=[f"person{number}@example.com" for number in range(8)],
    )
    sandbox.fail(Response(200), reply({"ErrorCode": 429, "Message": "No."}, 429))
    sandbox.forget_faults()
    first = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [6, 2] == [len(json.loads(request.body)) for request in sandbox.requests]
    assert [True] * 8 == [item.ok for item in first]
    assert [item.value for item in first] == [item.value for item in repeated_results]


def test_request_that_fails_loses_no_other() -> None:
    """A failed request of a split Postmark bulk does not affect the other requests."""
    sandbox, mail_hub = postmark_hub()
    file = Attachment(filename="a.pdf", content=bytes(7_000_000), content_type="application/pdf")
    bulk = BulkMessage(
        base=mail(to=(), attachments=[file]),
        recipients=[f"person{number}@example.com" for number in range(6)],
    )
    sandbox.fail(reply({"ErrorCode": 300, "Message": "No."}, 422))
    results = mail_hub.email().send_bulk(bulk)

    assert [False] * 5 + [True] == [result.ok for result in results]
    assert InvalidRequest is type(results[0].error)


@pytest.mark.parametrize(
    "answer", [reply([]), reply([{"ErrorCode": 0, "MessageID": "m"}]), reply({}), reply(["x", "y"])]
)
def test_batch_is_answered_for_each(answer: Response) -> None:
    """If a Postmark batch lacks a result for any email, the outcome is unknown."""
    sandbox, mail_hub = postmark_hub()
    sandbox.fail(answer)
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [VendorFailed] * 2 == [type(result.error) for result in results]
    assert not any(result.error.retryable for result in results)


def test_malformed_entry_of_a_batch() -> None:
    """A malformed result in a Postmark batch does not affect other results."""
    sandbox, mail_hub = postmark_hub()
    sandbox.fail(
        reply(
            [
                {"ErrorCode": "0", "MessageID": "m-1", "Message": "OK"},
                {"ErrorCode": 0, "MessageID": None, "Message": 7},
                {"ErrorCode": 100, "Message": None},
                {"ErrorCode": 429},
                {"ErrorCode": 0, "MessageID": "."},
            ]
        )
    )
    people = [f"person{number}@example.com" for number in range(5)]
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=people))

    assert [type(None), VendorFailed, VendorFailed, RateLimitExceeded, VendorFailed] == [
        type(result.error) for result in results
    ]
    assert results[3].error.by_vendor
