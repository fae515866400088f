"""Azure Blob Storage."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandbox_fixtures import SandboxFixture
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox

if TYPE_CHECKING:
    from pathlib import Path


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = AzureBlobSandbox()
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "account": sandbox.account.name,
            "container": sandbox.container,
            "credentials": sandbox.account.key,
        },
        vendor_values={"storage_class": "Cool", "encryption": "acme-scope"},
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )
