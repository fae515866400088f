"""Helper for tests of Postmark: a hub with an account at the sandbox."""

from __future__ import annotations

from typing import Any

from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.postmark import postmark_vendor


def postmark_hub(**options: Any) -> tuple[PostmarkSandbox, Any]:
    """Return a Postmark sandbox, and a hub that sends to it."""
    sandbox = PostmarkSandbox()
    return sandbox, hub(postmark_vendor(sandbox, **options), sandbox)
