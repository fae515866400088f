"""Helper for tests of Resend: a hub with an account at the sandbox."""

from __future__ import annotations

from typing import Any

from moorage.contracts.email import Attachment
from moorage.testing.sandboxes.email.resend import ResendSandbox
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.resend import resend_vendor

PDF = Attachment(filename="a.pdf", content=b"%PDF", content_type="application/pdf")


def resend_hub(**options: Any) -> tuple[ResendSandbox, Any]:
    """Return a Resend sandbox, and a hub that sends to it."""
    sandbox = ResendSandbox()
    return sandbox, hub(resend_vendor(sandbox, **options), sandbox)
