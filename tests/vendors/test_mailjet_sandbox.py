"""The Mailjet sandbox refuses what Mailjet refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, ConnectorError, Hub
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.email.mailjet import MailjetSandbox
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mailjet import mailjet_hub, mailjet_vendor

PATH = "/v3.1/send"
ADA = {"Email": "ada@example.com"}
USUAL: dict[str, Any] = {"From": {"Email": "shop@example.com"}, "To": [ADA], "TextPart": "x"}
FILE = {"Filename": "a", "ContentType": "a/b", "Base64Content": "YQ=="}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"From": {}}, "mj-0012"),
    ({"From": {"Email": "a@unverified.example"}}, "send-0008"),
    ({"Sender": ADA}, "send-0006"),
    ({"To": []}, "mj-0003"),
    ({"To": [{"Email": "nobody"}]}, "mj-0013"),
    ({"To": [{"email": "ada@example.com"}]}, "mj-0004"),
    ({"To": ["ada@example.com"]}, "mj-0004"),
    ({"Bcc": [{"Email": f"a{number}@example.com"} for number in range(50)]}, "send-0015"),
    ({"ReplyTo": [ADA]}, "mj-0004"),
    ({"Subjekt": "x"}, "mj-0004"),
    ({"Subject": "x" * 256}, "mj-0006"),
    ({"URLTags": "x" * 257}, "mj-0006"),
    ({"TextPart": ""}, "send-0003"),
    ({"TemplateID": 7}, "send-0004"),
    ({"TemplateID": 8, "TextPart": ""}, "send-0010"),
    ({"TemplateID": True}, "mj-0004"),
    ({"TrackOpens": "enabled"}, "mj-0005"),
    ({"TrackClicks": "yes", "HTMLPart": "x"}, "mj-0005"),
    ({"Headers": {"X-A": 1}}, "mj-0004"),
    ({"Headers": {"List-Id": "x"}}, "send-0011"),
    ({"DeduplicateCampaign": True}, "send-0012"),
    ({"TemplateErrorDeliver": True}, "send-0016"),
    ({"Attachments": [{"Name": "a"}]}, "mj-0004"),
    ({"Attachments": [{**FILE, "ContentID": "a"}]}, "mj-0004"),
    ({"Attachments": [{**FILE, "Base64Content": ""}]}, "mj-0012"),
    ({"InlinedAttachments": [{**FILE, "Base64Content": "x" * 15_000_001}]}, "mj-0011"),
]


@pytest.mark.parametrize("change, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], code: str) -> None:
    """The sandbox refuses what Mailjet would refuse."""
    _, mail_hub = mailjet_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post(PATH, json={"Messages": [USUAL]})).status
    with pytest.raises(ConnectorError) as excinfo:
        send(Request.post(PATH, json={"Messages": [{**USUAL, **change}]}))

    error: Any = excinfo.value
    assert code == error.vendor_code


@pytest.mark.parametrize(
    "body, code",
    [
        ([], "mj-0002"),
        ({"Messages": [USUAL], "x": 1}, "mj-0002"),
        ({}, "mj-0003"),
        ({"Messages": []}, "mj-0007"),
        ({"Messages": [USUAL] * 51}, "mj-0008"),
        ({"Messages": [{**USUAL, "TextPart": "x" * 30_000_000}]}, "mj-0011"),
        ({"Messages": ["x"]}, "mj-0004"),
    ],
)
def test_sandbox_wants_the_right_shape(body: object, code: str) -> None:
    """The Mailjet sandbox accepts only a list of 1 to 50 messages."""
    _, mail_hub = mailjet_hub()
    with pytest.raises(ConnectorError) as excinfo:
        mail_hub.manager.call("mail", Request.post(PATH, json=body))

    error: Any = excinfo.value
    assert code == error.vendor_code


def test_sandbox_sends_messages_beside_a_wrong_one() -> None:
    """If one of several messages is wrong, the sandbox sends all other messages."""
    sandbox, mail_hub = mailjet_hub()
    wrong_message = {**USUAL, "To": [{"Email": "refused@example.com"}]}
    with pytest.raises(ConnectorError) as excinfo:
        mail_hub.manager.call("mail", Request.post(PATH, json={"Messages": [wrong_message, USUAL]}))

    error: Any = excinfo.value
    assert 400 == error.status
    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "change", [{"CounterResolution": "Hour"}, {"CounterTiming": "x"}, {"Limit": "1001"}, {"x": "1"}]
)
def test_sandbox_refuses_unknown_filters(change: dict[str, str]) -> None:
    """The sandbox accepts a request for daily statistics, but refuses unknown filters."""
    _, mail_hub = mailjet_hub()
    query = {
        "CounterSource": "APIKey",
        "CounterTiming": "Event",
        "CounterResolution": "Day",
        "FromTS": "1772323200",
        "ToTS": "1772323200",
    }
    send = partial(mail_hub.manager.call, "mail")
    assert send(Request.get("/v3/REST/statcounters", query=query)).ok
    with pytest.raises(ConnectorError):
        send(Request.get("/v3/REST/statcounters", query={**query, **change}))


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Mailjet sandbox works over a real connection."""
    sandbox = MailjetSandbox()
    with sandbox.serving() as server:
        vendor = mailjet_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
