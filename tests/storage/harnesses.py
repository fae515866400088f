"""Helpers for storage tests: hubs over the S3 sandbox and a local folder, sync and async."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from moorage.contracts.routes import Account
from moorage.contracts.storage import SignedUrl, StorageCapability
from moorage.domain.http.headers import Headers
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import AuthenticationFailed, FileNotFound
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits.storage_conformance import Subject
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from moorage.vendors.storage.local_files import LocalFiles
from moorage.vendors.storage.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from moorage.testing.sandboxes.base import Sandbox

PART = 4_096
QUICK = RetryPolicy(max_attempts=3, base_delay=0.001)
PROTECTED = frozenset(StorageCapability)


def s3(sandbox: S3Sandbox, **options: Any) -> S3:
    """Return the S3 vendor for the sandbox's bucket."""
    key = sandbox.key
    fields: dict[str, Any] = {
        "bucket": sandbox.bucket,
        "region": sandbox.region,
        "access_key_id": key.id,
        "credentials": key.secret,
        "session_token": key.token,
    }
    return S3(**{**fields, **options})


def s3_account(sandbox: S3Sandbox, **options: Any) -> Account:
    """Return an S3 account that does not wait between attempts."""
    return Account("s3", s3(sandbox, **options), settings={"retry": QUICK, "circuit": None})


def folder(root: Path, **options: Any) -> LocalFiles:
    """Return the storage of a local folder whose URLs can be signed."""
    fields: dict[str, Any] = {
        "root": root,
        "url": "https://erp.example/files",
        "signing_key": "k" * 32,
    }
    return LocalFiles(**{**fields, **options})


@contextmanager
def sandbox(**options: Any) -> Generator[S3Sandbox]:
    """Yield an S3 sandbox that accepts small parts."""
    fields: dict[str, Any] = {"least_part": PART, **options}
    new_sandbox = S3Sandbox(**fields)
    try:
        yield new_sandbox
    finally:
        new_sandbox.close()


@contextmanager
def over_s3(server: S3Sandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox in memory."""
    with Hub([s3_account(server, **options)], http=SandboxHttpClient(server)) as hub:
        yield hub


@contextmanager
def over_socket(made_server: S3Sandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox over a socket."""
    with (
        made_server.serving() as server,
        Hub([s3_account(made_server, endpoint=server.url, **options)]) as hub,
    ):
        yield hub


def async_over_s3(server: S3Sandbox, **options: Any) -> AsyncHub:
    """Yield an asynchronous hub that calls the sandbox in memory."""
    return AsyncHub([s3_account(server, **options)], http=AsyncSandboxHttpClient(server))


def fetch_of(server: Sandbox) -> Any:
    """Return a function that sends the request of a signed URL to the sandbox."""

    def fetch(signed: SignedUrl, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(signed.url)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        fields = Headers({**signed.headers, "Content-Length": str(len(body))})
        response = server.answer(
            SandboxRequest(signed.method, parts.netloc, parts.path, query, fields, body)
        )
        return response.status, response.body

    return fetch


def fetch_of_folder(vendor: LocalFiles) -> Any:
    """Return an application that serves the signed URLs of a local folder."""

    def fetch(signed: SignedUrl, body: bytes) -> tuple[int, bytes]:
        try:
            grant = vendor.allowed(signed.method, signed.url, now=datetime.now(UTC))
            with Hub([Account("files", vendor)]) as hub:
                if grant.method == "PUT":
                    hub.storage().upload(grant.key, body)
                    return 200, b""
                return 200, hub.storage().download(grant.key).read_all()
        except AuthenticationFailed:
            return 403, b""
        except FileNotFound:
            return 404, b""

    return fetch


def bytes_of(size: int) -> bytes:
    """Return the given number of bytes, which differ by position, so misplaced data is noticed."""
    pattern = bytes(range(251))
    return (pattern * (size // len(pattern) + 1))[:size]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the content in pieces of this size."""
    return iter([data[offset : offset + size] for offset in range(0, len(data), size)])


async def with_hub(hub: AsyncHub, check: Any, **reports: Any) -> None:
    """Run a check of the conformance kit, and close the hub."""
    async with hub:
        await check(lambda: Subject(hub.storage(), part=PART, **reports))


def run(flow: Any) -> Any:
    """Run a coroutine in a new event loop, and return its result."""
    return asyncio.run(flow)
