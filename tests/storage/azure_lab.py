"""Azure to test with: hubs over its sandbox, in both colours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mooring.contracts.routes import Account
from mooring.hub import AsyncHub, Hub
from mooring.testing.sandbox.azure_blob import AzureBlobSandbox
from mooring.testing.sandbox.base import AsyncSandboxHttpClient, SandboxHttpClient
from mooring.vendors.azure_blob import AzureBlob
from tests.storage.labs import QUICK

if TYPE_CHECKING:
    from collections.abc import Generator


def container(made: AzureBlobSandbox, **options: Any) -> AzureBlob:
    """The container of a sandbox."""
    known: dict[str, Any] = {
        "account": made.account.name,
        "container": made.container,
        "credentials": made.account.key,
    }
    return AzureBlob(**{**known, **options})


def entra(made: AzureBlobSandbox) -> dict[str, Any]:
    """The options of an account there that gets tokens instead of a key."""
    return {
        "credentials": None,
        "directory": made.directory,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
    }


def account(made: AzureBlobSandbox, **options: Any) -> Account:
    """An account there that does not wait between attempts."""
    vendor = container(made, **options)
    return Account("azure", vendor, settings={"retry": QUICK, "circuit": None})


@contextmanager
def azure(**options: Any) -> Generator[AzureBlobSandbox]:
    """A sandbox of Azure."""
    made = AzureBlobSandbox(**options)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def over_azure(made: AzureBlobSandbox, **options: Any) -> Generator[Hub]:
    """A hub that reaches it in memory."""
    with Hub([account(made, **options)], http=SandboxHttpClient(made)) as hub:
        yield hub


@contextmanager
def over_azure_socket(made: AzureBlobSandbox, **options: Any) -> Generator[Hub]:
    """A hub that reaches it over a socket."""
    with made.serving() as server, Hub([account(made, endpoint=server.url, **options)]) as hub:
        yield hub


def async_over_azure(made: AzureBlobSandbox, **options: Any) -> AsyncHub:
    """As `over_azure`, to be awaited."""
    return AsyncHub([account(made, **options)], http=AsyncSandboxHttpClient(made))
