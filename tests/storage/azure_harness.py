"""Helpers for tests of Azure Blob Storage: hubs over its sandbox, and scripted responses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from moorage.contracts.routes import Account
from moorage.domain.http.requests import Response
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox, azure_error
from moorage.vendors.storage.azure_blob import AzureBlob
from tests.storage.harnesses import PART, QUICK, bytes_of

if TYPE_CHECKING:
    from collections.abc import Generator

DATA = bytes_of(3 * PART + 100)


def container(blob_sandbox: AzureBlobSandbox, **options: Any) -> AzureBlob:
    """Return the Azure vendor for the sandbox's container."""
    fields: dict[str, Any] = {
        "account": blob_sandbox.account.name,
        "container": blob_sandbox.container,
        "credentials": blob_sandbox.account.key,
    }
    return AzureBlob(**{**fields, **options})


def entra(blob_sandbox: AzureBlobSandbox) -> dict[str, Any]:
    """Return the options of a vendor that uses Entra ID tokens instead of an account key."""
    return {
        "credentials": None,
        "directory": blob_sandbox.directory,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
    }


def account(blob_sandbox: AzureBlobSandbox, **options: Any) -> Account:
    """Return an Azure account that does not wait between attempts."""
    vendor = container(blob_sandbox, **options)
    return Account("azure", vendor, settings={"retry": QUICK, "circuit": None})


@contextmanager
def azure(**options: Any) -> Generator[AzureBlobSandbox]:
    """Yield a sandbox of Azure Blob Storage."""
    sandbox = AzureBlobSandbox(**options)
    try:
        yield sandbox
    finally:
        sandbox.close()


@contextmanager
def over_azure(blob_sandbox: AzureBlobSandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox in memory."""
    with Hub([account(blob_sandbox, **options)], http=SandboxHttpClient(blob_sandbox)) as hub:
        yield hub


@contextmanager
def over_azure_socket(blob_sandbox: AzureBlobSandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox over a socket."""
    with (
        blob_sandbox.serving() as server,
        Hub([account(blob_sandbox, endpoint=server.url, **options)]) as hub,
    ):
        yield hub


def async_over_azure(blob_sandbox: AzureBlobSandbox, **options: Any) -> AsyncHub:
    """Yield an asynchronous hub that calls the sandbox in memory."""
    return AsyncHub([account(blob_sandbox, **options)], http=AsyncSandboxHttpClient(blob_sandbox))


def usual_answers(count: int) -> list[Any]:
    """Return a script that makes the sandbox handle the given number of requests normally."""
    return [None] * count


def azure_refusal(code: str, status: int, message: str = "") -> Response:
    """Return a response in which Azure refuses a request."""
    return Response(status, body=azure_error(code, message))


def query_of(url: str) -> dict[str, str]:
    """Return the query parameters of a URL."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
