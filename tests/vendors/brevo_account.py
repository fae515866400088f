"""Helper for tests of Brevo: a hub connected to the sandbox."""

from __future__ import annotations

from typing import Any

from moorage.testing.sandboxes.email.brevo import BrevoSandbox
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.brevo import brevo_vendor


def brevo_hub(**options: Any) -> tuple[BrevoSandbox, Any]:
    """Return a Brevo sandbox, and a hub that sends to it."""
    sandbox = BrevoSandbox()
    return sandbox, hub(brevo_vendor(sandbox, **options), sandbox)
