"""S3."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.s3 import S3Sandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = S3Sandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
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
