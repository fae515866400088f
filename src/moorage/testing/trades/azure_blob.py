"""Azure Blob Storage."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moorage import Request, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox
from moorage.testing.trades import Trade

if TYPE_CHECKING:
    from pathlib import Path


def trade(_: Path) -> Trade:
    """An account that has all that the afternoon asks for."""
    sandbox = AzureBlobSandbox()
    browser = SandboxHttpClient(sandbox)
    return Trade(
        sandbox=sandbox,
        options={
            "account": sandbox.account.name,
            "container": sandbox.container,
            "credentials": sandbox.account.key,
        },
        words={"storage_class": "Cool", "encryption": "acme-scope"},
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )
