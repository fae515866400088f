"""Google Cloud Storage."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = GcsSandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return Trade(
        sandbox=sandbox,
        options={"bucket": sandbox.bucket, "credentials": sandbox.key_file()},
        words={
            "storage_class": "COLDLINE",
            "encryption": "projects/acme/locations/eu/keyRings/erp/cryptoKeys/files",
        },
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )
