"""The Postmark sandbox refuses what Postmark refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, Hub, InvalidRequest, VendorRejected
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from tests.vendors.email_hubs import mail
from tests.vendors.postmark_account import postmark_hub
from tests.vendors.subjects.postmark import postmark_vendor

USUAL: dict[str, Any] = {"From": "shop@example.com", "To": "a@example.com", "TextBody": "x"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"From": ""}, "300"),
    ({"To": ""}, "300"),
    ({"To": "nobody"}, "300"),
    ({"TextBody": ""}, "300"),
    ({"Subjekt": "x"}, "403"),
    ({"To": ["a@example.com"]}, "403"),
    ({"TrackLinks": "yes"}, "403"),
    ({"TrackOpens": "yes"}, "403"),
    ({"Bcc": ",".join(f"a{number}@example.com" for number in range(50))}, "300"),
    ({"Metadata": {"m" * 21: "x"}}, "300"),
    ({"Metadata": {"m": "x" * 81}}, "300"),
    ({"Metadata": {"m": "x", "M": "x"}}, "300"),
    ({"Headers": [{"name": "x"}]}, "403"),
    ({"Attachments": [{"Name": "a"}]}, "403"),
    ({"Attachments": [{"Name": "a.EXE", "Content": "", "ContentType": "a/b"}]}, "411"),
    ({"Attachments": [{"Name": "a", "Content": "", "ContentType": "a"}]}, "300"),
    ({"TemplateModel": {}}, "403"),
    ({"TextBody": "x" * 11_000_000}, "300"),
]


@pytest.mark.parametrize("change, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], code: str) -> None:
    """The sandbox refuses what Postmark would refuse."""
    _, mail_hub = postmark_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post("/email", json=USUAL)).status
    with pytest.raises((InvalidRequest, VendorRejected)) as excinfo:
        send(Request.post("/email", json={**USUAL, **change}))

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "path, body, code",
    [
        ("/email", ["x"], "403"),
        ("/email/batch", {}, "403"),
        ("/email/batch", [], "403"),
        ("/email/batch", [USUAL] * 501, "410"),
        ("/email/batchWithTemplates", [], "403"),
        ("/email/withTemplate", {**USUAL, "TemplateId": 7}, "403"),
        ("/email/withTemplate", {"From": "a@b.c", "To": "a@b.c", "TemplateId": 7}, "403"),
    ],
)
def test_sandbox_wants_the_right_shape(path: str, body: object, code: str) -> None:
    """Postmark needs a list for a plain batch, and an object for a batch with templates."""
    _, mail_hub = postmark_hub()
    with pytest.raises(InvalidRequest) as excinfo:
        mail_hub.manager.call("mail", Request.post(path, json=body))

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/stats/outbound/wishes"),
        Request.get("/stats/outbound/sends", query={"from": "2026-03-01"}),
        Request.post("/email", json=USUAL, headers={"Accept": "text/html"}),
    ],
)
def test_sandbox_refuses_unknown_requests(request_: Request) -> None:
    """The Postmark sandbox refuses unknown paths, parameters and Accept headers."""
    _, mail_hub = postmark_hub()
    with pytest.raises((InvalidRequest, VendorRejected)):
        mail_hub.manager.call("mail", request_)


def test_unverified_sender_is_refused() -> None:
    """Postmark refuses a sender without a confirmed signature."""
    _, mail_hub = postmark_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))

    assert "400" == excinfo.value.vendor_code


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Postmark sandbox works over a real connection."""
    sandbox = PostmarkSandbox()
    with sandbox.serving() as server:
        vendor = postmark_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
