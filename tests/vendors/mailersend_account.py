"""Helper for tests of MailerSend: a hub with an account at the sandbox."""

from __future__ import annotations

from typing import Any

from moorage.testing.sandboxes.email.mailersend import MailerSendSandbox
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.mailersend import mailersend_vendor


def mailersend_hub(**options: Any) -> tuple[MailerSendSandbox, Any]:
    """Return a MailerSend sandbox, and a hub that sends to it."""
    sandbox = MailerSendSandbox()
    return sandbox, hub(mailersend_vendor(sandbox, **options), sandbox)
