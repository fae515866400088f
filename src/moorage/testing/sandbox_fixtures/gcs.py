"""Google Cloud Storage."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.gcs import GcsSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = GcsSandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
        sandbox=sandbox,
        options={"bucket": sandbox.bucket, "credentials": sandbox.key_file()},
        vendor_values={
            "storage_class": "COLDLINE",
            "encryption": "projects/acme/locations/eu/keyRings/erp/cryptoKeys/files",
        },
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )
