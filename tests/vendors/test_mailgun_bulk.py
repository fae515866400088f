"""Bulk emails at Mailgun: one request with variables, or one request per recipient."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import InvalidRequest
from moorage.contracts.email import TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.testing.sandboxes.email.mailgun import read_form
from moorage.vendors.email._mailgun_forms import bulk_request, fits_one
from tests.vendors.email_hubs import mail
from tests.vendors.mailgun_account import form_of, mailgun_hub


def test_bulk_is_one_request_to_mailgun() -> None:
    """A bulk is one request to Mailgun, with each recipient's data as variables."""
    base = mail(
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
    form = form_of(bulk_request("d.example", bulk, None))

    assert fits_one(bulk)
    assert ["Ada <ada@example.com>", "bob@example.com"] == form.all("to")
    assert ("For %recipient.t_name%", "<b>%recipient.h_name%</b>") == (
        form.value("subject"),
        form.value("html"),
    )
    assert {"m": "%recipient.m_1%", "k": "%recipient.m_0%", "all": "x"} == form.below("v:")
    assert {
        "ada@example.com": {"t_name": "<A>", "h_name": "&lt;A&gt;", "m_0": "2", "m_1": "1"},
        "bob@example.com": {"t_name": "7", "h_name": "7", "m_0": "", "m_1": "0"},
    } == json.loads(form.value("recipient-variables"))


def test_bulk_without_variables_hides_recipients() -> None:
    """A Mailgun bulk without variables still hides the recipients from each other."""
    sandbox, mail_hub = mailgun_hub()
    base = mail(to=(), text=None, html="<p>", template=TemplateRef("welcome", {"a": "b"}))
    bulk = BulkMessage(base=base, recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [True, True] == [result.ok for result in results]
    assert 1 == len(sandbox.requests)
    assert [("a@example.com",), ("b@example.com",)] == [message.to for message in sandbox.delivered]
    assert 1 == len({result.value.ref for result in results})


def test_bulk_metadata_is_per_recipient() -> None:
    """In a Mailgun bulk, each recipient's events have that recipient's metadata."""
    sandbox, mail_hub = mailgun_hub()
    bulk = BulkMessage(
        base=mail(to=()),
        recipients=[
            BulkRecipient(to=f"person{number}@example.com", metadata={"n": str(number)})
            for number in range(2)
        ],
    )
    mail_hub.email().send_bulk(bulk)

    assert [{"n": "0"}, {"n": "1"}] == [
        message.raw["user-variables"] for message in sandbox.delivered
    ]


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
def test_some_bulks_need_one_request_each(base: dict[str, Any], recipients: list[Any]) -> None:
    """With copies, headers or a template, a Mailgun bulk is sent as one request per recipient."""
    sandbox, mail_hub = mailgun_hub()
    bulk = BulkMessage(base=mail(to=(), **base), recipients=recipients)
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert all(result.ok for result in results)
    assert len(recipients) == len(sandbox.requests)
    assert not any(read_form(request).all("recipient-variables") for request in sandbox.requests)


def test_bulk_template_data_is_merged() -> None:
    """In a Mailgun bulk, common template data are merged with each recipient's."""
    sandbox, mail_hub = mailgun_hub()
    base = mail(to=(), template=TemplateRef("welcome", {"a": 1, "b": 1}))
    custom_recipient = BulkRecipient(to="a@example.com", data={"b": [2]})
    mail_hub.email().send_bulk(
        BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    )

    assert {'{"a": 1, "b": [2]}', '{"a": 1, "b": 1}'} == {
        read_form(request).value("t:variables") for request in sandbox.requests
    }


def test_all_recipients_get_error_if_mailgun_refuses_batch() -> None:
    """If Mailgun refuses a batch, all recipients get the error."""
    sandbox, mail_hub = mailgun_hub()
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "refused@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [InvalidRequest] * 2 == [type(result.error) for result in results]
    assert [] == sandbox.delivered
