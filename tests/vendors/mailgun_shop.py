"""A hub with Mailgun and its sandbox, a message, and what a form of Mailgun holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.email import EmailMessage
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.email.mailgun import Form, MailgunSandbox, read_form
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.mailgun import mailgun_vendor

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request


def mail(**changes: Any) -> EmailMessage:
    """A message."""
    usual: dict[str, Any] = {
        "from_": "Shop <shop@example.com>",
        "to": "ada@example.com",
        "subject": "Hi",
        "text": "Hello.",
    }
    return EmailMessage(**{**usual, **changes})


def mailgun_hub(**options: Any) -> tuple[MailgunSandbox, Any]:
    """A sandbox, and a hub that sends there."""
    sandbox = MailgunSandbox()
    return sandbox, hub(mailgun_vendor(sandbox, **options), sandbox)


def form_of(request: Request) -> Form:
    """The form that a request brings."""
    assert isinstance(request.body, bytes)
    return read_form(SandboxRequest("POST", "", request.path, (), request.headers, request.body))
