"""The MailerSend sandbox refuses what MailerSend refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, AuthenticationFailed, Hub, InvalidRequest
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.email.mailersend import MailerSendSandbox
from tests.vendors.email_hubs import hub, mail
from tests.vendors.mailersend_account import mailersend_hub
from tests.vendors.subjects.mailersend import mailersend_vendor

ADA = {"email": "ada@example.com"}
USUAL: dict[str, Any] = {
    "from": {"email": "shop@example.com"},
    "to": [ADA],
    "subject": "Hi",
    "text": "x",
}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"from": {}}, "from.email"),
    ({"from": {"email": "shop"}}, "from.email"),
    ({"from": {"email": "a@unverified.example"}}, "MS42207"),
    ({"to": []}, "to"),
    ({"to": ["ada@example.com"]}, "to.0.object"),
    ({"to": [{"email": "nobody"}]}, "to.0.email"),
    ({"to": [{**ADA, "name": "Lovelace, Ada"}]}, "to.0.name"),
    ({"to": [ADA] * 51}, "to"),
    ({"cc": [ADA] * 11}, "cc"),
    ({"bcc": [ADA] * 11}, "bcc"),
    ({"tags": ["a"] * 6}, "tags"),
    ({"reply_to": [ADA]}, "object"),
    ({"subject": ""}, "subject"),
    ({"text": ""}, "text"),
    ({"send_at": "2030-01-01"}, "value"),
    ({"settings": {"track_opens": "yes"}}, "settings.track_opens"),
    ({"headers": {"X-A": "1"}}, "array"),
    ({"headers": [{"name": "X-A"}]}, "headers.0.value"),
    ({"metadata": {}}, "metadata"),
    ({"template_id": "none"}, "template_id"),
    ({"attachments": [{"filename": "a.txt"}]}, "attachments.0.content"),
    ({"attachments": [{"content": "YQ=="}]}, "attachments.0.filename"),
    ({"personalization": [{"email": "x@example.com", "data": {}}]}, "personalization.0.email"),
    ({"text": "x" * 27_000_000}, "attachments"),
]


@pytest.mark.parametrize("change, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], code: str) -> None:
    """The sandbox refuses what MailerSend would refuse."""
    _, mail_hub = mailersend_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 202 == send(Request.post("/v1/email", json=USUAL)).status
    with pytest.raises(InvalidRequest) as excinfo:
        send(Request.post("/v1/email", json={**USUAL, **change}))

    assert code in str(excinfo.value.vendor_code)


@pytest.mark.parametrize(
    "query",
    [
        {"date_from": "1"},
        {"date_from": "2", "date_to": "1"},
        {"date_from": "1", "date_to": "2", "from": "x"},
        {"date_from": "1", "date_to": "2", "event[]": "teleported"},
        {"date_from": "1", "date_to": "2", "group_by": "hours"},
    ],
)
def test_statistics_are_checked(query: dict[str, str]) -> None:
    """The MailerSend sandbox refuses unknown parameters and events, and a reversed period."""
    _, mail_hub = mailersend_hub()
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.get("/v1/analytics/date", query=query))


def test_token_is_needed() -> None:
    """The MailerSend sandbox refuses a request with another token, and a body that is a list."""
    sandbox = MailerSendSandbox()
    mail_hub = hub(mailersend_vendor(sandbox), sandbox)
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.post("/v1/email", json=["x"]))
    stranger = hub(mailersend_vendor(MailerSendSandbox(token="mlsn.other")), sandbox)
    with pytest.raises(AuthenticationFailed, match="Unauthenticated"):
        stranger.email().send_transactional(mail())


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The MailerSend sandbox works over a real connection."""
    sandbox = MailerSendSandbox()
    with sandbox.serving() as server:
        vendor = mailersend_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
