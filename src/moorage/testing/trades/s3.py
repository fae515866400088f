"""S3."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = S3Sandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return Trade(
        sandbox=sandbox,
        options={
            "bucket": sandbox.bucket,
            "region": sandbox.region,
            "access_key_id": sandbox.key.id,
            "credentials": sandbox.key.secret,
        },
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )
