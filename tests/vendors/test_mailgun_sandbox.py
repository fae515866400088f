"""The Mailgun sandbox is as strict as Mailgun."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, FormFile, Hub, InvalidRequest, VendorRejected
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.email.mailgun import MailgunSandbox, read_form
from tests.vendors.email_hubs import mail
from tests.vendors.mailgun_account import mailgun_hub
from tests.vendors.subjects.mailgun import mailgun_vendor

MESSAGE = {"from": "shop@example.com", "to": "a@example.com", "subject": "Hi", "text": "x"}
PATH = "/v3/mail.example.com/messages"


def _post(**change: Any) -> Request:
    return Request.post(PATH, form={**MESSAGE, **change}, files=[])


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
        Request.post(PATH, form=MESSAGE),
        Request.post(PATH, form=MESSAGE, files={"file": FormFile("a", b"")}),
        Request.post(
            PATH,
            body=b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        Request.get("/v4/address/validate"),
        Request.post("/v1/analytics/metrics", json={"dimensions": ["tag"]}),
    ],
)
def test_sandbox_is_strict(request_: Request) -> None:
    """The sandbox refuses what Mailgun would refuse."""
    _, mail_hub = mailgun_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(_post()).status
    with pytest.raises(InvalidRequest):
        send(request_)


@pytest.mark.parametrize(
    "request_",
    [
        Request.post("/v3/other.example/messages", form=MESSAGE, files=[]),
        Request.post(PATH, form={**MESSAGE, "text": "x" * 28_000_000}, files=[]),
    ],
)
def test_mailgun_sandbox_knows_no_other_domain(request_: Request) -> None:
    """The Mailgun sandbox has only one domain, and refuses an email that is too large."""
    _, mail_hub = mailgun_hub()
    with pytest.raises(VendorRejected):
        mail_hub.manager.call("mail", request_)


def test_unverified_domain_is_refused() -> None:
    """The Mailgun sandbox does not send for an unverified domain."""
    _, mail_hub = mailgun_hub()
    with pytest.raises(VendorRejected, match="not allowed to send"):
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))


def test_file_without_a_type_is_anything() -> None:
    """The Mailgun sandbox accepts a file without a content type in a form."""
    body = (
        b'--b\r\ncontent-disposition: form-data; name="attachment"; filename="a"\r\n\r\nz\r\n--b--'
    )
    headers = Headers({"Content-Type": "multipart/form-data; boundary=b"})
    [(_, item)] = read_form(SandboxRequest("POST", "", PATH, (), headers, body)).files

    assert ("application/octet-stream", b"z", None) == (
        item.content_type,
        item.content,
        item.content_id,
    )


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Mailgun sandbox works over a real connection."""
    sandbox = MailgunSandbox()
    with sandbox.serving() as server:
        vendor = mailgun_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
