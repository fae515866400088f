"""Bulk emails at Resend are sent in batches."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidRequest, VendorFailed
from moorage.contracts.email import TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.email._common import messages_of
from moorage.vendors.email.resend import Resend, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.resend_account import PDF, resend_hub


def test_bulk_template_data_is_merged() -> None:
    """In a Resend bulk, common template data are merged with each recipient's."""
    base = mail(to=(), template=TemplateRef("welcome", {"name": "you"}), headers={"X-A": "1"})
    custom_recipient = BulkRecipient(to="a@example.com", data={"name": "Ada"}, headers={"X-B": "2"})
    bulk = BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    first, second = [mail_body(Resend(), item) for item in messages_of(bulk)]

    assert ({"name": "Ada"}, {"name": "you"}) == (
        first["template"]["variables"],
        second["template"]["variables"],
    )
    assert {"X-A": "1", "X-B": "2"} == first["headers"]


def test_lost_batch_is_retried_with_its_key() -> None:
    """After a lost response a Resend batch is sent again with its key, and delivered once."""
    sandbox, mail_hub = resend_hub()
    sandbox.fail(Lost())
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, True] == [result.ok for result in results]
    assert 2 == len(sandbox.delivered)
    keys = [request.headers.get("idempotency-key") for request in sandbox.requests]
    assert ["news/1", "news/1"] == keys


def test_refused_message_of_a_bulk() -> None:
    """If one email of a Resend batch has an error, the others are still sent."""
    sandbox, mail_hub = resend_hub()
    bulk = BulkMessage(
        base=mail(to=()), recipients=["a@example.com", "refused@example.com", "b@example.com"]
    )
    first_result, second_result, third_result = mail_hub.email().send_bulk(bulk)

    assert (True, False, True) == (first_result.ok, second_result.ok, third_result.ok)
    assert ("mail", InvalidRequest) == (second_result.error.service, type(second_result.error))
    assert "refused@" not in str(second_result.error)
    assert ["a@example.com", "b@example.com"] == [
        result.value.recipients[0].email for result in (first_result, third_result)
    ]
    assert 2 == len(sandbox.delivered)


def test_files_of_a_bulk_go_one_by_one() -> None:
    """Emails with files in a Resend bulk are sent one by one, each with its own key."""
    sandbox, mail_hub = resend_hub()
    bulk = BulkMessage(
        base=mail(to=(), attachments=[PDF], text="Dear {{name}}"),
        recipients=[
            BulkRecipient(to=f"person{number}@example.com", data={"name": str(number)})
            for number in range(3)
        ]
        + [BulkRecipient(to="refused@example.com", data={"name": "x"})],
    )
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, True, True, False] == [result.ok for result in results]
    assert {"Dear 0", "Dear 1", "Dear 2"} == {message.text for message in sandbox.delivered}
    assert {f"news/1/{number}" for number in range(1, 5)} == {
        request.headers.get("idempotency-key") for request in sandbox.requests
    }
    assert [result.value for result in results] == [item.value for item in repeated_results]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": {}},
        {"data": [{"id": "m-1"}]},
        {"data": [{"id": "m-1"}, {"id": "m-2"}], "errors": [{"index": 0}]},
    ],
)
def test_batch_is_answered_for_each(answer: dict[str, Any]) -> None:
    """A Resend batch without a result for each email is malformed."""
    sandbox, mail_hub = resend_hub()
    sandbox.fail(reply(answer))
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [VendorFailed] * 2 == [type(result.error) for result in results]
    assert not any(result.error.retryable for result in results)


def test_malformed_entry_of_a_batch() -> None:
    """A malformed result in a Resend batch does not affect other results."""
    sandbox, mail_hub = resend_hub()
    batch_entries = ["odd", {"id": 7}, {"id": "."}]
    sandbox.fail(reply({"data": batch_entries, "errors": [{"index": 9}, {"index": 1}]}))
    people = [f"person{number}@example.com" for number in range(5)]
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=people))

    assert [VendorFailed, InvalidRequest, type(None), VendorFailed, VendorFailed] == [
        type(result.error) for result in results
    ]
    assert "7" == results[2].value.ref.id
