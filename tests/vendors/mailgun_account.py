"""Helpers for tests of Mailgun: a hub at the sandbox, and a function that reads its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.email.mailgun import Form, MailgunSandbox, read_form
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.mailgun import mailgun_vendor

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request


def mailgun_hub(**options: Any) -> tuple[MailgunSandbox, Any]:
    """Return a Mailgun sandbox, and a hub that sends to it."""
    sandbox = MailgunSandbox()
    return sandbox, hub(mailgun_vendor(sandbox, **options), sandbox)


def form_of(request: Request) -> Form:
    """Return the form fields and files in a request's body."""
    assert isinstance(request.body, bytes)
    return read_form(SandboxRequest("POST", "", request.path, (), request.headers, request.body))
