"""An inbox of webhooks in a SQLite file, and a worker process that tests kill.

Arguments of the worker: the database, and a file to which the sink appends ids of events.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import sys
import time
from typing import Any

import moorage
from moorage import AsyncHub, AsyncWebhookInbox, RecordSink, SinkRecord
from moorage.adapters.entries.sqlite import AsyncSqliteInbox
from moorage.hub.webhook_source import WebhookSource
from moorage.pipelines.pipeline import Pipeline

SECRET = "whsec_a-secret-of-this-test"
ACCOUNTS: dict[str, Any] = {
    "payments": {"vendor": "stripe"},
    "vendors": {
        "stripe": {"credentials": "sk_test_1", "webhook_secrets": [SECRET], "volatile_keys": True}
    },
}


def open_hub() -> AsyncHub:
    """Return a hub with a Stripe account."""
    return moorage.aopen(ACCOUNTS)


def delivery(id: str, **fields: Any) -> dict[str, Any]:
    """Return the arguments of `receive` for a Stripe webhook, signed now."""
    event = {"id": id, "type": "charge.updated", "data": {"object": fields}, "created": 1}
    body = json.dumps(event).encode()
    now = int(time.time())
    signature = hmac.new(SECRET.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    return {"headers": {"Stripe-Signature": f"t={now},v1={signature}"}, "body": body}


async def run_worker(database: str, out: str) -> None:
    """Run a pipeline that appends each event's id to a file, until the process is killed."""

    def store(record: SinkRecord) -> None:
        with open(out, "ab") as file:  # noqa: PTH123 - appends
            file.write(record.json()["id"].encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    async with open_hub() as hub:
        inbox = AsyncWebhookInbox(hub, AsyncSqliteInbox(database), lease=1.5)
        source = WebhookSource(inbox, interval=0.01)
        await Pipeline("webhooks", source, RecordSink(store)).run()


if __name__ == "__main__":
    asyncio.run(run_worker(*sys.argv[1:]))
