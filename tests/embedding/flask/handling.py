"""A worker that handles an inbox in its own process: `python -m … URL SECONDS`.

For each webhook it prints the end of its lease, and works on it for that many seconds.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import moorage
from moorage import Hub, WebhookInbox
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage_flask.database import Database
from moorage_flask.stores import inbox_in

POLL = 0.1


def hub_of(vendor: StripeSandbox) -> Hub:
    """Return a hub that accepts payments at this vendor."""
    account = {
        "credentials": vendor.api_key,
        "webhook_secrets": [vendor.webhook_secret],
        "volatile_keys": True,
    }
    return moorage.open(
        {"payments": {"vendor": "stripe"}, "vendors": {"stripe": account}},
        http=SandboxHttpClient(vendor),
    )


def handle_webhooks(url: str, seconds: float) -> None:
    """Handle due webhooks until this process is killed."""
    inbox = WebhookInbox(hub_of(StripeSandbox()), inbox_in(Database(url)))

    @inbox.on("webhook")
    def handle(_: Any, entry: Any) -> None:
        sys.stdout.write(f"{entry.due.isoformat()}\n")
        sys.stdout.flush()
        time.sleep(seconds)

    while True:
        inbox.handle()
        time.sleep(POLL)


if __name__ == "__main__":
    handle_webhooks(sys.argv[1], float(sys.argv[2]))
